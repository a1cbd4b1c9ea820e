//! Tidegate as it is configured here: its defaults, but for the limit on connections.

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::Context as _;
use serde_json::Value;

use super::{Binaries, Certificate, Proxy, child::Child};

/// Settings beyond the base, as `key = value`: `authz.publish.max_batch` = `128`.
pub(crate) type Settings = Vec<(String, String)>;

/// Starts Tidegate, or a program that acts as it, before the sink and beside a service.
pub(super) fn start(
    program: &Path,
    sink: SocketAddr,
    service: SocketAddr,
    settings: &Settings,
    certificate: Option<&Certificate>,
) -> anyhow::Result<Proxy> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tidegate.toml");
    fs::write(&file, configuration(sink, service, certificate))?;
    let command = command(program, "run", &file, settings);
    let child = Child::start("tidegate", &command, Some(folder))?;
    let address = child.wait_for(listening)?;
    Ok(Proxy { child, address })
}

/// Whether this Tidegate takes these settings. One that is older or newer may not have the keys.
pub(crate) fn knows(binaries: &Binaries, settings: &Settings) -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("tidegate.toml");
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    fs::write(&file, configuration(nobody, nobody, None))?;
    let status = command(&binaries.tidegate, "check", &file, settings)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("cannot start tidegate")?;
    Ok(status.success())
}

fn command(program: &Path, verb: &str, file: &Path, settings: &Settings) -> Command {
    let mut command = Command::new(program);
    command
        .arg(verb)
        .arg("--config")
        .arg(file)
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    for (key, value) in settings {
        command.env(
            format!("TIDEGATE__{}", key.replace('.', "__").to_uppercase()),
            value,
        );
    }
    command
}

fn configuration(
    sink: SocketAddr,
    service: SocketAddr,
    certificate: Option<&Certificate>,
) -> String {
    let tls = certificate.map_or_else(String::new, |certificate| {
        format!(
            "transport = \"tls\"\n\n[[listeners.tls.certificates]]\ncert = {:?}\nkey = {:?}\n",
            certificate.cert, certificate.key
        )
    });
    format!(
        r#"[[listeners]]
name = "mqtt"
bind = "127.0.0.1:0"
{tls}
[broker]
url = "mqtt://{sink}"

[authz]
endpoint = "http://{service}"

[limits]
max_connections = 12000

[log]
format = "json"
"#
    )
}

/// The address of the line with which both programs say that they are there.
pub(super) fn listening(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    let is_it = line.get("message")?.as_str()? == "listening";
    is_it.then(|| line.get("address")?.as_str()?.parse().ok())?
}
