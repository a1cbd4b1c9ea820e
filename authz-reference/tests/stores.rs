//! Users in real databases: logging in, and hearing of changes.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::time::{Duration, Instant, SystemTime};

use argon2::{Argon2, Params, PasswordHasher};
use sqlx::{Connection as _, Executor as _, SqliteConnection};
use support::{postgres::Postgres, *};
use tidegate_authz::{
    access::{Access, TopicTemplate},
    config::{Config, SourceKind},
    identity::UserName,
    password::PasswordHash,
    users::{
        changes::{Change, Changed, Changes, Current},
        open::{open, open_store},
        source::UserSource,
        store::{Edit, Tally, UserEdit, UserStore},
    },
};
use tokio::sync::mpsc;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn hash(password: &str) -> PasswordHash {
    let cheap = Argon2::from(Params::new(64, 1, 1, None).unwrap());
    let hash = cheap.hash_password(password.as_bytes()).unwrap();
    PasswordHash::parse(&hash.to_string()).unwrap()
}

fn edit(name: &str, edit: Edit) -> UserEdit {
    let name = UserName::new(name).unwrap();
    UserEdit { name, edit }
}

/// With the password `name-secret`.
fn add(name: &str) -> UserEdit {
    let add = Edit::Add {
        password: hash(&format!("{name}-secret")),
        superuser: None,
        replace: false,
    };
    edit(name, add)
}

async fn change(store: &dyn UserStore, edits: impl IntoIterator<Item = UserEdit>) -> Tally {
    store.change(edits.into_iter().collect()).await.unwrap()
}

fn sqlite(config: &mut Config, folder: &std::path::Path) {
    config.users.sources = Some(vec![SourceKind::Sqlite]);
    config.users.sqlite.path = folder.join("users.db");
}

fn postgres(config: &mut Config, server: &Postgres) {
    config.users.sources = Some(vec![SourceKind::Postgres]);
    config.users.postgres.url = Some(server.url());
}

/// What becomes of a login.
async fn log_in(client: &mut Client, name: &str, password: &str) -> String {
    let results = connect_all(client, vec![connect(Some(name), Some(password))]).await;
    summary!(results[0], connect_result)
}

