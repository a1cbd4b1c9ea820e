//! Sessions that outlive a service: what the next one makes of them.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use support::*;
use tempfile::TempDir;
use tidegate_authz::{
    app,
    config::{Config, SourceKind},
    identity::UserName,
    password::{Password, PasswordHash},
    users::{
        open::open_store,
        store::{Edit, UserEdit},
    },
};
use tidegate_proto::v1::Session;

/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

struct Case {
    folder: TempDir,
    config: Config,
}

impl Case {
    fn new(sources: &[SourceKind]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| -> PathBuf { folder.path().join(name) };
        fs::write(path("session.key"), [7; 32]).unwrap();
        let mut config = Config {
            bind: ([127, 0, 0, 1], 0).into(),
            ..Config::default()
        };
        config.users.sources = Some(sources.to_vec());
        config.users.file = Some(path("users.toml"));
        config.users.sqlite.path = path("users.db");
        config.session.key_file = Some(path("session.key"));
        Self { folder, config }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn file(&self, names: &[&str]) {
        fs::write(self.path().join("users.toml"), users(names)).unwrap();
    }

    /// Another process, as far as sessions are concerned.
    async fn start(&self) -> (Client, tokio::sync::oneshot::Sender<()>) {
        let bound = app::build(&self.config).await.unwrap();
        let addr = bound.address.tcp().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        tokio::spawn(bound.serve(async {
            stopped.await.ok();
        }));
        let mut client = Client::new(channel(addr).await);
        let begun = Instant::now();
        // Databases are opened in the background.
        loop {
            let asked = connect_all(&mut client, vec![connect(Some("nobody"), Some("x"))]).await;
            if summary!(asked[0], connect_result).starts_with("deny") {
                return (client, stop);
            }
            assert!(begun.elapsed() < PATIENCE, "never ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// What comes of publishing to one's own topic, once the service can say.
async fn publishes(client: &mut Client, session: &Session) -> String {
    let topic = format!("{}/x", session.principal);
    let begun = Instant::now();
    loop {
        let results = publish_all(client, vec![publish(session, &topic)]).await;
        let summary = summary!(results[0], publish_result);
        if !summary.contains("users-unavailable") || begun.elapsed() > PATIENCE {
            return summary;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

const ALLOWED: &str = "allow own-prefix";
const GONE: &str = "deny NotAuthorized user-gone";
const AGAIN: &str = "failure SessionStateInvalid session-state-invalid";

#[tokio::test]
async fn what_the_file_lost_while_nobody_looked_is_lost() {
    let case = Case::new(&[SourceKind::File]);
    case.file(&["alice", "bob", "carol", "root"]);
    let before = fs::read_to_string(case.path().join("users.toml")).unwrap();
    let (mut client, stop) = case.start().await;
    let mut sessions = Vec::new();
    for name in ["alice", "bob", "carol", "root"] {
        sessions.push(logged_in(&mut client, name).await);
    }
    drop(stop);

    // Alice is gone, carol has another password, root is no superuser any more.
    let part = |name: &str| {
        let begin = before.find(&format!("[users.{name}]")).unwrap();
        let end = before[begin + 1..].find("[users.").map(|at| begin + 1 + at);
        before[begin..end.unwrap_or(before.len())].to_owned()
    };
    let root = part("root").replace("superuser = true", "superuser = false");
    let carol = users(&["somebody"]).replace("somebody", "carol");
    let edited = part("bob") + &carol + &root;
    fs::write(case.path().join("users.toml"), edited).unwrap();

    let (mut client, _stop) = case.start().await;
    let [alice, bob, carol, root] = &sessions[..] else {
        panic!("four sessions");
    };
    assert_eq!(publishes(&mut client, alice).await, AGAIN);
    assert_eq!(publishes(&mut client, bob).await, ALLOWED);
    assert_eq!(publishes(&mut client, carol).await, AGAIN);
    assert_eq!(
        publishes(&mut client, root).await,
        ALLOWED,
        "her own topics"
    );
    let foreign = publish_all(&mut client, vec![publish(root, "bob/x")]).await;
    assert_eq!(
        summary!(foreign[0], publish_result),
        "deny NotAuthorized own-prefix"
    );
}

#[tokio::test]
async fn who_was_added_and_logged_in_before_a_restart_goes_on() {
    let case = Case::new(&[SourceKind::Sqlite]);
    let (mut client, stop) = case.start().await;
    let store = open_store(&case.config.users, None).unwrap();
    let edit = |edit| {
        let name = UserName::new("alice").unwrap();
        vec![UserEdit { name, edit }]
    };
    let add = Edit::Add {
        password: PasswordHash::of(&Password::new(b"alice-secret")).unwrap(),
        superuser: None,
        replace: false,
    };
    store.change(edit(add)).await.unwrap();
    let alice = logged_in(&mut client, "alice").await;
    drop(stop);

    let (mut client, stop) = case.start().await;
    assert_eq!(publishes(&mut client, &alice).await, ALLOWED);
    drop(stop);
    store.change(edit(Edit::Remove)).await.unwrap();
    let (mut client, _stop) = case.start().await;
    assert_eq!(publishes(&mut client, &alice).await, GONE);
}

#[tokio::test]
async fn sessions_of_a_database_that_was_replaced_begin_again() {
    let case = Case::new(&[SourceKind::Sqlite]);
    let (mut client, stop) = case.start().await;
    let store = open_store(&case.config.users, None).unwrap();
    let add = Edit::Add {
        password: PasswordHash::of(&Password::new(b"alice-secret")).unwrap(),
        superuser: None,
        replace: false,
    };
    let name = UserName::new("alice").unwrap();
    store
        .change(vec![UserEdit { name, edit: add }])
        .await
        .unwrap();
    let alice = logged_in(&mut client, "alice").await;
    assert_eq!(publishes(&mut client, &alice).await, ALLOWED);
    drop((stop, store));

    for file in fs::read_dir(case.path()).unwrap() {
        let path = file.unwrap().path();
        if path.to_string_lossy().contains("users.db") {
            fs::remove_file(path).unwrap();
        }
    }
    let (mut client, _stop) = case.start().await;
    assert_eq!(publishes(&mut client, &alice).await, AGAIN);
}

#[tokio::test]
async fn a_user_of_one_store_is_none_of_another_by_that_name() {
    let case = Case::new(&[SourceKind::File, SourceKind::Sqlite]);
    case.file(&["alice"]);
    let (mut client, _stop) = case.start().await;
    let alice = logged_in(&mut client, "alice").await;
    let store = open_store(&case.config.users, Some(SourceKind::Sqlite)).unwrap();
    let edit = |name: &str, edit| {
        let name = UserName::new(name).unwrap();
        vec![UserEdit { name, edit }]
    };
    let add = |name: &str, superuser| Edit::Add {
        password: PasswordHash::of(&Password::new(format!("{name}-secret").as_bytes())).unwrap(),
        superuser: Some(superuser),
        replace: false,
    };
    for (edits, what) in [
        (edit("alice", add("alice", true)), "added"),
        (edit("alice", Edit::Remove), "removed"),
    ] {
        store.change(edit("bob", add("bob", false))).await.unwrap();
        let bob = logged_in(&mut client, "bob").await;
        store.change(edits).await.unwrap();
        store.change(edit("bob", Edit::Remove)).await.unwrap();
        // What happened to him was heard later.
        let begun = Instant::now();
        while publishes(&mut client, &bob).await != GONE {
            assert!(begun.elapsed() < PATIENCE, "nothing was heard");
        }
        assert_eq!(publishes(&mut client, &alice).await, ALLOWED, "{what}");
        let foreign = publish_all(&mut client, vec![publish(&alice, "bob/x")]).await;
        let denied = "deny NotAuthorized own-prefix";
        assert_eq!(summary!(foreign[0], publish_result), denied, "{what}");
    }
}
