use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::{
    config::PolicyConfig,
    identity::UserName,
    password::PasswordHash,
    policy::{Origin, Publication},
    service::verdict::Fault,
    session_state::{Claims, Keys},
    users::{
        Account,
        changes::{Changed, Current},
    },
};

const DAY: Duration = Duration::from_secs(86_400);

fn sealer() -> Sealer {
    Sealer::new(Keys::sealing_with(&[7; 32]).unwrap(), DAY)
}

fn sessions(kept: usize) -> Sessions {
    let rules = Rules::new(&PolicyConfig::default(), &BTreeMap::new());
    Sessions::keeping(kept, rules, sealer())
}

fn recent() -> Recent {
    let recent = Recent::new(DAY, &["file"]);
    recent.heard("file", None);
    recent
}

fn session(superuser: bool, stored: bool, sealed_at: SystemTime) -> Session {
    session_until(None, superuser, stored, sealed_at)
}

fn session_until(
    ends: Option<SystemTime>,
    superuser: bool,
    stored: bool,
    sealed_at: SystemTime,
) -> Session {
    let principal = Principal::User {
        name: UserName::new("alice").unwrap(),
        superuser,
        roles: Vec::new(),
        grants: Vec::new(),
    };
    let binding = Binding {
        session_id: "s1",
        client_id: "c1",
    };
    let claims = Claims {
        principal,
        stored: stored.then(|| Stored {
            source: "file".into(),
            credential: PasswordHash::default().id(),
        }),
        oracle: false,
        ends,
    };
    Session {
        session_id: "s1".to_owned(),
        client_id: "c1".to_owned(),
        session_state: sealer().seal(&claims, binding, sealed_at).unwrap(),
        ..Session::default()
    }
}

/// What comes of publishing to somebody else's topic: the name of the rule.
fn publishes(sessions: &Sessions, session: &Session, recent: &Recent, now: SystemTime) -> String {
    let fault = |fault: &Fault| fault.rule().to_owned();
    match sessions.permissions(Some(session), recent, now) {
        Ok(permissions) => {
            let decided = permissions.permissions.publish(&Publication {
                topic: "bob/x",
                response_topic: "",
                qos: 0,
                retain: false,
                origin: Origin::Client,
            });
            decided.map_or_else(
                |refusal| refusal.rule().to_owned(),
                |grant| grant.rule().to_owned(),
            )
        }
        Err(NotAllowed::Refused(refusal)) => refusal.rule().to_owned(),
        Err(NotAllowed::Faulty(reason)) => fault(&reason),
    }
}

fn changed(user: Option<Account>, credentials: bool) -> Changed {
    Changed {
        source: "file",
        name: UserName::new("alice").unwrap(),
        now: user.map_or(Current::Gone, |account| {
            Current::Is(Arc::new(account), PasswordHash::default().id())
        }),
        credentials,
        at: SystemTime::now(),
    }
}

#[test]
fn a_session_is_over_when_its_token_is() {
    let now = SystemTime::now();
    let minute = Duration::from_secs(60);
    for kept in [0, 1_000] {
        let sessions = sessions(kept);
        let alice = session_until(Some(now + minute), true, false, now);
        for (at, expected) in [
            (now, "superuser"),
            (now + minute, "session-state-invalid"),
            (now + 2 * minute, "session-state-invalid"),
        ] {
            let said = publishes(&sessions, &alice, &recent(), at);
            assert_eq!(said, expected, "kept {kept}");
        }
    }
}

#[test]
fn changed_users_are_judged_by_what_they_are_now() {
    let account = |superuser, disabled| {
        Some(Account {
            superuser,
            disabled,
            ..Account::default()
        })
    };
    let now = SystemTime::now();
    for kept in [0, 1_000] {
        let sessions = sessions(kept);
        for (user, credentials, expected) in [
            (account(false, false), false, "own-prefix"),
            (account(true, false), false, "superuser"),
            (account(true, true), false, "disabled"),
            (account(true, false), true, "session-state-invalid"),
            (None, false, "user-gone"),
        ] {
            let recent = recent();
            let alice = session(true, true, now);
            assert_eq!(publishes(&sessions, &alice, &recent, now), "superuser");
            recent.note(&changed(user, credentials));
            assert_eq!(
                publishes(&sessions, &alice, &recent, now),
                expected,
                "kept {kept}"
            );
        }
        let recent = recent();
        recent.unknown("file");
        assert_eq!(
            publishes(&sessions, &session(true, true, now), &recent, now),
            "session-state-invalid"
        );
    }
}

#[test]
fn changes_of_a_store_do_not_concern_who_is_not_in_it() {
    let (sessions, recent, now) = (sessions(1_000), recent(), SystemTime::now());
    recent.note(&changed(None, true));
    assert_eq!(
        publishes(&sessions, &session(true, false, now), &recent, now),
        "superuser"
    );
}

#[test]
fn a_state_that_was_opened_before_gets_too_old_all_the_same() {
    let (sessions, recent, now) = (sessions(1_000), recent(), SystemTime::now());
    let alice = session(true, true, now);
    assert_eq!(publishes(&sessions, &alice, &recent, now), "superuser");
    let later = now + DAY + Duration::from_secs(1);
    assert_eq!(
        publishes(&sessions, &alice, &recent, later),
        "session-state-invalid"
    );
}

#[test]
fn what_was_opened_for_one_session_is_not_for_another() {
    let (sessions, recent, now) = (sessions(1_000), recent(), SystemTime::now());
    let alice = session(true, true, now);
    assert_eq!(publishes(&sessions, &alice, &recent, now), "superuser");
    for change in [
        |session: &mut Session| session.session_id = "s2".to_owned(),
        |session: &mut Session| session.client_id = "c2".to_owned(),
        |session: &mut Session| {
            let mut state = session.session_state.to_vec();
            *state.last_mut().unwrap() ^= 1;
            session.session_state = state.into();
        },
    ] {
        let mut other = alice.clone();
        change(&mut other);
        assert_eq!(
            publishes(&sessions, &other, &recent, now),
            "session-state-invalid"
        );
    }
}

#[test]
fn while_nothing_is_known_nobody_decides() {
    let (sessions, now) = (sessions(1_000), SystemTime::now());
    let recent = Recent::new(DAY, &["file"]);
    let rule = |stored| publishes(&sessions, &session(true, stored, now), &recent, now);
    assert_eq!(rule(true), "users-unavailable");
    assert_eq!(rule(false), "superuser");
    recent.heard("file", None);
    assert_eq!(rule(true), "superuser");
}
