//! Every user source of the reference service with a real store behind it, as clients at the gate meet it: a right and
//! a wrong password, somebody unknown and somebody disabled, a store that is down, one that is slow, and one that comes
//! back.
//!
//! Nobody may hear "bad password" because a store can't be asked: that is CONNACK 0x88, in MQTT 3.1.1 code 3.
//! `-- --nocapture` shows a line for each source, in the order of the cases, with what MQTT 5 and MQTT 3.1.1 heard.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "reference_sources/certificates.rs"]
mod certificates;
#[path = "reference_sources/files.rs"]
mod files;
#[path = "reference_sources/issuer.rs"]
mod issuer;
#[path = "reference_sources/managers.rs"]
mod managers;
#[path = "reference_sources/postgres.rs"]
mod postgres;
#[path = "reference_sources/row.rs"]
mod row;
#[path = "reference_sources/sqlite.rs"]
mod sqlite;
#[path = "reference_sources/tokens.rs"]
mod tokens;
#[path = "reference_sources/web.rs"]
mod web;

use std::process::{Command, Stdio};

use tidegate_tests::{Connect, Topology, gate::Settings, reference::Reference, topology};

/// Of alice.
const RIGHT: &str = "alice-canary-8d21";
/// Of nobody.
const WRONG: &str = "wrong-canary-8d21";

/// Settings of a service with one source.
fn source(name: &str) -> Settings {
    let sources: Vec<toml::Value> = vec![name.into()];
    Settings::default().set("users.sources", sources)
}

/// A gate before Mosquitto, with this service.
fn before(reference: &Reference) -> Topology {
    Topology::real().service_at(reference.endpoint()).start()
}

fn login(username: &str, password: &str) -> Connect {
    Connect::new(topology::unique("client")).login(username, password)
}

/// Runs a program that has to be there to its end.
#[track_caller]
fn run(program: &str, arguments: &[&str], package: &str) {
    let made = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let made = made.unwrap_or_else(|error| {
        panic!("this test needs `{program}` ({error}): apt-get install {package}")
    });
    assert!(made.status.success(), "{program} {arguments:?}: {made:?}");
}
