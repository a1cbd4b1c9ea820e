//! `postgres`: a server of its own, stopped, and with a table that somebody else has locked.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, Command, Stdio},
};

use tidegate_tests::{postgres::Postgres, reference::Reference};

use crate::{
    RIGHT, WRONG, before, login,
    row::{BANNED, REFUSED, Row, UNAVAILABLE, publishes},
    source,
};

const BOB: &str = "bob-canary-8d21";

#[test]
fn postgres() {
    let mut postgres = Postgres::start();
    let settings = source("postgres").set("users.postgres.url", postgres.url());
    let mut reference = Reference::start(&settings);
    reference.administer(&["user", "add", "alice"], RIGHT);
    reference.administer(&["user", "add", "bob"], BOB);
    reference.administer(&["user", "disable", "bob"], "");
    let topology = before(&reference);
    let mut row = Row::of("postgres", &topology);
    let (right, wrong) = (login("alice", RIGHT), login("alice", WRONG));
    let unknown = login("mallory", RIGHT);

    row.is_in("right", "alice", &right);
    row.hears("wrong", &wrong, REFUSED);
    row.hears("unknown", &unknown, REFUSED);
    row.hears("disabled", &login("bob", BOB), BANNED);
    row.hears("disabled, wrong", &login("bob", WRONG), REFUSED);
    let mut session = row.session(&right);

    postgres.stop();
    row.hears("down", &right, UNAVAILABLE);
    row.hears("down, wrong", &wrong, UNAVAILABLE);
    row.hears("down, unknown", &unknown, UNAVAILABLE);
    publishes(&mut session, "alice");
    session.leave();
    reference.restart();
    row.hears("down at start", &right, UNAVAILABLE);
    row.hears("down at start, wrong", &wrong, UNAVAILABLE);
    postgres.resume();
    row.comes_back("alice", &right);
    row.hears("back, wrong", &wrong, REFUSED);

    let mut session = row.session(&right);
    let lock = lock(&postgres);
    row.hears("slow", &right, UNAVAILABLE);
    row.hears("slow, wrong", &wrong, UNAVAILABLE);
    publishes(&mut session, "alice");
    drop(lock);
    row.comes_back("alice", &right);
    row.hears("back, wrong", &wrong, REFUSED);
}

/// Keeps everybody else from reading users.
fn lock(postgres: &Postgres) -> Lock {
    let mut shell = Command::new("psql")
        .args(["--no-psqlrc", "--quiet", &postgres.url()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this test needs `psql`: apt-get install postgresql-client");
    let lock = b"BEGIN; LOCK TABLE users IN ACCESS EXCLUSIVE MODE;\n\\echo locked\n";
    shell.stdin.as_ref().unwrap().write_all(lock).unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(shell.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    assert_eq!(line, "locked\n");
    Lock(shell)
}

/// A process with a lock. The server lets go of it when the process ends.
struct Lock(Child);

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
