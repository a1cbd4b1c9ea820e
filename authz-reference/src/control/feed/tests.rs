use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use tidegate_proto::v1::{session_selector::Selector, watch_directives_response::Directive};
use tokio::sync::mpsc;

use super::*;
use crate::{control::hub::Watcher, identity::UserName, users::Account};

fn changed(name: &str, user: Option<Account>, credentials: bool) -> Change {
    Change::User(Changed {
        name: UserName::new(name).unwrap(),
        user: user.map(Arc::new),
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
}

fn fed() -> Fed {
    let hub = Hub::new("p".to_owned());
    let watcher = hub.watch("").unwrap();
    let (changes, receiver) = mpsc::channel(2_000);
    let noted = Arc::new(Mutex::new(0));
    let count = Arc::clone(&noted);
    let note = move |_: &Change| *count.lock().unwrap() += 1;
    tokio::spawn(feed(receiver, hub, note));
    Fed {
        changes,
        watcher,
        noted,
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
async fn sessions_that_began_after_an_earlier_change_are_only_asked_about() {
    let mut fed = fed();
    let earlier = |name, user| match changed(name, user, true) {
        Change::User(changed) => Change::Earlier(changed),
        other => other,
    };
    let new = earlier("new", Some(Account::default()));
    fed.changes.send(new).await.unwrap();
    let expected = ["invalidate new", "recheck new"];
    assert_eq!(nexts(&mut fed.watcher).await, expected);
    assert_eq!(nexts(&mut fed.watcher).await, expected, "the echo");
    fed.changes.send(earlier("gone", None)).await.unwrap();
    assert_eq!(next(&mut fed.watcher).await, "terminate gone");
}

#[tokio::test(start_paused = true)]
async fn who_may_have_missed_something_asks_about_everybody() {
    let mut fed = fed();
    fed.changes.send(Change::Unknown).await.unwrap();
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
    tokio::spawn(feed(receiver, hub, told));
    changes.send(changed("gone", None, false)).await.unwrap();
    assert_eq!(next(&mut watcher).await, "terminate gone");
}
