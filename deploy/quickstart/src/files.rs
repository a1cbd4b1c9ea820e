//! The files that the programs are given: a directory of their own, gone at the end.

use crate::{child, role::Role};
use anyhow::{Context as _, ensure};
use std::{fs, io, net::SocketAddr, path::Path};
use tempfile::TempDir;

/// The configuration of `tidegate-authz`.
pub(crate) const AUTHZ: &str = "authz.toml";
/// The configuration of `tidegate`.
pub(crate) const GATE: &str = "tidegate.toml";

/// Who may log in. Everything listens on 127.0.0.1 only, so passwords need not be secret: each
/// user's is the user's name.
pub(crate) const USERS: [&str; 2] = ["alice", "bob"];

/// A temporary directory for configuration and users.
#[derive(Debug)]
pub(crate) struct Files(TempDir);

impl Files {
    pub(crate) fn new() -> io::Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("tidegate-quickstart-")
            .tempdir()?;
        Ok(Self(directory))
    }

    pub(crate) fn directory(&self) -> &Path {
        self.0.path()
    }

    /// Configures `tidegate-authz` and adds the users, as a person would: with `user add`.
    pub(crate) async fn prepare_authz(&self) -> anyhow::Result<()> {
        let configuration = "bind = \"127.0.0.1:0\"\n\n[users]\nfile = \"users.toml\"\n";
        self.write(AUTHZ, configuration)?;
        for user in USERS {
            let arguments = ["user", "add", user, "--config", AUTHZ];
            let password = format!("{user}\n");
            let added = child::run(Role::AuthzTool, &arguments, self.directory(), &password);
            let added = added.await.context("cannot start tidegate-authz")?;
            ensure!(
                added.status.success(),
                "tidegate-authz could not add the user {user}: {}",
                String::from_utf8_lossy(&added.stderr).trim()
            );
        }
        Ok(())
    }

    /// Configures `tidegate`: every decision is logged and, if there is a collector, traced.
    pub(crate) fn prepare_gate(
        &self,
        port: u16,
        broker: &str,
        authz: SocketAddr,
    ) -> anyhow::Result<()> {
        // A text in JSON is one in TOML.
        let broker = serde_json::Value::from(broker);
        let configuration = format!(
            r#"[[listeners]]
name = "mqtt"
bind = "127.0.0.1:{port}"

[broker]
url = {broker}

[authz]
endpoint = "http://{authz}"

[telemetry]
trace_sample_ratio = {{ connect = 1.0, subscribe = 1.0, publish = 1.0 }}

[log]
allows = true

[drain]
duration = "0s"
timeout = "2s"
"#
        );
        self.write(GATE, &configuration)
    }

    fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        let path = self.directory().join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    }
}
