use std::{
    sync::{Arc, Mutex},
    time::SystemTime,
};

use tidegate_proto::v1::{session_selector::Selector, watch_directives_response::Directive};
use tokio::sync::mpsc;

use super::*;
use crate::{
    control::hub::Watcher,
    identity::UserName,
    password::PasswordHash,
    users::{Account, User, source::SourceError},
};

fn changed(name: &str, user: Option<Account>, credentials: bool) -> Change {
    changed_in("sqlite", name, user, credentials)
}

fn changed_in(
    source: &'static str,
    name: &str,
    user: Option<Account>,
    credentials: bool,
) -> Change {
    let id = PasswordHash::default().id();
    Change::User(Changed {
        source,
        name: UserName::new(name).unwrap(),
        now: user.map_or(Current::Gone, |account| Current::Is(Arc::new(account), id)),
        credentials,
        at: SystemTime::UNIX_EPOCH,
    })
}

/// The next directive that is no heartbeat, in words.
async fn next(watcher: &mut Watcher) -> String {
    for _ in 0..1_000 {
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
    panic!("nothing but heartbeats");
}

async fn nexts<const N: usize>(watcher: &mut Watcher) -> [String; N] {
    let mut all = [const { String::new() }; N];
    for one in &mut all {
        *one = next(watcher).await;
    }
    all
}

/// A store with one user, perhaps.
#[derive(Debug, Clone, Copy)]
struct Store {
    name: &'static str,
    tells_rules: bool,
    user: Option<&'static str>,
    hangs: bool,
}

impl Store {
    const fn new(name: &'static str) -> Self {
        Self {
            name,
            tells_rules: false,
            user: None,
            hangs: false,
        }
    }
}

#[tonic::async_trait]
impl UserSource for Store {
    fn name(&self) -> &'static str {
        self.name
    }

    fn tells_rules(&self) -> bool {
        self.tells_rules
    }

    async fn find(&self, login: &Login<'_>, _: Deadline) -> Result<Found, SourceError> {
        if self.hangs {
            std::future::pending::<()>().await;
        }
        let credential = match self.user.is_some() && self.user == login.username {
            true => Credential::Known(Arc::new(User {
                account: Account::default(),
                password: PasswordHash::default(),
            })),
            false => Credential::Unknown(Arc::default()),
        };
        Ok(Found::Stored(
            UserName::new(login.username.unwrap()).unwrap(),
            credential,
        ))
    }
}

const ROLLOUT: Duration = Duration::from_secs(120);

struct Fed {
    changes: mpsc::Sender<Change>,
    watcher: Watcher,
    noted: Arc<Mutex<usize>>,
    rules: Arc<Notify>,
}

/// By one store, of the only replica.
fn fed() -> Fed {
    fed_by(&[Store::new("sqlite")], Duration::ZERO)
}

