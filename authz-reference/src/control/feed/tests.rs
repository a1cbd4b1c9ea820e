use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use tidegate_proto::v1::{session_selector::Selector, watch_directives_response::Directive};
use tokio::sync::mpsc;

use super::*;
use crate::{control::hub::Watcher, identity::UserName, password::PasswordHash, users::Account};

fn changed(name: &str, user: Option<Account>, credentials: bool) -> Change {
    let id = PasswordHash::default().id();
    Change::User(Changed {
        source: "file",
        name: UserName::new(name).unwrap(),
        now: user.map_or(Current::Gone, |account| Current::Is(Arc::new(account), id)),
        credentials,
        at: SystemTime::UNIX_EPOCH,
    })
}

/// The next directive that is no heartbeat, in words.
async fn next(watcher: &mut Watcher) -> String {
    loop {
        let (word, sessions) = match watcher.next().await.unwrap().directive.unwrap() {
            Directive::Heartbeat(_) => continue,
            Directive::Invalidate(it) => ("invalidate", it.sessions),
            Directive::Recheck(it) => ("recheck", it.sessions),
            Directive::Terminate(it) => ("terminate", it.sessions),
        };
        return match sessions.unwrap().selector.unwrap() {
            Selector::Principal(name) => format!("{word} {name}"),
            _ => format!("{word} all"),
        };
    }
}

async fn nexts<const N: usize>(watcher: &mut Watcher) -> [String; N] {
    let mut all = [const { String::new() }; N];
    for one in &mut all {
        *one = next(watcher).await;
    }
    all
}

struct Fed {
    changes: mpsc::Sender<Change>,
    watcher: Watcher,
    noted: Arc<Mutex<usize>>,
    rules: Arc<Notify>,
}

fn fed() -> Fed {
    fed_by(1)
}

