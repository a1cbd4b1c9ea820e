//! One listener of mProxy, and where it led.

use std::net::IpAddr;

use super::Variables;

/// A place where clients came in.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Entrance {
    pub(super) name: String,
    pub(super) bind: String,
    pub(super) transport: &'static str,
    pub(super) tls: Option<Tls>,
    /// Of WebSocket.
    pub(super) path: Option<String>,
    /// URL of the broker.
    pub(super) target: String,
    /// Authorities that certificates of the broker come from.
    pub(super) target_ca: Option<String>,
    /// What has to be said about it.
    pub(super) notes: Vec<String>,
}

/// Files of TLS.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Tls {
    pub(super) cert: String,
    pub(super) key: String,
    pub(super) client_ca: Option<String>,
}

impl Entrance {
    /// One for each set of variables of the later kind.
    pub(super) fn all_of_later(variables: &mut Variables) -> Vec<Self> {
        let mut all = Vec::new();
        for (protocol, is_ws) in [("MQTT", false), ("MQTT_WS", true)] {
            for security in ["WITHOUT_TLS", "WITH_TLS", "WITH_MTLS"] {
                let prefix = format!("{protocol}_{security}_");
                if variables.has(&prefix) {
                    let has_tls = security != "WITHOUT_TLS";
                    all.extend(Self::later(variables, &prefix, is_ws, has_tls));
                }
            }
        }
        all
    }

    /// None: it names no port, and was not opened.
    fn later(variables: &mut Variables, prefix: &str, is_ws: bool, has_tls: bool) -> Option<Self> {
        let mut take = |name: &str| variables.take(&format!("{prefix}{name}"));
        let mut notes = Vec::new();
        let (host, port) = match (take("ADDRESS"), take("HOST"), take("PORT")) {
            (Some(address), _, _) => split(&address)?,
            (None, host, port) => (host.unwrap_or_default(), port?),
        };
        let path = [take("PATH_PREFIX"), take("PREFIX_PATH")];
        let path = path.into_iter().flatten().next().filter(|_| is_ws);
        let path = path.map(|path| rooted(&path));
        let target = take("TARGET");
        let parts = [
            "TARGET_PROTOCOL",
            "TARGET_HOST",
            "TARGET_PORT",
            "TARGET_PATH",
        ]
        .map(&mut take);
        let target = match (target, parts) {
            (Some(target), _) if target.contains("://") => target,
            (Some(target), _) => format!("mqtt://{target}"),
            (None, [protocol, host, port, path]) => {
                let protocol = protocol.unwrap_or_else(|| "mqtt".to_owned());
                let path = path
                    .filter(|_| protocol.starts_with("ws"))
                    .map_or_else(String::new, |path| rooted(&path));
                url(
                    &protocol,
                    &host.unwrap_or_default(),
                    &port.unwrap_or_default(),
                    &path,
                )
            }
        };
        let server_ca = take("SERVER_CA_FILE");
        let reaches_tls = target.starts_with("mqtts:") || target.starts_with("wss:");
        let tls = [take("CERT_FILE"), take("KEY_FILE"), take("CLIENT_CA_FILE")];
        let [cert, key, client_ca] = tls;
        let tls = has_tls.then(|| tls_of(cert, key, client_ca, &mut notes));
        Some(Self {
            name: prefix.trim_end_matches('_').to_ascii_lowercase(),
            bind: bind(&host, &port, &mut notes),
            transport: transport(is_ws, has_tls),
            tls,
            path,
            target,
            target_ca: server_ca.filter(|_| reaches_tls),
            notes,
        })
    }