fn fed_by(stores: &[Store], rollout: Duration) -> Fed {
    let hub = Hub::new("p".to_owned());
    let watcher = hub.watch("").unwrap();
    let (changes, receiver) = mpsc::channel(2_000);
    let noted = Arc::new(Mutex::new(0));
    let count = Arc::clone(&noted);
    let note = move |_: &Change| *count.lock().unwrap() += 1;
    let rules = Arc::new(Notify::new());
    let stores = stores
        .iter()
        .map(|store| Box::new(*store) as Box<dyn UserSource>);
    let feed = Feed::new(hub, stores.collect(), rollout, Arc::clone(&rules));
    tokio::spawn(feed.run(receiver, note));
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
    tokio::spawn(Feed::new(hub, Vec::new(), Duration::ZERO, Arc::default()).run(receiver, told));
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

/// Nothing is told from now on.
async fn silent(fed: &mut Fed) {
    let more = tokio::time::timeout(2 * ROLLOUT, next(&mut fed.watcher)).await;
    assert!(more.is_err(), "{more:?}");
}

#[tokio::test(start_paused = true)]
async fn other_rules_are_told_again_when_all_replicas_have_them() {
    let mut fed = fed_by(&[Store::new("sqlite")], ROLLOUT);
    let begun = Instant::now();
    assert_eq!(
        rechecks(&mut fed, begun, 1).await,
        [120],
        "as at each start"
    );
    let begun = Instant::now();
    fed.rules.notify_one();
    assert_eq!(rechecks(&mut fed, begun, 3).await, [0, 2, 120]);
    silent(&mut fed).await;
}

#[tokio::test(start_paused = true)]
async fn replicas_that_tell_each_other_of_rules_and_single_ones_tell_once() {
    let telling = Store {
        tells_rules: true,
        ..Store::new("postgres")
    };
    for (store, rollout) in [(telling, ROLLOUT), (Store::new("sqlite"), Duration::ZERO)] {
        let mut fed = fed_by(&[store], rollout);
        silent(&mut fed).await;
        let begun = Instant::now();
        fed.rules.notify_one();
        assert_eq!(rechecks(&mut fed, begun, 1).await, [0]);
        // Its own notification comes back.
        fed.changes.send(Change::Rules).await.unwrap();
        assert_eq!(rechecks(&mut fed, begun, 1).await, [2]);
        silent(&mut fed).await;
    }
}

#[tokio::test(start_paused = true)]
async fn users_of_a_file_are_told_again_when_all_replicas_have_it() {
    let mut fed = fed_by(&[Store::new("file")], ROLLOUT);
    let begun = Instant::now();
    assert_eq!(
        rechecks(&mut fed, begun, 1).await,
        [120],
        "as at each start"
    );
    let begun = Instant::now();
    for change in [
        changed_in("file", "gone", None, true),
        changed_in("file", "back", None, true),
    ] {
        fed.changes.send(change).await.unwrap();
    }
    let mut told = Vec::new();
    while begun.elapsed() < Duration::from_secs(60) {
        let Ok(next) = tokio::time::timeout(Duration::from_secs(10), next(&mut fed.watcher)).await
        else {
            break;
        };
        told.push(next);
    }
    assert_eq!(told[..2], ["terminate gone", "terminate back"]);
    let back = changed_in("file", "back", Some(Account::default()), false);
    fed.changes.send(back).await.unwrap();
    let asked = ["invalidate back", "recheck back"];
    assert_eq!(nexts(&mut fed.watcher).await, asked);
    assert_eq!(nexts(&mut fed.watcher).await, asked, "the echo");
    // A replica with the old file may have let her in meanwhile.
    let late: [String; 3] = nexts(&mut fed.watcher).await;
    assert_eq!(late, ["terminate gone", "invalidate gone", "recheck gone"]);
    assert_eq!(begun.elapsed().as_secs(), 120);
    assert_eq!(nexts(&mut fed.watcher).await, asked);
    silent(&mut fed).await;
}

#[tokio::test(start_paused = true)]
async fn what_happened_before_ends_no_sessions() {
    let mut fed = fed();
    let Change::User(changed) = changed("new", Some(Account::default()), true) else {
        unreachable!();
    };
    fed.changes.send(Change::Earlier(changed)).await.unwrap();
    let heard = Change::Heard {
        source: "sqlite",
        only_these: None,
    };
    fed.changes.send(heard).await.unwrap();
    silent(&mut fed).await;
    assert_eq!(*fed.noted.lock().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn sessions_of_the_same_name_from_another_store_are_not_ended() {
    let file = Store {
        user: Some("alice"),
        ..Store::new("file")
    };
    let mut fed = fed_by(&[file, Store::new("sqlite")], Duration::ZERO);
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
    fed.changes.send(changed("bob", None, true)).await.unwrap();
    assert_eq!(next(&mut fed.watcher).await, "terminate bob");
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_keeps_nobody_connected() {
    let file = Store {
        hangs: true,
        ..Store::new("file")
    };
    let mut fed = fed_by(&[file, Store::new("sqlite")], Duration::ZERO);
    fed.changes
        .send(changed("alice", None, true))
        .await
        .unwrap();
    assert_eq!(next(&mut fed.watcher).await, "terminate alice");
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
    silent(&mut fed).await;
}

#[test]
fn what_ends_sessions_is_kept_when_everybody_is_told() {
    let mut echoes = Echoes::default();
    for number in 0..3 * MAX_ECHOES {
        let ending = (number % 4 == 0).then_some("removed");
        echoes.add(ROLLOUT, Echo::of(&number.to_string(), ending));
        assert!(echoes.0.len() <= MAX_ECHOES + 2);
    }
    let kept = echoes.0.iter().filter(|(_, echo)| echo.ending.is_some());
    assert!(kept.count() >= MAX_ECHOES / 4);
    assert!(echoes.0.iter().any(|(_, echo)| echo.whom.is_none()));
}
