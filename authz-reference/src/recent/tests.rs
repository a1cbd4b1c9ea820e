use super::*;

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

fn changed(who: &str, user: Option<Arc<Account>>, credentials: bool, seconds: u64) -> Changed {
    Changed {
        name: name(who),
        user,
        credentials,
        at: at(seconds),
    }
}

const DAY: Duration = Duration::from_secs(86_400);

fn recent() -> Recent {
    Recent::new(DAY)
}

fn note(recent: &Recent, changed: &Changed) {
    recent.note_at(changed, changed.at);
}

#[test]
fn nothing_has_changed() {
    assert_eq!(recent().judge(&name("alice"), at(0)), Standing::AsSealed);
}

#[test]
fn a_change_counts_for_sessions_from_before() {
    let recent = recent();
    note(&recent, &changed("alice", Some(account(true)), false, 100));
    let judged = |seconds| recent.judge(&name("alice"), at(seconds));
    assert_eq!(judged(99), Standing::Now(account(true)));
    assert_eq!(judged(100), Standing::Now(account(true)));
    assert_eq!(
        judged(105),
        Standing::Now(account(true)),
        "clocks may differ"
    );
    assert_eq!(judged(106), Standing::AsSealed);
    assert_eq!(recent.judge(&name("bob"), at(99)), Standing::AsSealed);
}

#[test]
fn other_credentials_end_sessions_from_before_for_good() {
    let recent = recent();
    note(&recent, &changed("alice", Some(account(false)), true, 100));
    note(&recent, &changed("alice", Some(account(true)), false, 200));
    let judged = |seconds| recent.judge(&name("alice"), at(seconds));
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
    assert_eq!(recent.judge(&name("alice"), at(50)), Standing::Gone);
    note(&recent, &changed("alice", Some(account(false)), false, 200));
    assert_eq!(recent.judge(&name("alice"), at(50)), Standing::Ask);
    assert_eq!(
        recent.judge(&name("alice"), at(201)),
        Standing::Now(account(false))
    );
}

#[test]
fn who_has_logged_in_since_need_not_do_so_again_after_a_restart() {
    let recent = recent();
    recent.note_earlier(&changed("alice", Some(account(false)), true, 100));
    recent.note_earlier(&changed("carol", None, true, 100));
    recent.unknown_until(at(50));
    let judged = |who, seconds| recent.judge(&name(who), at(seconds));
    assert_eq!(judged("alice", 100), Standing::Ask);
    assert_eq!(judged("alice", 106), Standing::AsSealed);
    assert_eq!(judged("carol", 100), Standing::Gone);
    assert_eq!(judged("bob", 50), Standing::Ask);
    assert_eq!(judged("bob", 51), Standing::AsSealed);
}

#[test]
fn a_clock_that_goes_back_undoes_nothing() {
    let recent = recent();
    recent.note_at(&changed("alice", Some(account(true)), false, 100), at(100));
    recent.note_at(&changed("alice", None, false, 40), at(40));
    assert_eq!(recent.judge(&name("alice"), at(90)), Standing::Gone);
}

#[test]
fn after_the_unknown_everybody_logs_in_again() {
    let recent = recent();
    note(&recent, &changed("alice", Some(account(true)), false, 100));
    recent.unknown_at(at(200));
    for who in ["alice", "bob"] {
        assert_eq!(recent.judge(&name(who), at(200)), Standing::Ask, "{who}");
        assert_eq!(
            recent.judge(&name(who), at(201)),
            Standing::AsSealed,
            "{who}"
        );
    }
}

#[test]
fn bounded_and_what_is_forgotten_is_asked_about() {
    let recent = Recent::bounded(DAY, 10);
    for number in 0..11 {
        note(
            &recent,
            &changed(&format!("u{number}"), None, false, number * 10),
        );
    }
    assert!(recent.noted.read().unwrap().users.len() <= 10);
    assert_eq!(recent.judge(&name("u10"), at(0)), Standing::Gone);
    assert_eq!(recent.judge(&name("u0"), at(0)), Standing::Ask);
    assert_eq!(
        recent.judge(&name("other"), at(20)),
        Standing::Ask,
        "it can't be told from u0"
    );
    assert_eq!(recent.judge(&name("other"), at(99)), Standing::AsSealed);
}

#[test]
fn what_no_state_can_be_older_than_is_forgotten_first() {
    let recent = Recent::bounded(Duration::from_secs(60), 10);
    for number in 0..10 {
        note(&recent, &changed(&format!("u{number}"), None, false, 0));
    }
    note(&recent, &changed("late", None, false, 61));
    assert_eq!(recent.noted.read().unwrap().users.len(), 1);
    assert_eq!(recent.judge(&name("other"), at(1)), Standing::AsSealed);
}
