use std::{collections::HashMap, fmt::Debug};

use gatekeeper::{Allow, Why};
use proptest::{collection::vec, option, prelude::*};
use v1::publish_result::Decision as Said;

use super::*;
use crate::authz::{
    hook,
    testing::{no, result, yes},
};

fn rules() -> Rules {
    Rules::from(&AuthzOptions::default())
}

fn publish(decision: Said) -> Outcome {
    one::<hook::Publish>(result(1, decision))
}

fn subscribe(decision: v1::subscribe_result::Decision) -> Outcome {
    one::<hook::Subscribe>(v1::SubscribeResult {
        metadata: Some(first()),
        decision: Some(decision),
    })
}

fn connect(decision: v1::connect_result::Decision) -> Outcome {
    one::<hook::Connect>(v1::ConnectResult {
        metadata: Some(first()),
        decision: Some(decision),
    })
}

fn first() -> v1::ResultMetadata {
    v1::ResultMetadata {
        item_id: 1,
        ..v1::ResultMetadata::default()
    }
}

fn one<H: Hook>(result: H::Result) -> Outcome {
    let (mut outcomes, _) = all::<H>(1, vec![result]);
    outcomes.remove(0)
}

/// The outcomes, and the number of results for nobody.
fn all<H: Hook>(expected: usize, results: Vec<H::Result>) -> (Vec<Outcome>, usize) {
    let results = Answers::from(results).results;
    let matched = match_results::<H>(expected, results, &rules(), |_| true);
    let missing = || Ending::failed(Cause::MissingResult);
    let endings = matched.endings.into_iter();
    let outcomes = endings.map(|ending| ending.unwrap_or_else(missing).into_outcome());
    (outcomes.collect(), matched.unknown_items)
}

#[track_caller]
fn assert_fails(outcome: &Outcome, why: Why) {
    match outcome {
        Err(failure) => assert_eq!(failure.cause.why(), why, "{}", failure.cause),
        Ok(decision) => panic!("{:?} instead of {why:?}", decision.verdict),
    }
}

#[test]
fn nothing_set_is_no_decision() {
    assert_fails(&one::<hook::Publish>(result(1, None)), Why::InvalidResult);
    let (empty, unknown_items) = all::<hook::Publish>(1, vec![v1::PublishResult::default()]);
    assert_fails(&empty[0], Why::MissingResult);
    assert_eq!(unknown_items, 1);
}

#[test]
fn results_are_matched_in_any_order() {
    let results = vec![result(3, no()), result(1, yes()), result(2, None)];
    let (outcomes, _) = all::<hook::Publish>(3, results);
    let [first, second, third] = &outcomes[..] else {
        panic!("one outcome for each check");
    };
    assert_eq!(
        first.as_ref().unwrap().verdict,
        Verdict::Allow(Allow::PUBLISH)
    );
    assert_fails(second, Why::InvalidResult);
    assert!(matches!(third.as_ref().unwrap().verdict, Verdict::Deny(_)));
}

#[test]
fn two_results_are_none_even_if_both_say_yes() {
    for others in [vec![yes()], vec![no()], vec![yes(), yes()]] {
        let mut results = vec![result(1, yes())];
        results.extend(others.into_iter().map(|decision| result(1, decision)));
        let (outcomes, _) = all::<hook::Publish>(1, results);
        assert_fails(&outcomes[0], Why::InvalidResult);
    }
}

#[test]
fn reason_codes() {
    let deny = |reason_code| {
        publish(Said::Deny(v1::Deny {
            reason_code,
            ..v1::Deny::default()
        }))
    };
    let code = |outcome: Outcome| match outcome.unwrap().verdict {
        Verdict::Deny(deny) => deny.code,
        other => panic!("{other:?}"),
    };
    assert_eq!(code(deny(0)), None);
    assert_eq!(code(deny(0x80)), Some(ReasonCode::new(0x80)));
    assert_eq!(code(deny(0x97)), Some(ReasonCode::new(0x97)));
    for illegal in [1, 0x18, 0x7f, 0x81, 0xff, 0x187, -1, i32::MAX, i32::MIN] {
        assert_fails(&deny(illegal), Why::InvalidResult);
    }
}

#[test]
fn deny_actions() {
    let with = |action| v1::Deny {
        action,
        ..v1::Deny::default()
    };
    let action = |outcome: Outcome| match outcome.unwrap().verdict {
        Verdict::Deny(deny) => deny.action,
        other => panic!("{other:?}"),
    };
    for (sent, read) in [
        (0, DenyAction::Configured),
        (1, DenyAction::Reject),
        (2, DenyAction::Disconnect),
        (3, DenyAction::Drop),
    ] {
        assert_eq!(action(publish(Said::Deny(with(sent)))), read);
    }
    for unknown in [4, -1] {
        assert_fails(&publish(Said::Deny(with(unknown))), Why::InvalidResult);
    }
    let dropped = subscribe(v1::subscribe_result::Decision::Deny(with(3)));
    assert_fails(&dropped, Why::InvalidResult);
    let dropped = connect(v1::connect_result::Decision::Deny(with(3)));
    assert_fails(&dropped, Why::InvalidResult);
}

