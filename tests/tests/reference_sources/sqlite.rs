//! `sqlite`, filled by `user add`. The real `sqlite3` damages the database, and locks it.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;
use tidegate_tests::{reference::Reference, wait};

use crate::{
    RIGHT, WRONG, before, login,
    row::{BANNED, REFUSED, Row, UNAVAILABLE, publishes},
    run, source,
};

const BOB: &str = "bob-canary-8d21";

#[test]
fn sqlite() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("users.db");
    let path = file.to_str().unwrap();
    let mut reference = Reference::start(&source("sqlite").set("users.sqlite.path", path));
    reference.administer(&["user", "add", "alice"], RIGHT);
    reference.administer(&["user", "add", "bob"], BOB);
    reference.administer(&["user", "disable", "bob"], "");
    let topology = before(&reference);
    let mut row = Row::of("sqlite", &topology);
    let (right, wrong) = (login("alice", RIGHT), login("alice", WRONG));

    row.is_in("right", "alice", &right);
    row.hears("wrong", &wrong, REFUSED);
    row.hears("unknown", &login("mallory", RIGHT), REFUSED);
    row.hears("disabled", &login("bob", BOB), BANNED);
    row.hears("disabled, wrong", &login("bob", WRONG), REFUSED);
    let mut session = row.session(&right);

    // Somebody has "cleaned up" while it runs.
    run(
        "sqlite3",
        &[path, "ALTER TABLE users RENAME TO put_by"],
        "sqlite3",
    );
    row.hears("table gone", &right, UNAVAILABLE);
    row.hears("table gone, wrong", &wrong, UNAVAILABLE);
    row.hears("table gone, unknown", &login("mallory", RIGHT), UNAVAILABLE);
    publishes(&mut session, "alice");
    run(
        "sqlite3",
        &[path, "ALTER TABLE put_by RENAME TO users"],
        "sqlite3",
    );
    row.comes_back("alice", &right);
    row.hears("back, wrong", &wrong, REFUSED);
    session.leave();

    // It is no database when the service starts.
    reference.terminate();
    // All of it into the one file: the log beside it would heal the damage.
    run(
        "sqlite3",
        &[path, "PRAGMA journal_mode = DELETE"],
        "sqlite3",
    );
    let good = fs::read(&file).unwrap();
    fs::write(&file, [b'x'; 8192]).unwrap();
    reference.restart();
    row.hears("spoiled", &right, UNAVAILABLE);
    row.hears("spoiled, wrong", &wrong, UNAVAILABLE);
    reference.terminate();
    fs::write(&file, good).unwrap();

    // Readers of SQLite wait for nobody, but for somebody who has the whole database to themselves.
    let lock = Lock::of(&file);
    reference.restart();
    row.hears("slow", &right, UNAVAILABLE);
    row.hears("slow, wrong", &wrong, UNAVAILABLE);
    drop(lock);
    row.comes_back("alice", &right);
    row.hears("back, wrong", &wrong, REFUSED);
}

/// A process that keeps a database to itself until it is dropped.
struct Lock(Child);

impl Lock {
    fn of(file: &Path) -> Self {
        wait::eventually("sqlite3 has the database to itself", || Self::try_for(file))
    }

    fn try_for(file: &Path) -> Option<Self> {
        let mut shell = Command::new("sqlite3")
            .arg("-bail")
            .arg(file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("this test needs `sqlite3`: apt-get install sqlite3");
        let mut stdin = shell.stdin.as_ref().unwrap();
        let lock = "PRAGMA locking_mode=EXCLUSIVE;\nBEGIN EXCLUSIVE;\nSELECT 'locked', count(*) FROM users;\n";
        stdin.write_all(lock.as_bytes()).unwrap();
        let stdout = BufReader::new(shell.stdout.take().unwrap());
        let locked = stdout.lines().map_while(Result::ok);
        let locked = locked.into_iter().any(|line| line.starts_with("locked"));
        let lock = Self(shell);
        locked.then_some(lock)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