fn fed_by(stores: usize) -> Fed {
    let hub = Hub::new("p".to_owned());
    let watcher = hub.watch("").unwrap();
    let (changes, receiver) = mpsc::channel(2_000);
    let noted = Arc::new(Mutex::new(0));
    let count = Arc::clone(&noted);
    let note = move |_: &Change| *count.lock().unwrap() += 1;
    let rules = Arc::new(Notify::new());
    tokio::spawn(Feed::new(hub, stores, Arc::clone(&rules)).run(receiver, note));
    Fed {
        changes,
        watcher,
        noted,
        rules,
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_change_means_for_sessions() {
    let mut fed = fed();
    let disabled = Account {
        disabled: true,
        ..Account::default()
    };
    for (change, expected) in [
        (changed("gone", None, false), "terminate gone"),
        (changed("off", Some(disabled), false), "terminate off"),
        (
            changed("new", Some(Account::default()), true),
            "terminate new",
        ),
    ] {
        fed.changes.send(change).await.unwrap();
        assert_eq!(next(&mut fed.watcher).await, expected);
        let [forgotten, again] = nexts(&mut fed.watcher).await;
        let name = expected.split_once(' ').unwrap().1;
        assert_eq!(forgotten, format!("invalidate {name}"), "the echo");
        assert_eq!(again, format!("recheck {name}"));
    }
    let less = changed("less", Some(Account::default()), false);
    fed.changes.send(less).await.unwrap();
    let directed = nexts(&mut fed.watcher).await;
    let expected = ["invalidate less", "recheck less"];
    assert_eq!(directed, expected);
    assert_eq!(*fed.noted.lock().unwrap(), 4);
    assert_eq!(nexts(&mut fed.watcher).await, expected, "the echo");
}

#[tokio::test(start_paused = true)]
async fn who_may_have_missed_something_asks_about_everybody() {
    let mut fed = fed();
    fed.changes.send(Change::Unknown("file")).await.unwrap();
    let expected = ["invalidate all", "recheck all"];
    assert_eq!(nexts(&mut fed.watcher).await, expected);
    assert_eq!(nexts(&mut fed.watcher).await, expected, "the echo");
}

#[tokio::test(start_paused = true)]
async fn many_at_once_are_everybody_but_who_is_gone_is_told_apart() {
    let mut fed = fed();
    for number in 0..=SINGLE {
        let change = changed(&format!("u{number}"), Some(Account::default()), false);
        fed.changes.try_send(change).unwrap();
    }
    fed.changes.try_send(changed("gone", None, false)).unwrap();
    let directed: [String; 3] = nexts(&mut fed.watcher).await;
    assert_eq!(
        directed,
        ["terminate gone", "invalidate all", "recheck all"]
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_known_changes_before_anybody_is_told() {
    let hub = Hub::new("p".to_owned());
    let (changes, receiver) = mpsc::channel(1);
    let told = {
        let hub = hub.clone();
        move |_: &Change| assert_eq!(hub.counts().terminate, 0)
    };
    let mut watcher = hub.watch("").unwrap();
    tokio::spawn(Feed::new(hub, 1, Arc::default()).run(receiver, told));
    changes.send(changed("gone", None, false)).await.unwrap();
    assert_eq!(next(&mut watcher).await, "terminate gone");
}

const EVERYBODY: [&str; 2] = ["invalidate all", "recheck all"];

/// How many seconds after `begun` everybody was rechecked, in these many.
async fn rechecks(fed: &mut Fed, begun: Instant, count: usize) -> Vec<u64> {
    let mut seconds = Vec::new();
    for _ in 0..count {
        assert_eq!(nexts(&mut fed.watcher).await, EVERYBODY);
        seconds.push(begun.elapsed().as_secs());
    }
    seconds
}

#[tokio::test(start_paused = true)]
async fn other_rules_are_told_again_until_all_replicas_have_them() {
    let mut fed = fed();
    let begun = Instant::now();
    fed.rules.notify_one();
    assert_eq!(rechecks(&mut fed, begun, 5).await, [0, 2, 15, 60, 120]);
    fed.rules.notify_one();
    let begun = Instant::now();
    assert_eq!(rechecks(&mut fed, begun, 3).await, [0, 2, 15]);
    fed.rules.notify_one();
    let begun = Instant::now();
    assert_eq!(rechecks(&mut fed, begun, 5).await, [0, 2, 15, 60, 120]);
}

#[tokio::test(start_paused = true)]
async fn a_replica_that_begins_has_everybody_rechecked_when_others_have_begun_too() {
    let mut fed = fed();
    let begun = Instant::now();
    assert_eq!(rechecks(&mut fed, begun, 3).await, [15, 60, 120]);
    // A database that could not be asked until now.
    let heard = Change::Heard {
        source: "postgres",
        only_these: None,
    };
    fed.changes.send(heard).await.unwrap();
    let begun = Instant::now();
    assert_eq!(rechecks(&mut fed, begun, 3).await, [15, 60, 120]);
}

#[tokio::test(start_paused = true)]
async fn what_happened_before_ends_no_sessions() {
    let mut fed = fed();
    let Change::User(changed) = changed("new", Some(Account::default()), true) else {
        unreachable!();
    };
    fed.changes.send(Change::Earlier(changed)).await.unwrap();
    assert_eq!(nexts(&mut fed.watcher).await, EVERYBODY, "as at each start");
    assert_eq!(*fed.noted.lock().unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_name_that_may_be_in_two_stores_ends_no_sessions_of_the_other() {
    let mut fed = fed_by(2);
    for change in [
        changed("alice", None, true),
        changed("alice", Some(Account::default()), true),
    ] {
        fed.changes.send(change).await.unwrap();
        let directed: [String; 2] = nexts(&mut fed.watcher).await;
        assert_eq!(directed, ["invalidate alice", "recheck alice"]);
        let again: [String; 2] = nexts(&mut fed.watcher).await;
        assert_eq!(again, directed, "the echo");
    }
}

#[tokio::test(start_paused = true)]
async fn thousands_that_change_one_after_another_are_not_thousands_of_rechecks() {
    let mut fed = fed();
    let begun = Instant::now();
    for number in 0..7 * TOGETHER {
        let change = changed(&format!("u{number}"), Some(Account::default()), false);
        fed.changes.try_send(change).unwrap();
    }
    assert_eq!(rechecks(&mut fed, begun, 2).await, [0, 2]);
    assert_eq!(rechecks(&mut fed, begun, 1).await, [15], "as at each start");
}
