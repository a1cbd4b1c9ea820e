//! The program: commands, exit codes, signals, and what it writes down.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, net::UnixDatagram},
    path::Path,
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{
    program::{Serving, program, run},
    *,
};
use tidegate_authz::password::{Password, PasswordHash};
use tidegate_proto::v1::{GetCapabilitiesRequest, Session};

/// Longer than anything here takes on a busy machine.
const LONG: Duration = Duration::from_secs(30);

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs and expects an exit code and a text on standard error.
fn fails(folder: &Path, args: &[&str], input: &str, code: i32, expected: &str) {
    let output = run(folder, args, input);
    let stderr = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(stderr.contains(expected), "{args:?}: {stderr}");
}

fn succeeds(folder: &Path, args: &[&str], input: &str) -> String {
    let output = run(folder, args, input);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{args:?}: {}",
        stderr(&output)
    );
    stdout(&output)
}

/// `Type=notify` and `WatchdogSec=` of systemd.
#[test]
fn the_manager_hears_of_start_life_and_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(LONG)).unwrap();
    let expect = |line: &str| {
        let mut buffer = [0; 1024];
        loop {
            let length = manager.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|it| it == line) {
                break text;
            }
        }
    };
    fs::write(folder.path().join("authz.toml"), "bind = \"127.0.0.1:0\"\n").unwrap();
    let mut child = program(folder.path(), &["--config", "authz.toml"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "200000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    expect("READY=1");
    expect("WATCHDOG=1");
    expect("WATCHDOG=1");
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-TERM", &id]).status();
    assert!(killed.unwrap().success());
    let stopping = expect("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC="), "{stopping}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn manages_users() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    fs::create_dir(here.join("etc")).unwrap();
    fs::write(
        here.join("etc/authz.toml"),
        "[users]\nfile = \"people.toml\"\n",
    )
    .unwrap();
    let user = |args: &[&'static str]| [&["user", "--config", "etc/authz.toml"], args].concat();

    assert_eq!(succeeds(here, &user(&["list"]), ""), "");
    succeeds(here, &user(&["add", "alice"]), "secret\n");
    succeeds(here, &user(&["add", "root", "--superuser"]), "geheim");
    assert_eq!(
        succeeds(here, &user(&["list"]), ""),
        "alice\nroot\tsuperuser\n"
    );

    let file = here.join("etc/people.toml");
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let text = fs::read_to_string(&file).unwrap();
    assert!(
        text.contains("$argon2id$") && !text.contains("secret"),
        "{text}"
    );

    fails(
        here,
        &user(&["add", "alice"]),
        "other\n",
        1,
        "exists already",
    );
    fails(here, &user(&["add", "bob"]), "", 1, "may not be empty");
    fails(here, &user(&["add", "bob"]), "one\ntwo\n", 1, "one line");
    fails(
        here,
        &user(&["add", "bob/x"]),
        "secret\n",
        2,
        "may not contain",
    );
    fails(
        here,
        &user(&["add", "$bob"]),
        "secret\n",
        2,
        "may not begin with",
    );
    fails(here, &user(&["rm", "bob"]), "", 1, "no user `bob`");
    assert_eq!(fs::read_to_string(&file).unwrap(), text);

    succeeds(here, &user(&["add", "alice", "--replace"]), "other\n");
    assert_ne!(fs::read_to_string(&file).unwrap(), text);
    succeeds(here, &user(&["rm", "alice"]), "");
    assert_eq!(succeeds(here, &user(&["list"]), ""), "root\tsuperuser\n");
}

#[test]
fn hashes() {
    let folder = tempfile::tempdir().unwrap();
    let hash = succeeds(folder.path(), &["hash"], "secret\n");
    let hash = PasswordHash::parse(hash.trim_end()).unwrap();
    assert!(hash.verify(&Password::new(b"secret")));
    assert!(!hash.verify(&Password::new(b"secret\n")));
}

#[test]
fn checks() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    let check = |text: &str| {
        fs::write(here.join("authz.toml"), text).unwrap();
        run(here, &["check", "--config", "authz.toml"], "")
    };
    let file = "[users]\nfile = \"users.toml\"\n";
    let output = check(file);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output).contains("nobody can log in"),
        "no users file"
    );

    fs::write(here.join("users.toml"), users(&["alice"])).unwrap();
    let output = check(file);
    assert_eq!(
        stdout(&output),
        "the configuration is good; 1 users in file\n"
    );
    assert_eq!(stderr(&output), "");

    fs::write(here.join("short.key"), "too short\n").unwrap();
    fs::write(
        here.join("bad.toml"),
        "\n[users.alice]\npassword = \"plain\"\n",
    )
    .unwrap();
    for (text, expected) in [
        ("\nbnid = 1\n", "authz.toml:2"),
        ("[users]\nfile = \"bad.toml\"\n", "bad.toml:3"),
        ("[session]\nkey_file = \"none.key\"\n", "none.key"),
        (
            "[session]\nkey_file = \"short.key\"\n",
            "at least 32 bytes, this one has 9",
        ),
    ] {
        let output = check(text);
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(
            stderr(&output).contains(expected),
            "{text}: {}",
            stderr(&output)
        );
        assert!(!stderr(&output).contains("plain"));

        let output = run(here, &["run", "--config", "authz.toml"], "");
        assert_eq!(output.status.code(), Some(78), "run with {text}");
    }
    fails(
        here,
        &["check", "--config", "nowhere.toml"],
        "",
        78,
        "nowhere.toml",
    );
}

