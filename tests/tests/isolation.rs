//! In the layouts that are shipped, nobody comes to the broker but through the gate.
//!
//! Each runs here with network namespaces for machines (or containers, or pods): one for the gate, one for its
//! clients, with a cable between them, and, where the layout says so, one for the broker, without any cable. The
//! broker has the configuration that is shipped; only its folders are below a temporary one. What it must not be
//! found by, a leak made on purpose is found by.
//!
//! That needs root. Without it the tests say that they were skipped, unless `TIDEGATE_TEST_ISOLATION=required`.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "isolation/broker.rs"]
mod broker;
#[path = "isolation/intruder.rs"]
mod intruder;
#[path = "isolation/stage.rs"]
mod stage;

use std::{
    env, fs,
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
};

use intruder::{leaks, open_ports};
use stage::{CLIENT_PORTS, Stage};
use tidegate_tests::{Version, mosquitto::CommandLine, namespace::Namespace, reference::password};

/// Where the broker of a layout has its network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    /// None at all: `network_mode: none` of a container, `PrivateNetwork=` of a unit.
    None,
    /// The one of the gate: containers of a pod.
    OfTheGate,
}

/// A way of running broker and gate that is shipped.
#[derive(Debug, Clone, Copy)]
struct Layout {
    /// The configuration of the broker, from the root of the repository.
    broker_config: &'static str,
    /// Owner and mode of the folder that its socket is in; the group is always the gate's.
    folder: (u32, u32),
    network: Network,
}

/// As `deploy/compose` has it: a volume in memory.
const COMPOSE: Layout = Layout {
    folder: (broker::BROKER, 0o2770),
    broker_config: "deploy/compose/mosquitto/mosquitto.conf",
    network: Network::None,
};

/// As `deploy/kubernetes` has it: an `emptyDir` with `fsGroup`.
const KUBERNETES: Layout = Layout {
    folder: (0, 0o2777),
    broker_config: "deploy/kubernetes/base/gate/mosquitto.conf",
    network: Network::OfTheGate,
};

/// As `deploy/systemd` has it: `RuntimeDirectory=`, and the broker's group is the gate's supplementary one.
const SYSTEMD: Layout = Layout {
    folder: (broker::BROKER, 0o750),
    broker_config: "deploy/systemd/etc/mosquitto/tidegate.conf",
    network: Network::None,
};

#[test]
fn compose() {
    holds(&COMPOSE);
}

#[test]
fn kubernetes() {
    holds(&KUBERNETES);
}

#[test]
fn systemd() {
    holds(&SYSTEMD);
}

fn holds(layout: &Layout) {
    if is_skipped() {
        return;
    }
    let stage = Stage::set(layout, &[]);
    gets_through(&stage);
    assert_eq!(leaks(&stage), Vec::<String>::new());
    // By no other way, and by these two.
    assert_eq!(open_ports(&stage), CLIENT_PORTS);
}

/// A message gets from one client to another through the gate, by TCP and by TLS, and one that the
/// service refuses does not.
fn gets_through(stage: &Stage) {
    for address in stage.entrances() {
        let alice = CommandLine::new(address, Version::V5).login("alice", &password("alice"));
        let alice = match address.port() {
            stage::MQTTS => alice.tls(stage.authority()),
            _ => alice,
        };
        stage.clients().enter(|| {
            let subscriber = alice.subscribe(1, "alice/#");
            assert!(
                alice.publish(1, "bob/x", "never"),
                "MQTT 5 says no by a code"
            );
            assert!(alice.publish(1, "alice/x", "through the gate"));
            subscriber.wait_for("alice/x", "through the gate");
            assert_eq!(subscriber.messages(), ["alice/x through the gate"]);
        });
    }
}

#[test]
fn a_port_of_the_broker_is_found() {
    if is_skipped() {
        return;
    }
    let stage = Stage::set(&KUBERNETES, &["listener 11883 0.0.0.0"]);
    assert_eq!(
        open_ports(&stage),
        [CLIENT_PORTS.as_slice(), &[11_883]].concat()
    );
    let leaks = leaks(&stage);
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    assert!(
        leaks[0].starts_with("the broker has a socket of tcp"),
        "{leaks:?}"
    );
}

#[test]
fn a_port_within_the_network_of_the_broker_is_found() {
    if is_skipped() {
        return;
    }
    let stage = Stage::set(&COMPOSE, &["listener 11883 0.0.0.0"]);
    assert_eq!(open_ports(&stage), CLIENT_PORTS);
    let leaks = leaks(&stage);
    assert_eq!(leaks.len(), 1, "{leaks:?}");
    assert!(
        leaks[0].starts_with("the broker has a socket of tcp"),
        "{leaks:?}"
    );
}

#[test]
fn a_socket_for_everybody_is_found() {
    if is_skipped() {
        return;
    }
    let stage = Stage::set(&KUBERNETES, &[]);
    let socket = stage.socket();
    for path in [socket, socket.parent().unwrap()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let leaks = leaks(&stage);
    assert!(
        leaks
            .iter()
            .any(|leak| leak.starts_with("somebody else gets in")),
        "{leaks:?}"
    );
}

/// Whether there can be no namespaces here, which is said.
///
/// # Panics
/// If that is no excuse.
fn is_skipped() -> bool {
    let Some(obstacle) = Namespace::obstacle() else {
        return false;
    };
    let required = env::var("TIDEGATE_TEST_ISOLATION").is_ok_and(|value| value == "required");
    assert!(!required, "isolation is to be tested, but {obstacle}");
    // Not by `println!`, which the test runner keeps to itself when all is well.
    let _ = writeln!(
        io::stdout(),
        "skipped: needs root and network namespaces ({obstacle})"
    );
    true
}
