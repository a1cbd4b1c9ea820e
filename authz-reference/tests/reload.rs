//! Configurations and keys that change while the program runs.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{fs, path::Path};

use support::{
    program::{Serving, run},
    *,
};

fn write(folder: &Path, text: &str) {
    let text = format!("bind = \"127.0.0.1:0\"\n{text}");
    fs::write(folder.join("authz.toml"), text).unwrap();
}

#[tokio::test]
async fn all_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), "");
    let mut client = Client::new(channel(serving.addr).await);

    // Without any signal: files are looked at.
    write(folder.path(), "[policy]\nanonimous = true\n");
    let line = serving.logged("configuration refused");
    assert!(line["error"].as_str().unwrap().contains("anonimous"));

    write(
        folder.path(),
        "[policy]\nanonymous = true\n[hashing]\nworkers = 1\n",
    );
    serving.signal("HUP");
    serving.logged_with("configuration refused", "error", "hashing.workers");
    let results = connect_all(&mut client, vec![connect(None, None)]).await;
    let refused = "deny NotAuthorized anonymous";
    assert_eq!(summary!(results[0], connect_result), refused);

    write(folder.path(), "[policy]\nanonymous = true\n");
    serving.signal("HUP");
    let line = serving.logged("configuration reloaded");
    assert_eq!(line["changed"], "policy.anonymous");
    let results = connect_all(&mut client, vec![connect(None, None)]).await;
    assert_eq!(summary!(results[0], connect_result), "allow anonymous");
}

#[tokio::test]
async fn a_key_file_with_another_key_is_taken_and_one_without_a_key_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("session.key");
    fs::write(&key, "0123456789abcdef0123456789abcdef").unwrap();
    fs::write(folder.path().join("users.toml"), users(&["alice"])).unwrap();
    let config = "[session]\nkey_file = \"session.key\"\n[users]\nfile = \"users.toml\"\n";
    let serving = Serving::start(folder.path(), config);
    let mut client = Client::new(channel(serving.addr).await);
    let alice = logged_in(&mut client, "alice").await;
    let checks = || vec![publish(&alice, "alice/x")];

    fs::write(&key, "too short").unwrap();
    let line = serving.logged("configuration refused");
    assert!(line["error"].as_str().unwrap().contains("session.key_file"));
    let results = publish_all(&mut client, checks()).await;
    assert_eq!(summary!(results[0], publish_result), "allow own-prefix");

    fs::write(&key, "another key, 0123456789abcdef0123456789abcdef").unwrap();
    serving.signal("HUP");
    serving.logged("configuration reloaded");
    let results = publish_all(&mut client, checks()).await;
    let invalid = "failure SessionStateInvalid session-state-invalid";
    assert_eq!(summary!(results[0], publish_result), invalid);
}

#[test]
fn check_reads_the_files_of_tls() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "[tls]\ncert = \"a.pem\"\nkey = \"a.key\"\n");
    let checked = run(folder.path(), &["check", "--config", "authz.toml"], "");
    assert_eq!(checked.status.code(), Some(78));
    let said = String::from_utf8(checked.stderr).unwrap();
    assert!(said.contains("a.pem"), "{said}");
}