#[test]
fn knows_its_usage() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path();
    assert!(succeeds(here, &["--help"], "").contains("user"));
    assert!(succeeds(here, &["--version"], "").starts_with("tidegate-authz "));
    fails(here, &["serve"], "", 2, "serve");
    fails(here, &["user", "add"], "", 2, "<NAME>");
}

#[test]
fn a_port_in_use_is_a_failure_at_run_time() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = format!("bind = \"{}\"\n", taken.local_addr().unwrap());
    fs::write(folder.path().join("authz.toml"), config).unwrap();
    fails(
        folder.path(),
        &["--config", "authz.toml"],
        "",
        1,
        "cannot listen on",
    );
}

#[tokio::test]
async fn writes_down_decisions_but_no_passwords() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("users.toml"), users(&["alice"])).unwrap();
    let serving = Serving::start(
        folder.path(),
        "[users]\nfile = \"users.toml\"\n[log]\nfilter = \"trace,decision=debug\"\n",
    );
    let mut client = Client::new(channel(serving.addr).await);
    let alice = logged_in(&mut client, "alice").await;
    let canary = "canary-in-a-password";
    connect_all(&mut client, vec![connect(Some("alice"), Some(canary))]).await;
    let foreign = Session {
        session_id: "s2".to_owned(),
        ..alice.clone()
    };
    let checks = vec![
        publish(&alice, "alice/x"),
        publish(&alice, "bob/forged\n{}"),
        publish(&foreign, "alice/x"),
    ];
    publish_all(&mut client, checks).await;
    drop(client);
    serving.signal("TERM");
    let ended = serving.wait().await;
    assert_eq!(ended.code, Some(0));

    let lines: Vec<Value> = ended
        .decisions
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told = |key: &str| {
        lines
            .iter()
            .map(|line| line[key].as_str().unwrap_or(""))
            .collect()
    };
    let column: Vec<&str> = told("outcome");
    assert_eq!(column, ["allow", "deny", "allow", "deny", "failure"]);
    let column: Vec<&str> = told("action");
    assert_eq!(
        column,
        ["connect", "connect", "publish", "publish", "publish"]
    );
    let column: Vec<&str> = told("policy");
    assert_eq!(
        column,
        [
            "password",
            "unknown-user-or-password",
            "own-prefix",
            "own-prefix",
            "session-state-invalid"
        ]
    );
    let column: Vec<&str> = told("user");
    assert_eq!(column, ["alice"; 5]);
    let column: Vec<&str> = told("topic");
    assert_eq!(column, ["", "", "alice/x", "bob/forged\n{}", "alice/x"]);
    for secret in [canary, "alice-secret"] {
        assert!(
            !ended.decisions.contains(secret),
            "{secret} in the decision log"
        );
        assert!(!ended.log.contains(secret), "{secret} in the log");
    }
}

#[tokio::test]
async fn stops_gracefully_on_a_signal_and_at_once_on_the_second() {
    for name in ["TERM", "INT"] {
        let folder = tempfile::tempdir().unwrap();
        let serving = Serving::start(folder.path(), "[users]\nfile = \"users.toml\"\n");
        serving.signal(name);
        let ended = serving.wait().await;
        assert_eq!(ended.code, Some(0), "{}", ended.log);
        assert!(
            ended.log.contains("there is no users file"),
            "{}",
            ended.log
        );
    }

    // One that is asked to go on for a while stops at once if it is asked again.
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), "[shutdown]\ndelay = \"10m\"\n");
    serving.signal("TERM");
    serving.logged("stopping: not ready");
    let mut client = Client::new(channel(serving.addr).await);
    client
        .get_capabilities(GetCapabilitiesRequest::default())
        .await
        .unwrap();
    serving.signal("TERM");
    let ended = serving.wait().await;
    assert_eq!(ended.code, Some(1), "{}", ended.log);
}

#[tokio::test]
async fn health_asks_the_probes() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), "[probes]\nbind = \"127.0.0.1:0\"\n");
    let line = serving.logged("answering probes");
    let address = line["address"].as_str().unwrap();
    for args in [
        &["health", "--address", address][..],
        &["health", "--address", address, "--live"],
    ] {
        // The database is opened in the background.
        let begun = Instant::now();
        let asked = loop {
            let asked = run(folder.path(), args, "");
            if asked.status.success() || begun.elapsed() > LONG {
                break asked;
            }
        };
        assert_eq!(asked.status.code(), Some(0), "{asked:?}");
    }
    // Nobody to ask; nobody who answers.
    let asked = run(folder.path(), &["health"], "");
    assert_eq!(asked.status.code(), Some(78), "{asked:?}");
    let grpc = serving.addr.to_string();
    drop(serving);
    let asked = run(folder.path(), &["health", "--address", &grpc], "");
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
}

#[test]
fn config_shows_what_is_in_force_and_from_where() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("authz.toml"), "bind = \"unix:a.sock\"\n").unwrap();
    let args = ["config", "show", "--config", "authz.toml"];
    let shown = String::from_utf8(run(folder.path(), &args, "").stdout).unwrap();
    assert!(
        shown.contains("bind = \"unix:a.sock\"  # authz.toml:1"),
        "{shown}"
    );
    assert!(
        shown.contains("shutdown.grace = \"5s\"  # default"),
        "{shown}"
    );
    let defaults = run(folder.path(), &["config", "defaults"], "").stdout;
    let defaults = String::from_utf8(defaults).unwrap();
    assert!(
        defaults.contains("server.max_connection_age = \"30m\""),
        "{defaults}"
    );
}
