//! `jwt`: keys at a URL, and in a file.

use std::fs;

use tempfile::TempDir;
use tidegate_tests::{Connect, gate::Settings, reference::Reference};

use crate::{
    before,
    issuer::Issuer,
    login,
    row::{REFUSED, Row, UNAVAILABLE, publishes},
    source,
    web::{Health, Web},
};

/// What clients bring.
struct Logins {
    right: Connect,
    /// Signed by somebody else who says to be the issuer.
    forged: Connect,
    /// Signed with a key that the issuer does not have.
    unknown: Connect,
    /// The nearest to a disabled user: a token that was good once.
    expired: Connect,
}

impl Logins {
    fn of(issuer: &Issuer) -> Self {
        Self {
            right: login("token", &issuer.token("alice")),
            forged: login("token", &Issuer::new("one").token("alice")),
            unknown: login("token", &Issuer::new("two").token("alice")),
            expired: login("token", &issuer.expired("alice")),
        }
    }
}

/// A source that looks again each time.
fn impatient() -> Settings {
    source("jwt")
        .set("users.jwt.min_refresh", "1ms")
        .set("users.jwt.timeout", "1s")
}

#[test]
fn jwks_url() {
    let issuer = Issuer::new("one");
    let keys = issuer.key_set();
    let mut web = Web::start(move |_| (200, keys.clone()));
    let settings = impatient().set("users.jwt.jwks_url", web.url() + "/jwks.json");
    let mut reference = Reference::start(&settings);
    let topology = before(&reference);
    let mut row = Row::of("jwt (URL)", &topology);
    let clients = Logins::of(&issuer);

    row.comes_back("alice", &clients.right);
    row.is_in("right", "alice", &clients.right);
    row.hears("wrong", &clients.forged, REFUSED);
    row.hears("unknown key", &clients.unknown, REFUSED);
    row.hears("expired", &clients.expired, REFUSED);
    let mut session = row.session(&clients.right);

    // It knows the keys, so only those of another key can't be judged.
    web.stop();
    row.is_in("down, known key", "alice", &clients.right);
    row.hears("down, wrong", &clients.forged, REFUSED);
    row.hears("down, unknown key", &clients.unknown, UNAVAILABLE);
    reference.restart();
    row.hears("down at start", &clients.right, UNAVAILABLE);
    row.hears("down at start, wrong", &clients.forged, UNAVAILABLE);
    publishes(&mut session, "alice");
    web.resume();
    row.comes_back("alice", &clients.right);
    row.hears("back, wrong", &clients.forged, REFUSED);

    web.is(Health::Slow);
    reference.restart();
    row.hears("slow", &clients.right, UNAVAILABLE);
    row.hears("slow, wrong", &clients.forged, UNAVAILABLE);
    web.is(Health::Well);
    row.comes_back("alice", &clients.right);
    row.hears("back, wrong", &clients.forged, REFUSED);
}

#[test]
fn jwks_url_asked_seldom() {
    let issuer = Issuer::new("one");
    let keys = issuer.key_set();
    let web = Web::start(move |_| (200, keys.clone()));
    // At most every 10 s, as it is if nothing is said.
    let settings = source("jwt").set("users.jwt.jwks_url", web.url() + "/jwks.json");
    let reference = Reference::start(&settings);
    let topology = before(&reference);
    let mut row = Row::of("jwt (seldom)", &topology);
    let right = login("token", &issuer.token("alice"));
    row.comes_back("alice", &right);

    // Whether it may ask again just now makes no difference.
    let other = Issuer::new("two");
    for (case, has_key_id) in [("unknown key", true), ("no key id", false)] {
        let forged = login("token", &other.dated("alice", 1_000_000_000, has_key_id));
        row.hears(case, &forged, REFUSED);
        row.hears(case, &forged, REFUSED);
    }
    row.is_in("right", "alice", &right);
    row.has_no("slow");
}

#[test]
fn jwks_file() {
    let issuer = Issuer::new("one");
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("jwks.json");
    fs::write(&file, issuer.key_set()).unwrap();
    let settings = impatient().set("users.jwt.jwks_file", file.to_str().unwrap());
    let mut reference = Reference::start(&settings);
    let topology = before(&reference);
    let mut row = Row::of("jwt (file)", &topology);
    let clients = Logins::of(&issuer);

    row.is_in("right", "alice", &clients.right);
    row.hears("wrong", &clients.forged, REFUSED);
    row.hears("unknown key", &clients.unknown, REFUSED);
    row.hears("expired", &clients.expired, REFUSED);

    fs::remove_file(&file).unwrap();
    row.is_in("gone, known key", "alice", &clients.right);
    row.hears("gone, wrong", &clients.forged, REFUSED);
    row.hears("gone, unknown key", &clients.unknown, UNAVAILABLE);
    reference.kill();
    row.hears("service down", &clients.right, UNAVAILABLE);
    fs::write(&file, issuer.key_set()).unwrap();
    reference.restart();
    row.comes_back("alice", &clients.right);
    row.hears("back, wrong", &clients.forged, REFUSED);
    row.has_no("slow");
}