/// Until it is as expected.
async fn log_in_until(client: &mut Client, name: &str, password: &str, expected: &str) {
    let begun = Instant::now();
    loop {
        let result = log_in(client, name, password).await;
        if result.starts_with(expected) {
            return;
        }
        assert!(
            result.starts_with("failure"),
            "{result} instead of {expected}"
        );
        assert!(begun.elapsed() < PATIENCE, "still {result}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn next(changes: &mut Changes) -> Changed {
    loop {
        match heard(changes).await {
            Change::User(changed) => return changed,
            Change::Earlier(_) | Change::Heard { .. } | Change::Rules => {}
            Change::Unknown(_) => panic!("anything may have changed?"),
        }
    }
}

async fn heard(changes: &mut Changes) -> Change {
    let told = tokio::time::timeout(PATIENCE, changes.recv()).await;
    told.unwrap().unwrap()
}

/// What is told at a start, until that is all.
async fn earlier(changes: &mut Changes) -> Vec<Changed> {
    let mut all = Vec::new();
    loop {
        match heard(changes).await {
            Change::Earlier(changed) => all.push(changed),
            Change::Heard { .. } => return all,
            Change::Rules => {}
            other => panic!("{other:?} before it is all"),
        }
    }
}

async fn rules(changes: &mut Changes) {
    while !matches!(heard(changes).await, Change::Rules) {}
}

#[tokio::test]
async fn who_shares_a_postgres_hears_of_new_rules() {
    let server = Postgres::started().await;
    let mut config = Config::default();
    postgres(&mut config, &server);
    let (one, mut heard_by_one) = follow(&config);
    let (other, mut heard_by_other) = follow(&config);
    until_ready(&one).await;
    until_ready(&other).await;
    // It may not listen yet. Rules that were told are told once more if there are others again.
    let mut number = 0;
    for heard in [&mut heard_by_one, &mut heard_by_other] {
        for _ in 1..=3 {
            let begun = Instant::now();
            while tokio::time::timeout(Duration::from_millis(200), rules(heard))
                .await
                .is_err()
            {
                assert!(begun.elapsed() < PATIENCE, "nothing is told");
                number += 1;
                one[0].rules_are(&format!("rules {number}"));
            }
        }
    }
}

#[tokio::test]
async fn a_start_with_rules_that_were_told_long_ago_says_nothing() {
    let server = Postgres::started().await;
    let mut config = Config::default();
    postgres(&mut config, &server);
    let told = async || {
        let mut other = server.connect().await;
        let row = "SELECT revision, told_at FROM service_rules";
        let row: Result<Option<(String, i64)>, _> =
            sqlx::query_as(row).fetch_optional(&mut other).await;
        // There is no such table at first.
        row.ok().flatten()
    };
    let until = async |what: &str, holds: &dyn Fn(&(String, i64)) -> bool| {
        let begun = Instant::now();
        while !told().await.is_some_and(|row| holds(&row)) {
            assert!(begun.elapsed() < PATIENCE, "{what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let (first, _heard) = follow(&config);
    first[0].rules_are("one");
    until("the first tells", &|(revision, at)| {
        revision == "one" && *at > 0
    })
    .await;
    let age = "UPDATE service_rules SET changed_at = 0, told_at = 0";
    server.connect().await.execute(age).await.unwrap();
    let (second, _heard) = follow(&config);
    second[0].rules_are("one");
    // What it tells later comes after what it would have told at its start.
    until_ready(&second).await;
    let (third, mut heard) = follow(&config);
    until_ready(&third).await;
    tokio::time::timeout(Duration::from_millis(500), rules(&mut heard))
        .await
        .unwrap_err();
    assert_eq!(told().await, Some(("one".to_owned(), 0)));
    second[0].rules_are("two");
    until("other rules are told", &|(revision, at)| {
        revision == "two" && *at > 0
    })
    .await;
    rules(&mut heard).await;
}

fn follow(config: &Config) -> (Vec<Box<dyn UserSource>>, Changes) {
    let (changes, heard) = mpsc::channel(256);
    (open(config, changes).unwrap(), heard)
}

async fn until_ready(sources: &[Box<dyn UserSource>]) {
    let begun = Instant::now();
    while !sources.iter().all(|source| source.is_ready()) {
        assert!(begun.elapsed() < PATIENCE, "never ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn users_log_in(adjust: impl Fn(&mut Config)) {
    let running = Running::with(&adjust).await;
    let mut client = running.client().await;
    log_in_until(&mut client, "alice", "alice-secret", "deny BadUserName").await;

    let mut config = Config::default();
    adjust(&mut config);
    let store = open_store(&config.users, None).unwrap();
    let edits = [add("alice"), add("bob"), edit("bob", Edit::Disabled(true))];
    let tally = change(&*store, edits).await;
    assert_eq!((tally.added, tally.changed), (2, 1));
    assert_eq!(store.count().await.unwrap(), 2);

    for (name, password, expected) in [
        ("alice", "alice-secret", "allow password"),
        (
            "alice",
            "wrong",
            "deny BadUserNameOrPassword unknown-user-or-password",
        ),
        (
            "carol",
            "carol-secret",
            "deny BadUserNameOrPassword unknown-user-or-password",
        ),
        ("bob", "bob-secret", "deny Banned disabled"),
        (
            "bob",
            "wrong",
            "deny BadUserNameOrPassword unknown-user-or-password",
        ),
    ] {
        assert_eq!(
            log_in(&mut client, name, password).await,
            expected,
            "{name}"
        );
    }

    let all_or_nothing = vec![edit("alice", Edit::Remove), edit("carol", Edit::Remove)];
    store.change(all_or_nothing).await.unwrap_err();
    assert_eq!(
        log_in(&mut client, "alice", "alice-secret").await,
        "allow password"
    );
    change(&*store, [edit("alice", Edit::Remove)]).await;
    assert!(
        log_in(&mut client, "alice", "alice-secret")
            .await
            .starts_with("deny")
    );
}

#[tokio::test]
async fn users_of_sqlite_log_in() {
    let folder = tempfile::tempdir().unwrap();
    users_log_in(|config| sqlite(config, folder.path())).await;
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(folder.path().join("users.db"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn users_of_postgres_log_in() {
    let server = Postgres::started().await;
    users_log_in(|config| postgres(config, &server)).await;
}

/// `delete` removes alice by SQL, past this program.
async fn changes_are_told(config: Config, delete: impl AsyncFnOnce()) {
    let (sources, mut heard) = follow(&config);
    until_ready(&sources).await;
    let begun = SystemTime::now();
    let store = open_store(&config.users, None).unwrap();
    let access = Access {
        topic: TopicTemplate::new("news/#").unwrap(),
        publish: false,
        subscribe: true,
        retain: true,
        qos: 1,
    };
    for (what, credentials, expected) in [
        // Who is new has no sessions to lose.
        (add("alice"), false, Some((false, 0))),
        (
            edit("alice", Edit::Grant(vec![access], Vec::new())),
            false,
            Some((false, 1)),
        ),
        (
            edit("alice", Edit::Password(hash("x"))),
            true,
            Some((false, 1)),
        ),
        (edit("alice", Edit::Disabled(true)), true, Some((true, 1))),
        (
            edit("alice", Edit::Disabled(false)),
            false,
            Some((false, 1)),
        ),
        (edit("alice", Edit::Remove), true, None),
        (add("alice"), true, Some((false, 0))),
    ] {
        let context = format!("{what:?}");
        change(&*store, [what]).await;
        let told = next(&mut heard).await;
        assert_eq!(told.name.as_str(), "alice");
        let user = told.now.account();
        let user = user.map(|account| (account.disabled, account.grants.len()));
        assert_eq!(
            (user, told.credentials),
            (expected, credentials),
            "{context}"
        );
        assert!(told.at >= begun && told.at <= SystemTime::now());
    }
    delete().await;
    assert_eq!(next(&mut heard).await.now, Current::Gone);

    // A replica that starts now has to know that sessions of alice are not good any more.
    let (_sources, mut heard) = follow(&config);
    let told = earlier(&mut heard).await;
    let told: Vec<_> = told
        .iter()
        .map(|told| (told.name.as_str(), &told.now))
        .collect();
    assert_eq!(told, [("alice", &Current::Gone)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_make_a_sqlite_database_at_once() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::default();
        sqlite(&mut config, folder.path());
        let makers: Vec<_> = (0..4)
            .map(|_| {
                let store = open_store(&config.users, None).unwrap();
                tokio::spawn(async move { store.count().await })
            })
            .collect();
        for maker in makers {
            assert_eq!(maker.await.unwrap().unwrap(), 0);
        }
    }
}

#[tokio::test]
async fn changes_in_sqlite_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    sqlite(&mut config, folder.path());
    let path = folder.path().join("users.db");
    changes_are_told(config, async || {
        let url = format!("sqlite://{}", path.display());
        let mut other = SqliteConnection::connect(&url).await.unwrap();
        other
            .execute("DELETE FROM users WHERE name = 'alice'")
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn changes_in_postgres_are_told() {
    let server = Postgres::started().await;
    let mut config = Config::default();
    postgres(&mut config, &server);
    changes_are_told(config, async || {
        let mut other = server.connect().await;
        other.execute("TRUNCATE users").await.unwrap_err();
        other
            .execute("DELETE FROM users WHERE name = 'alice'")
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn no_change_is_missed_when_many_write_to_postgres() {
    const WRITERS: usize = 6;
    const EACH: usize = 10;
    let server = Postgres::started().await;
    let mut config = Config::default();
    postgres(&mut config, &server);
    let (sources, mut heard) = follow(&config);
    until_ready(&sources).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = open_store(&config.users, None).unwrap();
            tokio::spawn(async move {
                for user in 0..EACH {
                    change(&*store, [add(&format!("u{writer}-{user}"))]).await;
                }
            })
        })
        .collect();
    let mut names = std::collections::HashSet::new();
    while names.len() < WRITERS * EACH {
        names.insert(next(&mut heard).await.name);
    }
    for writer in writers {
        writer.await.unwrap();
    }
}

#[tokio::test]
async fn a_postgres_that_is_away_is_a_failure_until_it_is_back() {
    let mut server = Postgres::new();
    let running = Running::with(|config| postgres(config, &server)).await;
    let mut client = running.client().await;
    let away = log_in(&mut client, "alice", "alice-secret").await;
    assert!(away.starts_with("failure DependencyUnavailable"), "{away}");

    server.start().await;
    log_in_until(&mut client, "alice", "alice-secret", "deny BadUserName").await;
    let mut config = Config::default();
    postgres(&mut config, &server);
    let store = open_store(&config.users, None).unwrap();
    change(&*store, [add("alice")]).await;
    log_in_until(&mut client, "alice", "alice-secret", "allow").await;

    let (sources, mut heard) = follow(&config);
    assert_eq!(earlier(&mut heard).await.len(), 1);
    until_ready(&sources).await;
    server.stop();
    for password in ["alice-secret", "wrong"] {
        let away = log_in(&mut client, "alice", password).await;
        assert!(away.starts_with("failure DependencyUnavailable"), "{away}");
    }
    let begun = Instant::now();
    while sources[0].is_ready() {
        assert!(begun.elapsed() < PATIENCE, "still said to be ready");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    server.start().await;
    log_in_until(&mut client, "alice", "alice-secret", "allow").await;
    change(&*store, [edit("alice", Edit::Remove)]).await;
    let told = next(&mut heard).await.now;
    assert_eq!(told, Current::Gone, "told after the outage");
}

#[tokio::test]
async fn a_slow_postgres_is_a_failure() {
    let server = Postgres::started().await;
    let running = Running::with(|config| {
        postgres(config, &server);
        config.users.postgres.query_timeout = Duration::from_millis(300);
    })
    .await;
    let mut client = running.client().await;
    log_in_until(&mut client, "alice", "alice-secret", "deny").await;

    let mut other = server.connect().await;
    let mut transaction = other.begin().await.unwrap();
    transaction.execute("LOCK TABLE users").await.unwrap();
    let slow = log_in(&mut client, "alice", "alice-secret").await;
    assert!(slow.starts_with("failure DependencyUnavailable"), "{slow}");
    transaction.rollback().await.unwrap();
    log_in_until(&mut client, "alice", "alice-secret", "deny").await;
}

#[tokio::test]
async fn what_is_stored_wrongly_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    let running = Running::with(|config| sqlite(config, folder.path())).await;
    let mut client = running.client().await;
    log_in_until(&mut client, "alice", "x", "deny").await;
    let url = format!("sqlite://{}", folder.path().join("users.db").display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let insert = "INSERT INTO users (name, password) VALUES ('alice', 'plain')";
    other.execute(insert).await.unwrap();
    let wrong = log_in(&mut client, "alice", "plain").await;
    assert!(wrong.starts_with("failure"), "{wrong}");
    for bad in ["'[', '[]'", "'{}', '[]'", "'[]', '1'"] {
        let insert =
            format!("INSERT INTO users (name, password, roles, grants) VALUES ('b', 'x', {bad})");
        let refused = sqlx::query(sqlx::AssertSqlSafe(insert))
            .execute(&mut other)
            .await;
        refused.unwrap_err();
    }
}

#[tokio::test]
async fn a_user_stored_wrongly_is_not_told_to_be_gone_and_can_be_mended() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    sqlite(&mut config, folder.path());
    let (sources, mut heard) = follow(&config);
    until_ready(&sources).await;
    let store = open_store(&config.users, None).unwrap();
    let url = format!("sqlite://{}", folder.path().join("users.db").display());
    let mut other = SqliteConnection::connect(&url).await.unwrap();
    let spoil = "UPDATE users SET roles = '[\"a b\"]' WHERE name = 'alice'";

    change(&*store, [add("alice")]).await;
    next(&mut heard).await;
    other.execute(spoil).await.unwrap();
    assert_eq!(next(&mut heard).await.now, Current::Unreadable);
    let disable = vec![edit("alice", Edit::Disabled(true))];
    store.change(disable).await.unwrap_err();
    let replace = Edit::Add {
        password: hash("x"),
        superuser: None,
        replace: true,
    };
    let tally = change(&*store, [edit("alice", replace)]).await;
    assert_eq!(tally.changed, 1);
    let mended = next(&mut heard).await;
    assert!(mended.now.account().is_some(), "{mended:?}");

    // What can be read of her stays: who was disabled or a superuser still is, unless it is said otherwise.
    let spoil_more = "UPDATE users SET roles = '[\"a b\"]', disabled = TRUE, superuser = TRUE WHERE name = 'alice'";
    for (wanted, expected) in [(None, true), (Some(false), false)] {
        other.execute(spoil_more).await.unwrap();
        assert_eq!(next(&mut heard).await.now, Current::Unreadable);
        let replace = Edit::Add {
            password: hash("y"),
            superuser: wanted,
            replace: true,
        };
        change(&*store, [edit("alice", replace)]).await;
        next(&mut heard).await;
        let name = UserName::new("alice").unwrap();
        let account = store.find(&name).await.unwrap().unwrap().account;
        assert!(account.disabled, "{account:?}");
        assert_eq!(account.superuser, expected, "{account:?}");
    }

    other.execute(spoil).await.unwrap();
    assert_eq!(next(&mut heard).await.now, Current::Unreadable);
    assert_eq!(
        change(&*store, [edit("alice", Edit::Remove)]).await.removed,
        1
    );
    assert_eq!(next(&mut heard).await.now, Current::Gone);
}

#[tokio::test]
async fn an_import_of_thousands_is_told_one_by_one_now_and_at_the_next_start() {
    const USERS: usize = 2_500;
    let folder = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    sqlite(&mut config, folder.path());
    let (sources, mut heard) = follow(&config);
    until_ready(&sources).await;
    let store = open_store(&config.users, None).unwrap();
    let password = hash("x");
    let edits = (0..USERS).map(|number| {
        let add = Edit::Add {
            password: password.clone(),
            superuser: None,
            replace: false,
        };
        edit(&format!("u{number}"), add)
    });
    change(&*store, edits).await;
    let mut names = std::collections::HashSet::new();
    while names.len() < USERS {
        names.insert(next(&mut heard).await.name);
    }
    let (_sources, mut heard) = follow(&config);
    assert_eq!(earlier(&mut heard).await.len(), USERS);
}

#[tokio::test]
async fn no_bell_is_missed_between_rules() {
    let server = Postgres::started().await;
    let mut config = Config::default();
    postgres(&mut config, &server);
    let (one, mut heard_by_one) = follow(&config);
    let (other, mut heard_by_other) = follow(&config);
    until_ready(&one).await;
    until_ready(&other).await;
    let store = open_store(&config.users, None).unwrap();
    for number in 0..150 {
        let name = format!("u{number}");
        match number % 3 {
            0 => one[0].rules_are(&name),
            1 => other[0].rules_are(&name),
            _ => {}
        }
        change(&*store, [add(&name)]).await;
        for heard in [&mut heard_by_one, &mut heard_by_other] {
            let soon = tokio::time::timeout(Duration::from_secs(5), next(heard)).await;
            assert_eq!(soon.expect("in time").name.as_str(), name);
        }
    }
}