    /// Those of the first kind of variables, which had defaults.
    pub(super) fn all_of_first(variables: &mut Variables) -> Vec<Self> {
        let mut take =
            |name: &str, default: &str| variables.take(name).unwrap_or_else(|| default.to_owned());
        let has_tls = matches!(
            take("CLIENT_TLS", "false").as_str(),
            "true" | "1" | "TRUE" | "t"
        );
        let files = ["SERVER_CERT", "SERVER_KEY", "CA_CERTS"].map(|name| take(name, ""));
        let target = url(
            "mqtt",
            &take("MQTT_TARGET_HOST", "0.0.0.0"),
            &take("MQTT_TARGET_PORT", "1884"),
            "",
        );
        let host = take("MQTT_HOST", "0.0.0.0");
        let ports = [take("MQTT_PORT", "1883"), take("MQTTS_PORT", "8883")];
        let ws_host = take("WS_HOST", "0.0.0.0");
        let ws_ports = [take("WS_PORT", "8080"), take("WSS_PORT", "8081")];
        let ws_paths = [take("WS_PATH", "/mqtt"), take("WSS_PATH", "/mqtt")];
        let ws_target = url(
            &take("WS_TARGET_SCHEME", "ws"),
            &take("WS_TARGET_HOST", "localhost"),
            &take("WS_TARGET_PORT", "8888"),
            &rooted(&take("WS_TARGET_PATH", "/mqtt")),
        );
        let has_ws = variables.has("WS_") || variables.has("WSS_");
        let mut all = Vec::new();
        for (is_ws, host, ports, target) in [
            (false, &host, &ports, &target),
            (true, &ws_host, &ws_ports, &ws_target),
        ] {
            for (is_tls, port) in [false, true].into_iter().zip(ports) {
                if (is_ws && !has_ws) || (is_tls && !has_tls) {
                    continue;
                }
                let mut notes = Vec::new();
                let file =
                    |index: usize| Some(files[index].clone()).filter(|file| !file.is_empty());
                let transport = transport(is_ws, is_tls);
                all.push(Self {
                    name: transport.replace("tcp", "mqtt").replace("tls", "mqtts"),
                    bind: bind(host, port, &mut notes),
                    transport,
                    tls: is_tls.then(|| tls_of(file(0), file(1), file(2), &mut notes)),
                    path: is_ws.then(|| rooted(&ws_paths[usize::from(is_tls)])),
                    target: target.clone(),
                    target_ca: None,
                    notes,
                });
            }
        }
        if !has_ws && let Some(first) = all.first_mut() {
            let note = "mProxy opened a WebSocket listener on 8080, too, if nobody said anything";
            first.notes.push(note.to_owned());
        }
        all
    }
}

fn transport(is_ws: bool, is_tls: bool) -> &'static str {
    match (is_ws, is_tls) {
        (false, false) => "tcp",
        (false, true) => "tls",
        (true, false) => "ws",
        (true, true) => "wss",
    }
}

fn tls_of(
    cert: Option<String>,
    key: Option<String>,
    client_ca: Option<String>,
    notes: &mut Vec<String>,
) -> Tls {
    if cert.is_none() || key.is_none() {
        notes.push("the certificate or its key was not named".to_owned());
    }
    Tls {
        cert: cert.unwrap_or_default(),
        key: key.unwrap_or_default(),
        client_ca,
    }
}

/// `host:port`, `:port`.
fn split(address: &str) -> Option<(String, String)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    Some((bare.to_owned(), port.to_owned()))
}

/// The address to listen on: a name is none.
fn bind(host: &str, port: &str, notes: &mut Vec<String>) -> String {
    let host = match host {
        "" => "0.0.0.0",
        "localhost" => "127.0.0.1",
        host => host,
    };
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        Ok(IpAddr::V4(address)) => format!("{address}:{port}"),
        Err(_) => {
            let host: String = host.chars().filter(|c| !c.is_control()).collect();
            notes.push(format!("{host} is a name: bind takes an address"));
            format!("127.0.0.1:{port}")
        }
    }
}

/// A path as requests have it: mProxy took one without its slash, too.
fn rooted(path: &str) -> String {
    format!("/{}", path.trim_start_matches('/'))
}

/// Where the broker is. Nobody is at 0.0.0.0: it meant this machine.
fn url(protocol: &str, host: &str, port: &str, path: &str) -> String {
    let host = match host {
        "" | "0.0.0.0" => "127.0.0.1",
        host => host,
    };
    let port = match port {
        "" => String::new(),
        port => format!(":{port}"),
    };
    format!("{protocol}://{host}{port}{path}")
}
