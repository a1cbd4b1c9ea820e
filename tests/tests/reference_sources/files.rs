//! `file`: our own, and those of other programs.

use std::{fs, path::Path};

use tempfile::TempDir;
use tidegate_tests::{
    Topology, Version,
    mosquitto::CommandLine,
    reference::{Reference, password},
};

use crate::{
    RIGHT, WRONG, before, login,
    row::{BANNED, REFUSED, Row, UNAVAILABLE},
    run, source,
};

/// A file can't be slow, since logins never read it, and one that is gone or spoiled leaves the users as they were. So
/// what can be down is the service itself.
fn go_through(row: &mut Row<'_>, reference: &mut Reference, file: &Path, right: &str) {
    row.is_in("right", "alice", &login("alice", right));
    row.hears("wrong", &login("alice", WRONG), REFUSED);
    row.hears("unknown", &login("mallory", right), REFUSED);
    let mut session = row.session(&login("alice", right));

    let good = fs::read(file).unwrap();
    fs::write(file, "spoiled").unwrap();
    tidegate_tests::assert_eventually!(reference.log().contains("cannot be used"));
    row.is_in("spoiled", "alice", &login("alice", right));
    row.hears("spoiled, wrong", &login("alice", WRONG), REFUSED);
    fs::remove_file(file).unwrap();
    row.is_in("gone", "alice", &login("alice", right));
    crate::row::publishes(&mut session, "alice");

    reference.kill();
    row.hears("service down", &login("alice", right), UNAVAILABLE);
    row.hears("service down, wrong", &login("alice", WRONG), UNAVAILABLE);
    fs::write(file, good).unwrap();
    reference.restart();
    row.comes_back("alice", &login("alice", right));
    row.hears("back, wrong", &login("alice", WRONG), REFUSED);
}

#[test]
fn toml() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("users.toml");
    let settings = source("file").set("users.file", file.to_str().unwrap());
    let mut reference = Reference::start(&settings);
    reference.administer(&["user", "add", "bob"], &password("bob"));
    reference.administer(&["user", "add", "alice"], RIGHT);
    reference.administer(&["user", "disable", "bob"], "");
    reference.restart();
    let topology = before(&reference);
    let mut row = Row::of("file (TOML)", &topology);

    // Only who knows the password hears that the user is disabled.
    row.hears("disabled", &login("bob", &password("bob")), BANNED);
    row.hears("disabled, wrong", &login("bob", WRONG), REFUSED);
    go_through(&mut row, &mut reference, &file, RIGHT);
}

#[test]
fn mosquitto_passwd() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("passwords");
    let path = file.to_str().unwrap();
    run(
        "mosquitto_passwd",
        &["-c", "-b", path, "alice", RIGHT],
        "mosquitto",
    );
    let old = ["-H", "sha512", "-b", path, "bob", "bob-canary-8d21"];
    run("mosquitto_passwd", &old, "mosquitto");
    let mut reference = Reference::start(&source("file").set("users.file", path));
    let topology = before(&reference);
    let mut row = Row::of("file (mosquitto)", &topology);

    row.is_in("right $6$", "bob", &login("bob", "bob-canary-8d21"));
    row.has_no("disabled");
    let publishes = |password| by_the_mosquitto_client(&topology, password);
    assert!(publishes(RIGHT));
    assert!(!publishes(WRONG));
    go_through(&mut row, &mut reference, &file, RIGHT);
    assert!(publishes(RIGHT));
    reference.kill();
    assert!(!publishes(RIGHT));
}

/// Whether the real client could publish as alice.
fn by_the_mosquitto_client(topology: &Topology, password: &str) -> bool {
    [Version::V5, Version::V311].iter().all(|&version| {
        CommandLine::new(topology.gate().address(), version)
            .login("alice", password)
            .publish(1, "alice/from-mosquitto_pub", "hello")
    })
}

#[test]
fn htpasswd() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("htpasswd");
    let path = file.to_str().unwrap();
    let arguments = ["-c", "-b", "-B", path, "alice", RIGHT];
    run("htpasswd", &arguments, "apache2-utils");
    let mut reference = Reference::start(&source("file").set("users.file", path));
    let topology = before(&reference);
    let mut row = Row::of("file (htpasswd)", &topology);

    row.has_no("disabled");
    go_through(&mut row, &mut reference, &file, RIGHT);
}
