//! `tidegate-authz explain`: the decision, the rule, what the others say, and the exit code.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{fs, path::Path};

use sqlx::{Connection as _, Executor as _, SqliteConnection};
use support::{program::run, *};

const CONFIG: &str = r#"
    users.file = "users.toml"
    [roles.readers]
    grants = [{ topic = "news/#", subscribe = true, qos = 1 }]
    [roles.writers]
    grants = [{ topic = "news/{username}", publish = true, retain = false }]
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("authz.toml"), CONFIG).unwrap();
    let users = users(&["alice", "root", "carol"])
        + "roles = [\"readers\", \"writers\"]\ngrants = [{ topic = \"dev/{username}/{client_id}/#\", publish = true }]\n"
        + &users(&["mallory"])
        + "disabled = true\n";
    fs::write(folder.path().join("users.toml"), users).unwrap();
    folder
}

/// Exit code, standard output and standard error of `explain` with these words.
fn explain(folder: &Path, words: &str) -> (Option<i32>, String, String) {
    let args: Vec<&str> = ["explain", "--config", "authz.toml"]
        .into_iter()
        .chain(words.split_whitespace())
        .collect();
    let output = run(folder, &args, "");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn tells_the_decision_and_the_rule() {
    let folder = folder();
    for (words, code, expected) in [
        (
            "--user alice publish alice/x",
            0,
            "allow  publish alice/x  by own-prefix\n",
        ),
        (
            "--user alice publish bob/x",
            1,
            "deny  publish bob/x  by own-prefix: ",
        ),
        ("--user root publish bob/x", 0, "by superuser\n"),
        (
            "--user alice --superuser publish bob/x",
            0,
            "by superuser\n",
        ),
        (
            "--user carol subscribe news/#",
            0,
            "by grant:role:readers\n",
        ),
        (
            "--user carol subscribe news/# --qos 2",
            0,
            "by grant:role:readers: with QoS 1\n",
        ),
        (
            "--user dave --role readers subscribe news/a",
            0,
            "by grant:role:readers\n",
        ),
        (
            "--user carol publish news/carol",
            0,
            "by grant:role:writers\n",
        ),
        (
            "--user carol publish news/carol --retain",
            1,
            "by grant-retain: ",
        ),
        ("--user carol publish news/alice", 1, "by own-prefix: "),
        (
            "--user carol --client-id c1 publish dev/carol/c1/x",
            0,
            "by grant:user\n",
        ),
        (
            "--user carol --client-id c2 publish dev/carol/c1/x",
            1,
            "by own-prefix: ",
        ),
        (
            "--user nobody publish nobody/x",
            1,
            "by unknown-user-or-password: ",
        ),
        ("--user mallory publish mallory/x", 1, "by disabled: "),
        ("publish anonymous/x", 1, "by anonymous: "),
    ] {
        let (exit, said, _) = explain(folder.path(), words);
        assert_eq!(exit, Some(code), "{words}: {said}");
        assert!(said.contains(expected), "{words}: {said}");
    }
}

#[test]
fn tells_what_each_rule_says() {
    let folder = folder();
    let words = "--user carol publish news/carol --retain";
    let (_, said, _) = explain(folder.path(), words);
    let lines: Vec<Vec<&str>> = said
        .lines()
        .skip(1)
        .map(|line| {
            let columns = line.split("  ").map(str::trim);
            columns.filter(|column| !column.is_empty()).collect()
        })
        .collect();
    assert_eq!(
        lines,
        [
            ["own-prefix", "{username}/#", "does not cover it"],
            [
                "grant:user",
                "dev/{username}/{client_id}/# publish, QoS 2",
                "does not cover it"
            ],
            [
                "grant:role:readers",
                "news/# subscribe, QoS 1",
                "is not about this action"
            ],
            [
                "grant:role:writers",
                "news/{username} publish without retain, QoS 2",
                "covers it, but not retained"
            ],
        ]
    );
}

#[test]
fn tells_failures_apart() {
    let folder = folder();
    for (words, code, expected) in [
        ("--user alice publish a/#", 2, "not a topic name"),
        ("--user alice subscribe a/#/b", 2, "not a topic filter"),
        ("--user alice publish", 2, "TOPIC"),
        ("--user a/b publish x", 2, "user name"),
    ] {
        let (exit, _, said) = explain(folder.path(), words);
        assert_eq!(exit, Some(code), "{words}: {said}");
        assert!(said.contains(expected), "{words}: {said}");
    }
    fs::write(folder.path().join("users.toml"), "[users.a]\n").unwrap();
    assert_eq!(explain(folder.path(), "--user a publish a/x").0, Some(78));
    fs::remove_file(folder.path().join("users.toml")).unwrap();
    let (exit, said, _) = explain(folder.path(), "--user a publish a/x");
    assert_eq!(exit, Some(1), "a service would know nobody, too");
    assert!(said.contains("users.toml is not there"), "{said}");
    assert_eq!(
        explain(folder.path(), "--user a --superuser publish a/x").0,
        Some(0),
        "no user base is needed"
    );
    fs::write(folder.path().join("authz.toml"), "[roles.a]\ngrant = 1").unwrap();
    assert_eq!(explain(folder.path(), "--user a publish a/x").0, Some(78));
}

#[test]
fn asks_the_stores_in_their_order() {
    let folder = folder();
    let config = CONFIG.replace(
        "users.file =",
        "users.sources = [\"file\", \"sqlite\"]\n    users.file =",
    );
    fs::write(folder.path().join("authz.toml"), config).unwrap();
    for name in ["alice", "dave"] {
        let args = ["user", "--config", "authz.toml", "--source", "sqlite"];
        let args = [&args[..], &["add", name, "--superuser"]].concat();
        let added = run(folder.path(), &args, "secret\n");
        assert!(added.status.success(), "{added:?}");
    }
    let said = |user: &str| explain(folder.path(), &format!("--user {user} publish bob/x")).1;
    assert!(said("dave").contains("by superuser"), "{}", said("dave"));
    let alice = said("alice");
    assert!(
        alice.contains("by own-prefix"),
        "she is in the file: {alice}"
    );
}

#[tokio::test]
async fn asks_for_one_user_only() {
    let folder = folder();
    let sources = |named: &str, sections: &str| {
        let config = CONFIG.replace(
            "users.file =",
            &format!("users.sources = [{named}]\n    users.file ="),
        );
        fs::write(folder.path().join("authz.toml"), config + sections).unwrap();
    };
    sources("\"file\", \"sqlite\"", "");
    for name in ["dave", "erin"] {
        let args = ["user", "--config", "authz.toml", "--source", "sqlite"];
        let args = [&args[..], &["add", name]].concat();
        let added = run(folder.path(), &args, "secret\n");
        assert!(added.status.success(), "{added:?}");
    }
    // Another user whose row makes none.
    let url = format!("sqlite://{}", folder.path().join("users.db").display());
    let mut database = SqliteConnection::connect(&url).await.unwrap();
    let spoil = "UPDATE users SET roles = '[\"a b\"]' WHERE name = 'erin'";
    database.execute(spoil).await.unwrap();
    fs::remove_file(folder.path().join("users.toml")).unwrap();
    let asked = |user: &str| explain(folder.path(), &format!("--user {user} publish {user}/x"));
    let (exit, said, problem) = asked("dave");
    assert_eq!(exit, Some(0), "{said}{problem}");
    assert!(said.contains("by own-prefix"), "{said}");
    let (exit, _, problem) = asked("erin");
    assert_eq!(exit, Some(69), "{problem}");
    assert!(problem.contains("users.roles"), "{problem}");
    assert_eq!(asked("frank").0, Some(1));

    // Users of a source that stores nobody may be called anything.
    sources(
        "\"jwt\", \"file\", \"sqlite\"",
        "\n[users.jwt]\njwks_url = \"https://id.example.org/keys\"\n",
    );
    let (exit, said, _) = asked("dave");
    assert_eq!(exit, Some(0), "{said}");
    assert!(said.contains("jwt, asked before"), "{said}");
    let (exit, said, problem) = asked("frank");
    assert_eq!(exit, Some(69), "{said}");
    assert!(problem.contains("may come from jwt"), "{problem}");
}
