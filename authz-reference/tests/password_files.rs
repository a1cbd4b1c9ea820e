//! Users that other programs have written down, made by those programs.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{
    fs,
    io::ErrorKind,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use support::{
    program::{Serving, run},
    *,
};

/// Runs a program that has to be there.
fn make(program: &str, args: &[&str], folder: &Path, package: &str) {
    let made = Command::new(program)
        .args(args)
        .current_dir(folder)
        .output();
    if made
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::NotFound)
    {
        panic!("this test needs `{program}`: apt-get install {package}");
    }
    let made = made.unwrap();
    assert!(made.status.success(), "{made:?}");
}

fn mosquitto(folder: &Path) {
    let make = |args: &[&str]| make("mosquitto_passwd", args, folder, "mosquitto");
    make(&["-b", "-c", "mosquitto.pw", "alice", "alice-secret"]);
    make(&["-H", "sha512", "-b", "mosquitto.pw", "bob", "bob-secret"]);
}

fn htpasswd(folder: &Path) {
    let make = |args: &[&str]| make("htpasswd", args, folder, "apache2-utils");
    make(&[
        "-b",
        "-B",
        "-C",
        "4",
        "-c",
        "htpasswd",
        "alice",
        "alice-secret",
    ]);
    make(&["-b", "-B", "-C", "4", "htpasswd", "bob", "bob-secret"]);
}

async fn logs_in(folder: &Path, config: &str) {
    let serving = Serving::start(folder, config);
    let mut client = Client::new(channel(serving.addr).await);
    for (name, password, expected) in [
        ("alice", "alice-secret", "allow"),
        ("bob", "bob-secret", "allow"),
        ("alice", "bob-secret", "deny"),
        ("bob", "", "deny"),
        ("carol", "carol-secret", "deny"),
    ] {
        let results = connect_all(&mut client, vec![connect(Some(name), Some(password))]).await;
        let result = summary!(results[0], connect_result);
        assert!(result.starts_with(expected), "{name} {password}: {result}");
    }
}

#[tokio::test]
async fn a_mosquitto_file_is_a_source() {
    let folder = tempfile::tempdir().unwrap();
    mosquitto(folder.path());
    for format in ["auto", "mosquitto"] {
        let config = format!("[users]\nfile = \"mosquitto.pw\"\nfile_format = \"{format}\"\n");
        logs_in(folder.path(), &config).await;
    }
}

#[tokio::test]
async fn an_htpasswd_file_is_a_source() {
    let folder = tempfile::tempdir().unwrap();
    htpasswd(folder.path());
    for format in ["auto", "htpasswd"] {
        let config = format!("[users]\nfile = \"htpasswd\"\nfile_format = \"{format}\"\n");
        logs_in(folder.path(), &config).await;
    }
}

fn succeeds(folder: &Path, args: &[&str], input: &str) -> String {
    let output = run(folder, args, input);
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn fails(folder: &Path, args: &[&str], expected: &str) {
    let Output { status, stderr, .. } = run(folder, args, "secret\n");
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(!status.success(), "{args:?}");
    assert!(stderr.contains(expected), "{args:?}: {stderr}");
}

#[tokio::test]
async fn files_are_imported() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    mosquitto(here);
    htpasswd(here);
    let told = succeeds(here, &["import", "mosquitto.pw"], "");
    assert_eq!(told, "2 added, 0 replaced, 0 unchanged\n");
    logs_in(here, "").await;

    fails(here, &["import", "htpasswd"], "`alice` exists already");
    let again = [
        "import",
        "mosquitto.pw",
        "--replace",
        "--format",
        "mosquitto",
    ];
    assert_eq!(
        succeeds(here, &again, ""),
        "0 added, 0 replaced, 2 unchanged\n"
    );
    let other = ["import", "htpasswd", "--replace", "--format", "htpasswd"];
    assert_eq!(
        succeeds(here, &other, ""),
        "0 added, 2 replaced, 0 unchanged\n"
    );
    logs_in(here, "").await;
    fails(
        here,
        &["import", "mosquitto.pw", "--format", "htpasswd"],
        "mosquitto.pw:1: ",
    );
}

/// The same commands, whatever keeps the users.
#[test]
fn users_are_administered() {
    for config in ["", "[users]\nfile = \"people.toml\"\n"] {
        let folder = tempfile::tempdir().unwrap();
        let here = folder.path();
        fs::write(here.join("authz.toml"), config).unwrap();
        let args = |args: &[&'static str]| [&["user", "--config", "authz.toml"], args].concat();
        let user = |what: &[&'static str]| succeeds(here, &args(what), "secret\n");

        user(&["add", "alice"]);
        user(&["add", "bob", "--superuser"]);
        user(&[
            "grant",
            "alice",
            "news/#",
            "--subscribe",
            "--qos",
            "1",
            "--role",
            "readers",
        ]);
        user(&["disable", "bob"]);
        assert_eq!(user(&["list"]), "alice\nbob\tsuperuser\tdisabled\n");
        let listed: Value = serde_json::from_str(&user(&["list", "--json"])).unwrap();
        let expected = json!([
            {
                "name": "alice", "superuser": false, "disabled": false, "roles": ["readers"],
                "grants": [{ "topic": "news/#", "publish": false, "subscribe": true, "retain": true, "qos": 1 }],
                "hash": "argon2id",
            },
            {
                "name": "bob", "superuser": true, "disabled": true, "roles": [], "grants": [],
                "hash": "argon2id",
            },
        ]);
        assert_eq!(listed, expected);

        user(&["revoke", "alice", "news/#", "--role", "readers"]);
        user(&["enable", "bob"]);
        user(&["passwd", "bob"]);
        assert_eq!(user(&["list"]), "alice\nbob\tsuperuser\n");
        user(&["rm", "alice"]);
        fails(here, &args(&["rm", "alice"]), "no user `alice`");
        fails(here, &args(&["passwd", "alice"]), "no user `alice`");
        fails(
            here,
            &args(&["grant", "bob", "x"]),
            "--publish, --subscribe",
        );
        fails(here, &args(&["revoke", "bob", "x"]), "no grant for `x`");
        fails(here, &args(&["list", "--source", "postgres"]), "no source");
        let told = succeeds(here, &["check", "--config", "authz.toml"], "");
        assert!(told.contains("; 1 users in "), "{told}");
    }
}

#[test]
fn a_database_that_is_not_there_fails_the_check_and_shows_no_password() {
    let folder = tempfile::tempdir().unwrap();
    let url = "postgres://u:canary@localhost/d?host=/nowhere";
    let config = format!("[users]\nsources = [\"postgres\"]\n[users.postgres]\nurl = \"{url}\"\n");
    fs::write(folder.path().join("authz.toml"), config).unwrap();
    let output = run(folder.path(), &["check", "--config", "authz.toml"], "");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("postgres: "), "{stderr}");
    assert!(!stderr.contains("canary"), "{stderr}");
}
