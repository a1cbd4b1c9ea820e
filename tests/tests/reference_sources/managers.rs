//! `http`: a user manager that users log in at, one that identifies tokens, and a gateway for go-auth.

use serde_json::json;
use tidegate_tests::{Connect, gate::Settings, reference::Reference};

use crate::{
    RIGHT, WRONG, before,
    issuer::Issuer,
    login,
    row::{Code, REFUSED, Row, UNAVAILABLE, publishes},
    source,
    web::{Answer, Health, Question, Web},
};

/// Goes through all that can happen to an HTTP server. `refused` are those whom it does not let in.
fn go_through(row: &mut Row<'_>, web: &mut Web, right: &Connect, refused: &[(&str, Connect)]) {
    let hear = |row: &mut Row<'_>, when: &str, code: Code| {
        for (case, connect) in refused {
            row.hears(&format!("{when}{case}"), connect, code);
        }
    };
    row.is_in("right", "alice", right);
    hear(row, "", REFUSED);
    let mut session = row.session(right);

    web.is(Health::Broken);
    row.hears("500", right, UNAVAILABLE);
    hear(row, "500, ", UNAVAILABLE);
    web.stop();
    row.hears("down", right, UNAVAILABLE);
    hear(row, "down, ", UNAVAILABLE);
    publishes(&mut session, "alice");
    web.resume();
    row.comes_back("alice", right);
    hear(row, "back, ", REFUSED);

    web.is(Health::Slow);
    row.hears("slow", right, UNAVAILABLE);
    row.hears("slow, wrong", &refused[0].1, UNAVAILABLE);
    publishes(&mut session, "alice");
    web.is(Health::Well);
    row.comes_back("alice", right);
    hear(row, "back, ", REFUSED);
}

#[test]
fn user_manager_log_in() {
    let mut web = Web::start(|question| {
        assert_eq!(question.path, "/login");
        log_in(question.says("username"), question.says("password"))
    });
    let reference = Reference::start(&manager(&web));
    let topology = before(&reference);
    let refused = [
        ("wrong", login("alice", WRONG)),
        ("unknown", login("mallory", RIGHT)),
        ("disabled", login("bob", RIGHT)),
    ];
    let mut row = Row::of("http (log in)", &topology);
    go_through(&mut row, &mut web, &login("alice", RIGHT), &refused);
}

fn manager(web: &Web) -> Settings {
    source("http")
        .set("users.http.url", web.url())
        .set("users.http.manager.refused_status", vec![401, 403, 404])
}

fn log_in(username: &str, password: &str) -> Answer {
    match (username, password) {
        ("alice", RIGHT) => (200, json!({"user": {"username": "alice"}}).to_string()),
        ("alice", _) => (401, "wrong password".to_owned()),
        ("bob", _) => (403, json!({"error": "disabled"}).to_string()),
        _ => (404, json!({"error": "nobody"}).to_string()),
    }
}

#[test]
fn user_manager_token() {
    let issuer = Issuer::new("manager");
    let (alice, bob) = (issuer.token("alice"), issuer.token("bob"));
    let (known, disabled) = (alice.clone(), bob.clone());
    let mut web = Web::start(move |question| {
        assert_eq!(question.path, "/identify");
        match question.bearer.as_deref() {
            Some(token) if token == known => (200, json!({"name": "alice"}).to_string()),
            Some(token) if token == disabled => (403, json!({"error": "disabled"}).to_string()),
            _ => (401, "no such token".to_owned()),
        }
    });
    let reference = Reference::start(&manager(&web));
    let topology = before(&reference);
    let refused = [
        (
            "wrong",
            login("alice", &Issuer::new("other").token("alice")),
        ),
        ("unknown", login("", &issuer.token("mallory"))),
        ("disabled", login("bob", &bob)),
    ];
    let mut row = Row::of("http (token)", &topology);
    row.is_in("as user name", "alice", &login(&alice, ""));
    go_through(&mut row, &mut web, &login("token", &alice), &refused);
}

#[test]
fn go_auth() {
    let mut web = Web::start(gateway);
    let settings = source("http")
        .set("users.http.url", web.url())
        .set("users.http.mode", "go-auth");
    let reference = Reference::start(&settings);
    let topology = before(&reference);
    let refused = [
        ("wrong", login("alice", WRONG)),
        ("unknown", login("mallory", RIGHT)),
        ("disabled", login("bob", RIGHT)),
    ];
    let mut row = Row::of("http (go-auth)", &topology);
    go_through(&mut row, &mut web, &login("alice", RIGHT), &refused);
}

fn gateway(question: &Question) -> Answer {
    let (username, password) = (question.says("username"), question.says("password"));
    let yes = match question.path.as_str() {
        "/getuser" => username == "alice" && password == RIGHT,
        "/superuser" => false,
        other => panic!("asked for {other}"),
    };
    (if yes { 200 } else { 403 }, String::new())
}
