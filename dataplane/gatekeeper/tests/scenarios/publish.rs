//! PUBLISH of the client: the deny and failure tables, for both versions and every QoS.

use std::time::Duration;

use gatekeeper::{
    Deny, DenyAction, Fate, OnDenied, OnDeniedV3, OnFailed, ReasonCode, Rules, Verdict, Version,
    Why,
};

use crate::{
    packet::{PUBACK, PUBREC},
    scene::{BOTH, Scene, deny},
    write,
};

/// What comes of a PUBLISH that does not go to the broker.
#[derive(Debug, Clone, Copy)]
enum Outcome {
    /// Nothing that anybody sees.
    Silence,
    /// An acknowledgement that says yes.
    Success,
    /// An acknowledgement that says no.
    Refusal(u8),
    /// The end, with this code where there is a DISCONNECT.
    Close(u8),
}

/// One PUBLISH, one verdict, one outcome.
fn check(
    version: Version,
    qos: u8,
    change: impl FnOnce(&mut Rules),
    verdict: Verdict,
    outcome: Outcome,
) {
    let reason = match verdict {
        Verdict::Deny(_) | Verdict::Unavailable(Why::InvalidCheck | Why::TooLarge) => {
            "publish_denied"
        }
        _ => "publish_undecided",
    };
    let mut scene = Scene::live_with(version, change);
    scene.client_publishes("bob/x", qos, 7);
    let ticket = scene.asks_publish("bob/x");
    scene.answers(ticket, verdict);
    let kind = if qos == 2 { PUBREC } else { PUBACK };
    match outcome {
        Outcome::Silence => {}
        Outcome::Success => scene.client_gets(&write::ack(kind, 7)),
        Outcome::Refusal(code) => scene.client_gets(&write::ack_code(kind, 7, code)),
        Outcome::Close(code) => scene.closes_with(reason, code),
    }
    scene.is_quiet();
}

fn denied(action: DenyAction) -> Verdict {
    Verdict::Deny(Deny {
        action,
        ..Deny::default()
    })
}

/// [MQTT-2.2.1-5] [MQTT-3.3.4-1] [3.1.1: MQTT-2.3.1-6] [3.1.1: MQTT-3.3.4-1] [3.1.1: MQTT-4.3.1-1]
/// [3.1.1: MQTT-4.3.2-2] [3.1.1: MQTT-4.3.3-2]
#[test]
fn allowed_messages_pass_byte_by_byte_and_so_do_their_acknowledgements() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        // [MQTT-4.3.1-1]
        let packet = scene.client_publishes("a", 0, 0);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        assert_eq!(scene.fate(ticket), Some(Fate::Forwarded));
        // [MQTT-4.3.2-4]
        let packet = scene.client_publishes("a", 1, 1);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        scene.broker_sends(&write::ack(PUBACK, 1));
        scene.client_gets(&write::ack(PUBACK, 1));
        // [MQTT-4.3.3-8] [MQTT-4.3.3-11]
        let packet = scene.client_publishes("a", 2, 2);
        let ticket = scene.asks_publish("a");
        scene.allows(ticket);
        scene.broker_gets(&packet);
        for (step, byte) in [(5, false), (6, true), (7, false)] {
            let ack = write::ack(step, 2);
            if byte {
                scene.client_sends(&ack);
                scene.broker_gets(&ack);
            } else {
                scene.broker_sends(&ack);
                scene.client_gets(&ack);
            }
        }
    }
}

#[test]
fn the_question_says_what_the_packet_says() {
    let mut scene = Scene::live(Version::V5);
    let mut properties = write::text_property(0x03, "text/plain");
    properties.extend(write::text_property(0x08, "reply/to"));
    properties.extend([0x26, 0, 1, b'k', 0, 1, b'v']);
    let packet = write::Publish {
        topic: "a".to_owned(),
        qos: 1,
        retain: true,
        dup: true,
        id: 9,
        properties,
        payload: Vec::new(),
    };
    scene.client_sends(&packet.write(Version::V5));
    let ticket = scene.asks_about_publish(|question| {
        assert_eq!(question.topic, "a");
        assert!(question.retain && question.dup);
        assert_eq!(question.payload_size, 0);
        assert_eq!(question.content_type.as_deref(), Some("text/plain"));
        assert_eq!(question.response_topic.as_deref(), Some("reply/to"));
        assert_eq!(question.user_properties.len(), 1);
    });
    scene.allows(ticket);
    // [MQTT-3.3.2-17] [MQTT-3.3.2-18]
    scene.broker_gets(&packet.write(Version::V5));
}

