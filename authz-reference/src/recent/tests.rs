use super::*;
use crate::password::HashId;

fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
}

fn name(name: &str) -> UserName {
    UserName::new(name).unwrap()
}

fn account(superuser: bool) -> Arc<Account> {
    Arc::new(Account {
        superuser,
        ..Account::default()
    })
}

const STORE: &str = "file";
const OTHER: &str = "postgres";

/// What alice's password is verified against, unless it has changed.
fn stored(source: &str, credential: u64) -> Stored {
    Stored {
        source: source.into(),
        credential: HashId(credential),
    }
}

fn changed(who: &str, user: Option<Arc<Account>>, credentials: bool, seconds: u64) -> Changed {
    Changed {
        source: STORE,
        name: name(who),
        now: user.map_or(Current::Gone, |account| Current::Is(account, HashId(1))),
        credentials,
        at: at(seconds),
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn recent() -> Recent {
    heard(Recent::new(DAY, &[STORE, OTHER]))
}

fn heard(recent: Recent) -> Recent {
    for store in [STORE, OTHER] {
        recent.heard(store, None);
    }
    recent
}

fn judge(recent: &Recent, who: &str, sealed_at: SystemTime) -> Standing {
    recent.judge(&stored(STORE, 1), &name(who), sealed_at)
}

fn note(recent: &Recent, changed: &Changed) {
    recent.note_at(changed, changed.at);
}

#[test]
fn nothing_has_changed() {
    assert_eq!(judge(&recent(), "alice", at(0)), Standing::AsSealed);
}

#[test]
fn a_change_counts_for_sessions_from_before() {
    let recent = recent();
    note(&recent, &changed("alice", Some(account(true)), false, 100));
    let judged = |seconds| judge(&recent, "alice", at(seconds));
    assert_eq!(judged(99), Standing::Now(account(true)));
    assert_eq!(judged(100), Standing::Now(account(true)));
    assert_eq!(
        judged(110),
        Standing::Now(account(true)),
        "clocks may differ"
    );
    assert_eq!(judged(111), Standing::AsSealed);
    assert_eq!(judge(&recent, "bob", at(99)), Standing::AsSealed);
}

#[test]
fn other_credentials_end_sessions_from_before_for_good() {
    let recent = recent();
    note(&recent, &changed("alice", Some(account(false)), true, 100));
    note(&recent, &changed("alice", Some(account(true)), false, 200));
    let judged = |seconds| judge(&recent, "alice", at(seconds));
    assert_eq!(judged(100), Standing::Ask);
    assert_eq!(
        judged(101),
        Standing::Now(account(true)),
        "logged in with the new ones"
    );
}

#[test]
fn who_is_gone_stays_gone_even_if_somebody_takes_the_name() {
    let recent = recent();
    note(&recent, &changed("alice", None, false, 100));
    assert_eq!(judge(&recent, "alice", at(50)), Standing::Gone);
    note(&recent, &changed("alice", Some(account(false)), false, 200));
    assert_eq!(judge(&recent, "alice", at(50)), Standing::Ask);
    assert_eq!(
        judge(&recent, "alice", at(201)),
        Standing::Now(account(false))
    );
}

#[test]
fn who_was_let_in_later_by_a_replica_that_knew_less_has_to_log_in_again() {
    let recent = recent();
    note(&recent, &changed("alice", None, false, 100));
    note(&recent, &changed("carol", Some(account(true)), false, 100));
    let disabled = Account {
        disabled: true,
        ..Account::default()
    };
    note(
        &recent,
        &changed("dave", Some(Arc::new(disabled)), false, 100),
    );
    assert_eq!(judge(&recent, "alice", at(900)), Standing::Ask);
    assert_eq!(judge(&recent, "dave", at(900)), Standing::Ask);
    assert_eq!(judge(&recent, "carol", at(900)), Standing::AsSealed);
}

#[test]
fn a_clock_that_goes_back_undoes_nothing() {
    let recent = recent();
    recent.note_at(&changed("alice", Some(account(true)), false, 100), at(100));
    recent.note_at(&changed("alice", None, false, 40), at(40));
    assert_eq!(judge(&recent, "alice", at(90)), Standing::Gone);
}

#[test]
fn after_the_unknown_everybody_logs_in_again() {
    let recent = recent();
    note(&recent, &changed("alice", Some(account(true)), false, 100));
    recent.unknown_at(STORE, at(200));
    for who in ["alice", "bob"] {
        assert_eq!(judge(&recent, who, at(200)), Standing::Ask, "{who}");
        assert_eq!(judge(&recent, who, at(211)), Standing::AsSealed, "{who}");
    }
}

#[test]
fn bounded_and_what_is_forgotten_is_asked_about() {
    let recent = heard(Recent::bounded(DAY, &[STORE, OTHER], 10));
    for number in 0..11 {
        note(
            &recent,
            &changed(&format!("u{number}"), None, false, number * 10),
        );
    }
    assert!(recent.stores[0].noted.read().unwrap().users.len() <= 10);
    assert_eq!(judge(&recent, "u10", at(0)), Standing::Gone);
    assert_eq!(judge(&recent, "u0", at(0)), Standing::Ask);
    assert_eq!(
        judge(&recent, "other", at(20)),
        Standing::Ask,
        "it can't be told from u0"
    );
    assert_eq!(judge(&recent, "other", at(99)), Standing::AsSealed);
}

#[test]
fn what_no_state_can_be_older_than_is_forgotten_first() {
    let recent = heard(Recent::bounded(Duration::from_secs(60), &[STORE], 10));
    for number in 0..10 {
        note(&recent, &changed(&format!("u{number}"), None, false, 0));
    }
    note(&recent, &changed("late", None, false, 61));
    assert_eq!(recent.stores[0].noted.read().unwrap().users.len(), 1);
    assert_eq!(judge(&recent, "other", at(1)), Standing::AsSealed);
}

#[test]
fn of_another_store_by_the_same_name_nothing_is_believed() {
    let recent = recent();
    let now = Changed {
        source: OTHER,
        ..changed("alice", Some(account(true)), false, 100)
    };
    note(&recent, &now);
    assert_eq!(judge(&recent, "alice", at(50)), Standing::AsSealed);
    note(&recent, &changed("alice", Some(account(false)), false, 100));
    let gone = Changed {
        source: OTHER,
        ..changed("alice", None, true, 200)
    };
    note(&recent, &gone);
    let expected = Standing::Now(account(false));
    assert_eq!(judge(&recent, "alice", at(50)), expected);
    recent.unknown_at(OTHER, at(300));
    assert_eq!(judge(&recent, "alice", at(50)), expected);
    let once = recent.judge(&stored("sqlite", 1), &name("alice"), at(900));
    assert_eq!(once, Standing::Ask, "a store that is not configured");
}

#[test]
fn nobody_is_judged_before_the_store_was_heard() {
    let recent = Recent::new(DAY, &[STORE, OTHER]);
    recent.heard(OTHER, None);
    let early = changed("alice", Some(account(false)), false, 100);
    recent.note_at(&early, at(500));
    let not_yet = Standing::NotYet(STORE);
    for who in ["alice", "bob"] {
        assert_eq!(judge(&recent, who, at(50)), not_yet);
        assert_eq!(judge(&recent, who, at(700)), not_yet);
    }
    recent.heard(STORE, Some(at(500)));
    let now = Standing::Now(account(false));
    assert_eq!(judge(&recent, "alice", at(50)), now);
    assert_eq!(
        judge(&recent, "bob", at(50)),
        Standing::Ask,
        "not among them"
    );
    assert_eq!(judge(&recent, "bob", at(600)), Standing::AsSealed);
}

#[test]
fn what_happened_before_this_process_does_not_concern_who_logged_in_since() {
    let recent = recent();
    for credentials in [false, true] {
        let early = changed("alice", Some(account(false)), credentials, 100);
        recent.note_at(&early, at(5_000));
        assert_eq!(judge(&recent, "alice", at(200)), Standing::AsSealed);
    }
    recent.note_at(&changed("bob", None, true, 100), at(5_000));
    assert_eq!(judge(&recent, "bob", at(50)), Standing::Gone);
}

#[test]
fn another_password_is_noticed_whatever_was_said_about_it() {
    let recent = recent();
    note(&recent, &changed("alice", Some(account(false)), false, 100));
    let judged =
        |credential, seconds| recent.judge(&stored(STORE, credential), &name("alice"), at(seconds));
    assert_eq!(judged(1, 50), Standing::Now(account(false)));
    assert_eq!(judged(2, 50), Standing::Ask);
    assert_eq!(judged(2, 110), Standing::Ask, "clocks may differ");
    assert_eq!(judged(2, 111), Standing::AsSealed, "it changed again");
}

#[test]
fn who_is_stored_wrongly_is_not_gone() {
    let recent = recent();
    let unreadable = Changed {
        now: Current::Unreadable,
        ..changed("alice", None, false, 100)
    };
    note(&recent, &unreadable);
    assert_eq!(judge(&recent, "alice", at(50)), Standing::Ask);
    note(&recent, &changed("alice", Some(account(false)), false, 200));
    assert_eq!(
        judge(&recent, "alice", at(50)),
        Standing::Now(account(false)),
        "mended"
    );
}
