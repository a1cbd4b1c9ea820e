//! A broker as it is shipped.

use std::{
    fs,
    os::unix::fs::{PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Command,
};

use tidegate_tests::{namespace::Namespace, process::Program};

use crate::{
    Layout,
    stage::{GATE, as_user},
};

/// User id of the broker; its group is the one of the gate.
pub(crate) const BROKER: u32 = 1883;

/// Mosquitto with a configuration that is shipped.
#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) program: Program,
    /// Where it listens.
    pub(crate) socket: PathBuf,
}

impl Broker {
    /// Starts it, with more lines in its configuration, and waits until it listens.
    pub(crate) fn start(
        layout: &Layout,
        more: &[&str],
        below: &Path,
        namespace: &Namespace,
    ) -> Self {
        let shipped = repository().join(layout.broker_config);
        let shipped = fs::read_to_string(&shipped)
            .unwrap_or_else(|error| panic!("{}: {error}", shipped.display()));
        let text = moved(&shipped, below) + "\n" + &more.join("\n");
        let moved = below.join("mosquitto.conf");
        fs::write(&moved, &text).unwrap();

        let socket = value(&text, "listener 0 ").expect("it listens on a Unix socket");
        let (owner, mode) = layout.folder;
        folder(socket.parent().unwrap(), owner, mode);
        if let Some(data) = value(&text, "persistence_location ") {
            folder(&data, BROKER, 0o700);
        }
        let mut command = as_user(BROKER, GATE, Path::new("mosquitto"));
        let program = namespace.enter(|| Program::start("mosquitto", command.arg("-c").arg(moved)));
        let broker = Self { program, socket };
        tidegate_tests::wait::eventually("the broker listens", || {
            let mut publish = publish(&broker.socket, GATE, GATE);
            publish.output().unwrap().status.success().then_some(())
        });
        broker
    }
}

/// `mosquitto_pub` to a socket, past the gate, as a user and a group.
pub(crate) fn publish(socket: &Path, user: u32, group: u32) -> Command {
    let mut command = as_user(user, group, Path::new("mosquitto_pub"));
    command.arg("--unix").arg(socket);
    command.args(["-t", "past/the/gate", "-m", "intruder"]);
    command
}

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// A configuration whose absolute paths are below a folder instead.
fn moved(config: &str, below: &Path) -> String {
    config.replace(" /", &format!(" {}/", below.display()))
}

/// The path at the end of the line that begins so.
fn value(config: &str, key: &str) -> Option<PathBuf> {
    let value = config.lines().find_map(|line| line.strip_prefix(key));
    value.map(|value| PathBuf::from(value.trim()))
}

/// Makes a folder of somebody and the group of the gate.
fn folder(path: &Path, owner: u32, mode: u32) {
    fs::create_dir_all(path).unwrap();
    chown(path, Some(owner), Some(GATE)).unwrap();
    // After `chown`, which may take the setgid bit away.
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