#[test]
fn denied_with_qos_0_is_dropped() {
    for version in BOTH {
        for action in [DenyAction::Configured, DenyAction::Reject, DenyAction::Drop] {
            check(version, 0, |_| {}, denied(action), Outcome::Silence);
        }
        check(
            version,
            0,
            |_| {},
            denied(DenyAction::Disconnect),
            Outcome::Close(0x87),
        );
    }
}

#[test]
fn denied_on_v5_is_acknowledged_with_the_code() {
    for qos in [1, 2] {
        for action in [DenyAction::Configured, DenyAction::Reject] {
            check(
                Version::V5,
                qos,
                |_| {},
                denied(action),
                Outcome::Refusal(0x87),
            );
        }
        check(
            Version::V5,
            qos,
            |_| {},
            denied(DenyAction::Drop),
            Outcome::Success,
        );
        check(
            Version::V5,
            qos,
            |_| {},
            denied(DenyAction::Disconnect),
            Outcome::Close(0x87),
        );
    }
}

/// [3.1.1: MQTT-3.3.5-2]: a positive acknowledgement, or the end of the connection.
#[test]
fn denied_on_v311_is_acknowledged_and_dropped_or_closes() {
    for qos in [1, 2] {
        let close = |rules: &mut Rules| rules.on_publish_denied_v3 = OnDeniedV3::Disconnect;
        for action in [DenyAction::Configured, DenyAction::Reject] {
            check(Version::V311, qos, |_| {}, denied(action), Outcome::Success);
            check(Version::V311, qos, close, denied(action), Outcome::Close(0));
        }
        check(
            Version::V311,
            qos,
            close,
            denied(DenyAction::Drop),
            Outcome::Success,
        );
        check(
            Version::V311,
            qos,
            |_| {},
            denied(DenyAction::Disconnect),
            Outcome::Close(0),
        );
    }
}

#[test]
fn denied_closes_where_the_operator_wants_it_and_the_service_does_not_object() {
    let close = |rules: &mut Rules| rules.on_publish_denied = OnDenied::Disconnect;
    for version in BOTH {
        for qos in 0..=2 {
            check(
                version,
                qos,
                close,
                denied(DenyAction::Configured),
                Outcome::Close(0x87),
            );
        }
        check(
            version,
            0,
            close,
            denied(DenyAction::Reject),
            Outcome::Silence,
        );
        check(
            version,
            1,
            close,
            denied(DenyAction::Drop),
            Outcome::Success,
        );
    }
    check(
        Version::V5,
        1,
        close,
        denied(DenyAction::Reject),
        Outcome::Refusal(0x87),
    );
}

/// [MQTT-3.4.2-1] [MQTT-3.5.2-1] [MQTT-3.14.2-1]
#[test]
fn a_code_that_the_packet_may_not_carry_is_replaced() {
    for (asked, ack, end) in [
        (0x83, 0x83, 0x83),
        (0x85, 0x87, 0x87),
        (0x88, 0x80, 0x89),
        (0x89, 0x97, 0x89),
        (0x8F, 0x90, 0x8F),
        (0x90, 0x90, 0x90),
        (0x97, 0x97, 0x97),
        (0x98, 0x87, 0x98),
        (0x99, 0x99, 0x99),
        (0x9D, 0x83, 0x9D),
        (0x00, 0x87, 0x87),
        (0x10, 0x87, 0x87),
    ] {
        for qos in [1, 2] {
            let verdict = Verdict::Deny(deny(asked));
            check(Version::V5, qos, |_| {}, verdict, Outcome::Refusal(ack));
        }
        let verdict = Verdict::Deny(Deny {
            action: DenyAction::Disconnect,
            ..deny(asked)
        });
        check(Version::V5, 1, |_| {}, verdict, Outcome::Close(end));
    }
}

const FAILURES: [Why; 12] = [
    Why::Timeout,
    Why::Unavailable,
    Why::GrpcStatus,
    Why::ServiceFailure,
    Why::Overloaded,
    Why::MissingResult,
    Why::InvalidResult,
    Why::InvalidMutation,
    Why::ExpiredInQueue,
    Why::QueueFull,
    Why::Throttled,
    Why::ShuttingDown,
];

