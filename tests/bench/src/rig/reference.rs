//! The reference service, with clients that have no name.

use std::{fs, net::SocketAddr, process::Command};

use super::{Binaries, child::Child, gate::listening};

/// `tidegate-authz` as it comes, except that it lets in clients without a name, and their identifiers alone.
#[derive(Debug)]
pub(crate) struct Reference {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Reference {
    pub(crate) fn start(binaries: &Binaries) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("authz.toml");
        let configuration = "bind = \"127.0.0.1:0\"\n\n\
             [policy]\nanonymous = true\nclient_ids = \"off\"\n\n[log]\nformat = \"json\"\n";
        fs::write(&file, configuration)?;
        let mut command = Command::new(&binaries.tidegate_authz);
        command
            .arg("run")
            .arg("--config")
            .arg(&file)
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        let child = Child::start("tidegate-authz", &command, Some(folder))?;
        let address = child.wait_for(listening)?;
        Ok(Self { child, address })
    }
}
