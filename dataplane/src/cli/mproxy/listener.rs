//! One listener of mProxy, and where it led.

use std::net::IpAddr;

use super::Variables;

/// Parts of names that only variables of the later kind have.
const LATER: [&str; 5] = [
    "_WITHOUT_TLS_",
    "_WITH_TLS_",
    "_WITH_MTLS_",
    "_WITHOUT_DTLS_",
    "_WITH_DTLS_",
];

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
    /// One for each set of variables of the later kind. `None`: the variables are not of that kind.
    ///
    /// # Errors
    ///
    /// An address that is none: mGate did not listen there, either.
    pub(super) fn all_of_later(variables: &mut Variables) -> Result<Option<Vec<Self>>, String> {
        let is_later = |name: &str| LATER.iter().any(|mark| name.contains(mark));
        if !variables.values.keys().any(|name| is_later(name)) {
            return Ok(None);
        }
        let mut all = Vec::new();
        for (protocol, is_ws) in [("MQTT", false), ("MQTT_WS", true)] {
            for security in [Security::None, Security::Tls, Security::Mutual] {
                let prefix = format!("{protocol}_{}_", security.as_str());
                if variables.has(&prefix) {
                    all.extend(Self::later(variables, &prefix, is_ws, security)?);
                }
            }
        }
        Ok(Some(all))
    }

    /// None: it names no port, and was not opened.
    fn later(
        variables: &mut Variables,
        prefix: &str,
        is_ws: bool,
        security: Security,
    ) -> Result<Option<Self>, String> {
        let mut take = |name: &str| variables.take(&format!("{prefix}{name}"));
        let mut notes = Vec::new();
        let (host, port) = match (take("ADDRESS"), take("HOST"), take("PORT")) {
            (Some(address), _, _) => split(&address).ok_or_else(|| {
                format!("{prefix}ADDRESS: expected host:port or :port, found {address:?}")
            })?,
            (None, host, Some(port)) => (host.unwrap_or_default(), port),
            (None, _, None) => return Ok(None),
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
        let reaches_tls = target.starts_with("mqtts:") || target.starts_with("wss:");
        let target_ca = reaches_tls.then(|| take("SERVER_CA_FILE")).flatten();
        let files = [take("CERT_FILE"), take("KEY_FILE"), take("CLIENT_CA_FILE")];
        let tls = security.tls(files, &mut notes);
        Ok(Some(Self {
            name: prefix.trim_end_matches('_').to_ascii_lowercase(),
            bind: bind(&host, &port, &mut notes),
            transport: transport(is_ws, tls.is_some()),
            tls,
            path,
            target,
            target_ca,
            notes,
        }))
    }

    /// Those of the first kind of variables, which had defaults: with TLS all listeners, or without it.
    ///
    /// # Errors
    ///
    /// A word that is neither yes nor no: mProxy did not start with it.
    pub(super) fn all_of_first(variables: &mut Variables) -> Result<Vec<Self>, String> {
        // For a while, WS_* was a proxy of plain WebSockets beside this one.
        let ws = match variables.has("MQTT_WS_") || variables.has("MQTT_WSS_") {
            true => "MQTT_WS",
            false => "WS",
        };
        let has_ws = variables.has(&format!("{ws}_")) || variables.has(&format!("{ws}S_"));
        let mut take =
            |name: &str, default: &str| variables.take(name).unwrap_or_else(|| default.to_owned());
        let is_tls = boolean("CLIENT_TLS", &take("CLIENT_TLS", "false"))?;
        let files = ["SERVER_CERT", "SERVER_KEY", "CA_CERTS"].map(|name| take(name, ""));
        let files = files.map(|file| Some(file).filter(|file| !file.is_empty()));
        let broker = [
            take("MQTT_TARGET_HOST", "0.0.0.0"),
            take("MQTT_TARGET_PORT", "1884"),
        ];
        let (port, ws_port, ws_path) = match is_tls {
            false => (
                take("MQTT_PORT", "1883"),
                take(&format!("{ws}_PORT"), "8080"),
                take(&format!("{ws}_PATH"), "/mqtt"),
            ),
            true => (
                take("MQTTS_PORT", "8883"),
                take(&format!("{ws}S_PORT"), "8081"),
                take(&format!("{ws}S_PATH"), "/mqtt"),
            ),
        };
        let host = take("MQTT_HOST", "0.0.0.0");
        let mut doors = vec![(false, host, port, url("mqtt", &broker[0], &broker[1], ""))];
        let mut notes = Vec::new();
        if has_ws {
            let mut of_ws = |name: &str, default| take(&format!("{ws}_{name}"), default);
            let host = of_ws("HOST", "0.0.0.0");
            let target = url(
                &of_ws("TARGET_SCHEME", "ws"),
                &of_ws("TARGET_HOST", "localhost"),
                &of_ws("TARGET_PORT", "8888"),
                &rooted(&of_ws("TARGET_PATH", "/mqtt")),
            );
            doors.push((true, host, ws_port, target));
        } else {
            notes.push(format!(
                "mProxy opened a WebSocket listener on {ws_port}, too, if nobody said anything"
            ));
        }
        let door = |(is_ws, host, port, target): (bool, String, String, String)| {
            let mut notes = std::mem::take(&mut notes);
            let transport = transport(is_ws, is_tls);
            Self {
                name: transport.replace("tcp", "mqtt").replace("tls", "mqtts"),
                bind: bind(&host, &port, &mut notes),
                transport,
                tls: is_tls.then(|| tls_of(files.clone(), &mut notes)),
                path: is_ws.then(|| rooted(&ws_path)),
                target,
                target_ca: None,
                notes,
            }
        };
        Ok(doors.into_iter().map(door).collect())
    }
}

/// What the name of a set of variables says of its TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Security {
    None,
    Tls,
    Mutual,
}

impl Security {
    fn as_str(self) -> &'static str {
        match self {
            Self::None => "WITHOUT_TLS",
            Self::Tls => "WITH_TLS",
            Self::Mutual => "WITH_MTLS",
        }
    }

    /// mGate did TLS if both files were named, whatever the name says. Where the name says TLS and a file is
    /// missing it did none, which nobody can have meant: then it is for the operator to say.
    fn tls(self, files: [Option<String>; 3], notes: &mut Vec<String>) -> Option<Tls> {
        let has_files = files[0].is_some() && files[1].is_some();
        if self == Self::None {
            if !has_files {
                return None;
            }
            notes.push("its name says otherwise, but it had a certificate: it was TLS".to_owned());
        }
        if self == Self::Mutual && files[2].is_none() {
            let note = "no CLIENT_CA_FILE: clients needed no certificate, and need none here";
            notes.push(note.to_owned());
        }
        Some(tls_of(files, notes))
    }
}

/// As Go reads it.
fn boolean(name: &str, text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!("{name}: expected true or false, found {text:?}")),
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

fn tls_of(files: [Option<String>; 3], notes: &mut Vec<String>) -> Tls {
    let [cert, key, client_ca] = files;
    if cert.is_none() || key.is_none() {
        notes.push("the certificate or its key was not named: it has to be, here".to_owned());
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
