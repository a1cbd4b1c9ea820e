//! `config from-mproxy-env`: the configuration that does what mProxy (mGate, by its later name) did with the
//! variables of this environment.
//!
//! There were two ways to say it: one set of variables for the whole proxy (`MPROXY_MQTT_PORT`), and later one for
//! each listener, by protocol and kind of TLS (`MGATE_MQTT_WITH_TLS_PORT`, or `…_ADDRESS`). What has no equal is
//! said in a comment, so that nobody believes it to be in force.

mod listener;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fmt::Write as _,
};

use self::listener::{Entrance, Tls};

/// Prefixes of variables, by the two names of the program.
const PREFIXES: [&str; 2] = ["MPROXY_", "MGATE_"];

/// The configuration as text.
///
/// # Errors
///
/// There is nothing to translate, or mProxy would not have started with it.
pub(super) fn translate(
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Result<String, String> {
    let mut variables = Variables::new(environment);
    if variables.values.is_empty() {
        return Err("no variable of the environment begins with MPROXY_ or MGATE_".to_owned());
    }
    let entrances = match Entrance::all_of_later(&mut variables)? {
        Some(entrances) => entrances,
        None => Entrance::all_of_first(&mut variables)?,
    };
    if entrances.is_empty() {
        // Without any, the defaults of Tidegate would open one.
        return Err("none of the variables opens a listener for MQTT".to_owned());
    }
    let log = variables.take("LOG_LEVEL");
    Ok(write(&entrances, log.as_deref(), &variables))
}

/// Variables by their names without the prefix, and which of them were understood.
struct Variables {
    values: BTreeMap<String, (String, String)>,
    taken: BTreeSet<String>,
}

impl Variables {
    fn new(environment: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        let mut values = BTreeMap::new();
        for (name, value) in environment {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
                continue;
            };
            let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
            let short = PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix));
            if let Some(short) = short.filter(|short| short.chars().all(is_plain)) {
                values.insert(short.to_owned(), (name.to_owned(), value.trim().to_owned()));
            }
        }
        Self {
            values,
            taken: BTreeSet::new(),
        }
    }

    /// The value, unless it is empty.
    fn take(&mut self, name: &str) -> Option<String> {
        let (_, value) = self.values.get(name)?;
        self.taken.insert(name.to_owned());
        Some(value.clone()).filter(|value| !value.is_empty())
    }

    /// Whether some variable begins like this.
    fn has(&self, beginning: &str) -> bool {
        self.values.keys().any(|name| name.starts_with(beginning))
    }

    /// Those that nobody understood, and are not empty.
    fn left(&self) -> impl Iterator<Item = &str> {
        let left = |(short, (_, value)): &(&String, &(String, String))| {
            !self.taken.contains(*short) && !value.is_empty()
        };
        let all = self.values.iter().filter(left);
        all.map(|(_, (name, _))| name.as_str())
    }
}

fn write(entrances: &[Entrance], log: Option<&str>, variables: &Variables) -> String {
    let mut text = String::from(
        "# Made of the variables MPROXY_* and MGATE_*. Tidegate has no handler of its own: it asks a service, which\n\
         # has to be written, or `tidegate-authz`.\n",
    );
    let mut line = |line: &str| {
        // A String takes whatever is written.
        let _ = writeln!(text, "{line}");
    };
    for entrance in entrances {
        line("\n[[listeners]]");
        for note in &entrance.notes {
            line(&format!("# {note}"));
        }
        line(&format!("name = {}", quoted(&entrance.name)));
        line(&format!("bind = {}", quoted(&entrance.bind)));
        line(&format!("transport = {}", quoted(entrance.transport)));
        if let Some(Tls {
            cert,
            key,
            client_ca,
        }) = &entrance.tls
        {
            let pair = format!("cert = {}, key = {}", quoted(cert), quoted(key));
            let clients = client_ca.as_ref().map_or_else(String::new, |ca| {
                let ca = quoted(ca);
                format!(", client_certificates = \"required\", client_ca = {ca}")
            });
            line(&format!(
                "tls = {{ certificates = [{{ {pair} }}]{clients} }}"
            ));
        }
        if let Some(path) = &entrance.path {
            line(&format!("websocket = {{ path = {} }}", quoted(path)));
        }
    }
    let mut targets: Vec<_> = entrances
        .iter()
        .map(|it| (&it.target, &it.target_ca))
        .collect();
    targets.dedup();
    if let Some((target, ca)) = targets.first() {
        line("\n[broker]");
        line(&format!("url = {}", quoted(target)));
        if let Some(ca) = ca {
            line(&format!("tls = {{ ca = {} }}", quoted(ca)));
        }
        let others: BTreeSet<_> = targets.iter().map(|(it, _)| *it).collect();
        for other in others.iter().filter(|other| *other != target) {
            line(&format!(
                "# {} was behind some listeners: all of a Tidegate have one broker, whatever clients speak",
                quoted(other)
            ));
        }
    }
    line("\n[authz]\nendpoint = \"http://127.0.0.1:50051\"  # where the service is");
    if let Some(level) = log {
        let level = level.to_ascii_lowercase();
        match level.as_str() {
            "trace" | "debug" | "info" | "warn" | "error" => {
                line(&format!("\n[log]\nfilter = {}", quoted(&level)));
            }
            _ => line(&format!(
                "\n# LOG_LEVEL: there is no level {}",
                quoted(&level)
            )),
        }
    }
    for name in variables.left() {
        let why = match () {
            () if name.contains("_HTTP_") || name.contains("_COAP_") => {
                "Tidegate speaks MQTT alone"
            }
            () if name.contains("OCSP") || name.contains("VERIFICATION") => {
                "Tidegate asks no OCSP responder; listeners.tls.client_crl takes lists of revoked certificates"
            }
            () if name.ends_with("_SERVER_CA_FILE") => "this target is not reached by TLS",
            () => "no equal",
        };
        line(&format!("# {name}: {why}"));
    }
    text
}

/// A text in TOML, which has JSON's escapes.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