#[test]
fn what_mqtt_cannot_carry_is_not_said() {
    for (text, said) in [
        ("", None),
        ("no", Some("no")),
        ("n\0", None),
        ("n\n", None),
        (&"n".repeat(65_536), None),
    ] {
        let outcome = publish(Said::Deny(v1::Deny {
            reason_string: text.to_owned(),
            server_reference: text.to_owned(),
            ..v1::Deny::default()
        }));
        let Verdict::Deny(deny) = outcome.unwrap().verdict else {
            panic!("still a denial");
        };
        assert_eq!(deny.reason_string.as_deref(), said);
        assert_eq!(deny.server_reference.as_deref(), said);
    }
}

#[test]
fn failure_codes() {
    for (code, why) in [
        (0, Why::ServiceFailure),
        (1, Why::ServiceFailure),
        (2, Why::ServiceFailure),
        (3, Why::ServiceFailure),
        (4, Why::Overloaded),
        (5, Why::SessionStateInvalid),
        (6, Why::InvalidCheck),
        (7, Why::ServiceFailure),
        (-1, Why::ServiceFailure),
    ] {
        let failure = v1::Failure {
            code,
            ..v1::Failure::default()
        };
        assert_fails(&publish(Said::Failure(failure)), why);
    }
}

#[test]
fn a_hint_is_kept_if_somebody_wants_to_know() {
    let time = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
    let hint = |ttl, stale_if_error| v1::ResultMetadata {
        cache: Some(v1::CacheHint {
            ttl: time(ttl),
            stale_if_error: time(stale_if_error),
        }),
        ..v1::ResultMetadata::default()
    };
    let without = Rules::from(&AuthzOptions::default());
    assert_eq!(facts(hint(1, 1), &without).reuse, None);
    let with = Rules {
        keeps_hints: true,
        ..without
    };
    let reuse = facts(hint(1, 2), &with).reuse.unwrap();
    let seconds = (reuse.ttl.as_secs(), reuse.stale_if_error.as_secs());
    assert_eq!((seconds, reuse.maker), ((1, 2), None));
    assert_eq!(facts(hint(0, -1), &with).reuse, None, "a time that is none");
    assert_eq!(facts(v1::ResultMetadata::default(), &with).reuse, None);
}

#[test]
fn facts_are_bounded_and_on_one_line() {
    let metadata = v1::ResultMetadata {
        item_id: 1,
        policy: "p".repeat(1000),
        decision_id: "a\nb".to_owned(),
        annotations: (0..100)
            .map(|n| (n.to_string(), "v".repeat(1000)))
            .collect(),
        cache: None,
    };
    let facts = facts(metadata, &Rules::from(&AuthzOptions::default()));
    assert_eq!(facts.policy.len(), 200);
    assert_eq!(facts.decision_id, "a b");
    assert_eq!(facts.annotations.len(), MAX_ANNOTATIONS);
    assert!(
        facts
            .annotations
            .iter()
            .all(|(_, value)| value.len() == 200)
    );
}

proptest! {
    /// Allow if, and only if, there is exactly one result for the check and it is a plain allow.
    #[test]
    fn nothing_but_one_plain_allow_allows(
        expected in 1_usize..6,
        results in vec((0_u32..8, said()), 0..12),
    ) {
        let mut said_of: HashMap<u32, Vec<Option<Said>>> = HashMap::new();
        for (id, said) in &results {
            said_of.entry(*id).or_default().push(said.clone());
        }
        let results = results.into_iter().map(|(id, said)| result(id, said)).collect();
        let (outcomes, _) = all::<hook::Publish>(expected, results);
        prop_assert_eq!(outcomes.len(), expected);
        for (index, outcome) in outcomes.iter().enumerate() {
            let said = said_of.get(&item_id(index)).map_or(&[][..], Vec::as_slice);
            let is_plain_allow = said == [Some(yes())];
            let allows = matches!(
                outcome.as_ref().map(|decision| &decision.verdict),
                Ok(Verdict::Allow(_))
            );
            prop_assert_eq!(allows, is_plain_allow, "{:?}", said);
        }
    }

    /// Whatever bytes a service sends, reading them ends, and not in a panic.
    #[test]
    fn no_answer_panics(bytes in vec(any::<u8>(), 0..300)) {
        fn read_all<H: Hook>(results: Vec<H::Result>) -> impl Debug {
            all::<H>(3, results)
        }
        use prost::Message as _;
        if let Ok(response) = v1::AuthorizeConnectResponse::decode(&bytes[..]) {
            read_all::<hook::Connect>(response.results);
        }
        if let Ok(response) = v1::AuthorizePublishResponse::decode(&bytes[..]) {
            read_all::<hook::Publish>(response.results);
        }
        if let Ok(response) = v1::AuthorizeSubscribeResponse::decode(&bytes[..]) {
            read_all::<hook::Subscribe>(response.results);
        }
    }
}

fn said() -> impl Strategy<Value = Option<Said>> {
    option::weighted(
        0.9,
        prop_oneof![
            4 => Just(yes()),
            1 => option::of(".{0,3}").prop_map(|topic| Said::Allow(v1::PublishAllow {
                topic,
                ..v1::PublishAllow::default()
            })),
            1 => option::of(any::<bool>()).prop_map(|retain| Said::Allow(v1::PublishAllow {
                retain,
                ..v1::PublishAllow::default()
            })),
            2 => (-2..300, -1..5).prop_map(|(reason_code, action)| Said::Deny(v1::Deny {
                reason_code,
                action,
                ..v1::Deny::default()
            })),
            1 => (-1..9).prop_map(|code| Said::Failure(v1::Failure {
                code,
                ..v1::Failure::default()
            })),
        ],
    )
}