/// [3.1.1: MQTT-4.8.0-2]
#[test]
fn a_failure_is_neither_a_success_nor_a_denial() {
    for why in FAILURES {
        let failed = || Verdict::Unavailable(why);
        for version in BOTH {
            check(version, 0, |_| {}, failed(), Outcome::Silence);
        }
        for qos in [1, 2] {
            check(Version::V5, qos, |_| {}, failed(), Outcome::Refusal(0x83));
            // Never acknowledged, so that a client with a kept session sends it again.
            check(Version::V311, qos, |_| {}, failed(), Outcome::Close(0));
        }
    }
}

#[test]
fn a_failure_closes_where_the_operator_wants_it() {
    let close = |rules: &mut Rules| rules.on_publish_failed = OnFailed::Disconnect;
    for version in BOTH {
        for qos in 0..=2 {
            let failed = Verdict::Unavailable(Why::Unavailable);
            check(version, qos, close, failed, Outcome::Close(0x83));
        }
    }
}

#[test]
fn a_failure_is_not_softened_by_what_a_denial_does() {
    let lenient = |rules: &mut Rules| {
        rules.on_publish_denied_v3 = OnDeniedV3::AckAndDrop;
        rules.on_publish_denied = OnDenied::Reject;
    };
    let failed = Verdict::Unavailable(Why::Unavailable);
    check(Version::V311, 1, lenient, failed, Outcome::Close(0));
}

/// A client that would fail for ever is denied, so that it does not come back in a loop.
#[test]
fn a_permanent_failure_is_a_denial() {
    for (why, code) in [(Why::InvalidCheck, 0x87), (Why::TooLarge, 0x97)] {
        let failed = || Verdict::Unavailable(why);
        for version in BOTH {
            check(version, 0, |_| {}, failed(), Outcome::Silence);
        }
        for qos in [1, 2] {
            check(Version::V5, qos, |_| {}, failed(), Outcome::Refusal(code));
            check(Version::V311, qos, |_| {}, failed(), Outcome::Success);
            let close = |rules: &mut Rules| rules.on_publish_denied = OnDenied::Disconnect;
            check(
                Version::V5,
                qos,
                close,
                failed(),
                Outcome::Close(if code == 0x97 { 0x95 } else { code }),
            );
        }
    }
}

#[test]
fn no_verdict_in_time_is_a_failure() {
    let mut scene = Scene::live(Version::V5);
    scene.client_publishes("a", 1, 7);
    let ticket = scene.asks_publish("a");
    scene.passes(Duration::from_millis(999));
    scene.is_quiet();
    scene.passes(Duration::from_millis(1));
    scene.cancels(ticket);
    scene.client_gets(&write::ack_code(PUBACK, 7, 0x83));
    assert_eq!(
        scene.fate(ticket),
        Some(Fate::Refused(ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR))
    );
    // Too late, and for nothing.
    scene.allows(ticket);
    scene.is_quiet();
}

#[test]
fn no_verdict_in_time_on_v311_is_never_acknowledged() {
    let mut scene = Scene::live(Version::V311);
    scene.client_publishes("a", 1, 7);
    let ticket = scene.asks_publish("a");
    scene.passes(Duration::from_secs(1));
    scene.cancels(ticket);
    scene.closes("publish_undecided");
    assert_eq!(scene.fate(ticket), Some(Fate::Closed));
}

#[test]
fn a_session_that_the_service_cannot_read_starts_afresh() {
    for version in BOTH {
        let mut scene = Scene::live(version);
        scene.client_publishes("a", 0, 0);
        let ticket = scene.asks_publish("a");
        scene.fails(ticket, Why::SessionStateInvalid);
        scene.closes_with("session_state_invalid", 0x98);
    }
}

#[test]
fn a_redelivery_is_asked_about_anew() {
    let mut scene = Scene::live(Version::V311);
    let mut packet = scene.client_publishes("a", 1, 7);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&packet);
    packet[0] |= 8;
    scene.client_sends(&packet);
    let ticket = scene.asks_about_publish(|question| assert!(question.dup));
    scene.denies(ticket);
    // Behind the broker's answer to the first copy [MQTT-4.6.0-2].
    scene.is_quiet();
    scene.broker_sends(&write::ack(PUBACK, 7));
    scene.client_gets(&write::ack(PUBACK, 7));
    scene.client_gets(&write::ack(PUBACK, 7));
}

/// MQTT 3.1.1 has no rule about the form of the length, and brokers differ: they get one form.
#[test]
fn a_length_in_more_bytes_than_needed_is_written_anew() {
    let mut scene = Scene::live(Version::V311);
    scene.client_sends(&[0x30, 0x83, 0, 0, 1, b'a']);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&[0x30, 3, 0, 1, b'a']);
}
