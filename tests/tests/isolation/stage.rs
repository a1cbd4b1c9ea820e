//! Machines of a layout, and what runs on them.

use std::{
    fs,
    net::{Ipv4Addr, SocketAddr},
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use tidegate_tests::{
    binaries, gate::Settings, namespace::Namespace, pki::Authority, process::Program,
    reference::Reference, wait::eventually,
};

use crate::{Layout, Network, broker::Broker};

/// User and group id of the gate, as in the images.
pub(crate) const GATE: u32 = 65_532;

const MQTT: u16 = 1883;
pub(crate) const MQTTS: u16 = 8883;

/// Ports of the gate that are for clients.
pub(crate) const CLIENT_PORTS: [u16; 2] = [MQTT, MQTTS];

/// Where the gate is for its clients.
pub(crate) const GATE_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 86, 7, 1);
const CLIENT_ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 86, 7, 2);

/// A broker, a gate and a service as in a layout. What is started last ends first.
#[derive(Debug)]
pub(crate) struct Stage {
    _gate: Program,
    _service: Reference,
    broker: Broker,
    authority: PathBuf,
    clients: Namespace,
    alone: Option<Namespace>,
    _of_gate: Namespace,
    _folder: TempDir,
}

impl Stage {
    /// Starts it all, with more lines in the configuration of the broker.
    pub(crate) fn set(layout: &Layout, more: &[&str]) -> Self {
        let folder = TempDir::new().unwrap();
        // What keeps others out is to be the folder of the socket, and not this one.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();

        let (of_gate, clients) = (Namespace::new(), Namespace::new());
        of_gate.loopback();
        of_gate.cable(GATE_ADDRESS, &clients, CLIENT_ADDRESS);
        let alone = (layout.network == Network::None).then(Namespace::new);

        let of_broker = alone.as_ref().unwrap_or(&of_gate);
        let broker = Broker::start(layout, more, folder.path(), of_broker);
        let service = of_gate.enter(|| Reference::start(&Settings::default()));
        let settings = settings(&broker.socket, &service, folder.path());
        let gate = of_gate.enter(|| start_gate(&settings, folder.path()));
        Self {
            _gate: gate,
            _service: service,
            broker,
            authority: folder.path().join("ca.crt"),
            clients,
            alone,
            _of_gate: of_gate,
            _folder: folder,
        }
    }

    /// The machine of the clients.
    pub(crate) fn clients(&self) -> &Namespace {
        &self.clients
    }

    /// The network of the broker, if it has one of its own.
    pub(crate) fn alone(&self) -> Option<&Namespace> {
        self.alone.as_ref()
    }

    /// The process of the broker.
    pub(crate) fn broker(&self) -> &Program {
        &self.broker.program
    }

    /// Where the broker listens.
    pub(crate) fn socket(&self) -> &Path {
        &self.broker.socket
    }

    /// The file of the authority behind the certificate of the gate.
    pub(crate) fn authority(&self) -> PathBuf {
        self.authority.clone()
    }

    /// Where clients may go in.
    pub(crate) fn entrances(&self) -> [SocketAddr; 2] {
        CLIENT_PORTS.map(|port| (GATE_ADDRESS, port).into())
    }
}

fn settings(broker: &Path, service: &Reference, folder: &Path) -> Settings {
    let (cert, key) = certificate(folder);
    let broker = format!("unix:{}", broker.display());
    let listener = |name: &str, port: u16| {
        let mut listener = toml::Table::new();
        listener.insert("name".into(), name.into());
        listener.insert("bind".into(), format!("0.0.0.0:{port}").into());
        listener
    };
    let mut plain = listener("mqtt", MQTT);
    plain.insert("transport".into(), "tcp".into());
    let mut secure = listener("mqtts", MQTTS);
    secure.insert("transport".into(), "tls".into());
    let identity = [("cert", cert), ("key", key)];
    let identity =
        identity.map(|(name, path)| (name.to_owned(), path.display().to_string().into()));
    let certificates: Vec<toml::Value> = vec![toml::Table::from_iter(identity).into()];
    let tls = [("certificates".to_owned(), certificates.into())];
    secure.insert("tls".into(), toml::Table::from_iter(tls).into());
    let listeners: Vec<toml::Value> = vec![plain.into(), secure.into()];
    Settings::for_gate(&broker, &service.endpoint()).set("listeners", listeners)
}

/// Files that the gate may read, and that of their authority.
fn certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let authority = Authority::new();
    let identity = authority.issue(&GATE_ADDRESS.to_string());
    let copy = |from: &Path, name: &str| {
        let path = folder.join(name);
        fs::copy(from, &path).unwrap();
        chown(&path, Some(GATE), Some(GATE)).unwrap();
        path
    };
    copy(&authority.file(), "ca.crt");
    (
        copy(&identity.cert, "gate.crt"),
        copy(&identity.key, "gate.key"),
    )
}

/// Starts it as its user, who may not be able to look into the folder that it was built in.
fn start_gate(settings: &Settings, folder: &Path) -> Program {
    let program = folder.join("tidegate");
    if fs::hard_link(binaries::tidegate(), &program).is_err() {
        fs::copy(binaries::tidegate(), &program).unwrap();
    }
    let config = folder.join("tidegate.toml");
    fs::write(&config, settings.to_string()).unwrap();
    let mut command = as_user(GATE, GATE, &program);
    command.args(["run", "--config"]).arg(&config);
    command.env("TIDEGATE__LOG__FORMAT", "json");
    let gate = Program::start("tidegate", &mut command);
    eventually("the gate listens", || {
        let listening = gate.output().matches("listening").count();
        (listening >= CLIENT_PORTS.len()).then_some(())
    });
    gate
}

/// A command as a user, with this group and no other.
pub(crate) fn as_user(user: u32, group: u32, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command
        .arg(format!("--reuid={user}"))
        .arg(format!("--regid={group}"))
        .args(["--clear-groups", "--no-new-privs", "--"])
        .arg(program);
    command
}
