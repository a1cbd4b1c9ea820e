//! MQTT 3.1, where it is not as 3.1.1: `MQIsdp`, no word for a refusal, a DUP where none is later.

use gatekeeper::{
    ConnectAllow, Deny, DenyAction, Fate, OnDeniedV3, OnFailed, Verdict, Version, Version::V31, Why,
};

use crate::{
    packet::{PUBACK, PUBREC},
    scene::{Scene, deny, publish, subscribe},
    write::{self, Connect, again},
};

/// [3.1.1: MQTT-3.1.3-8] is younger: MQTT 3.1 has no nameless clients at all.
#[test]
fn a_nameless_client_is_refused() {
    for clean in [false, true] {
        let nameless = Connect {
            client_id: String::new(),
            clean,
            ..Connect::default()
        };
        let mut scene = Scene::new(V31);
        scene.client_sends(&nameless.write(V31));
        scene.client_gets(&[0x20, 2, 0, 2]);
        scene.closes("client_identifier_rejected");
    }
}

/// It may have 23 characters by the book, and no broker insists.
#[test]
fn a_long_name_is_accepted() {
    let long = Connect {
        client_id: "x".repeat(200),
        ..Connect::default()
    };
    Scene::new(V31).connected(&long, &[]);
}

/// A flag without its string counts as not set; the broker gets a packet in which flags and strings
/// agree.
#[test]
fn a_user_name_that_is_missing_was_not_there() {
    let plain = Connect::default().write(V31);
    let mut claimed = plain.clone();
    claimed[11] |= 0xC0;
    let mut scene = Scene::new(V31);
    scene.client_sends(&claimed);
    let ticket = scene.asks_about_connect(|question| {
        assert_eq!(question.username, None);
        assert!(question.password.is_none());
    });
    scene.allows(ticket);
    scene.dials();
    scene.broker_is_reached();
    scene.broker_gets(&plain);

    // Half a string is malformed all the same.
    let mut torn = claimed;
    torn[1] += 1;
    torn.push(0);
    let mut scene = Scene::new(V31);
    scene.client_sends(&torn);
    scene.closes("client_violation");
}

#[test]
fn a_password_without_a_user_name_is_malformed() {
    let token = Connect {
        password: Some("token".to_owned()),
        ..Connect::default()
    };
    let mut scene = Scene::new(V31);
    scene.client_sends(&token.write(V31));
    scene.closes("client_violation");
}

#[test]
fn the_broker_hears_the_same_version() {
    let mut scene = Scene::new(V31);
    scene.client_sends(&Connect::default().write(V31));
    let ticket = scene.asks_connect();
    let allow = ConnectAllow {
        broker_client_id: Some("alice/c".into()),
        ..ConnectAllow::default()
    };
    scene.allows_connect(ticket, allow);
    scene.dials();
    scene.broker_is_reached();
    let named = Connect {
        client_id: "alice/c".to_owned(),
        ..Connect::default()
    };
    scene.broker_gets(&named.write(V31));
}

/// The first byte of its CONNACK is reserved.
#[test]
fn there_is_no_session_present() {
    for present in [false, true] {
        let returning = Connect {
            clean: false,
            ..Connect::default()
        };
        let mut scene = Scene::new(V31);
        scene.client_sends(&returning.write(V31));
        let ticket = scene.asks_connect();
        scene.allows(ticket);
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&returning.write(V31));
        scene.broker_sends(&write::connack(V31, present, 0, &[]));
        scene.client_gets(&[0x20, 2, 0, 0]);
    }
}

/// A repeated SUBSCRIBE, UNSUBSCRIBE or PUBREL says so, and brokers of later versions would close
/// for it.
#[test]
fn dup_stays_at_the_gate() {
    let mut scene = Scene::live(V31);
    let packet = subscribe(V31, 1, &["a"]);
    scene.client_sends(&again(packet.clone()));
    let ticket = scene.asks_subscribe(&["a"]);
    scene.allows(ticket);
    scene.broker_gets(&packet);
    let packet = write::unsubscribe(V31, 2, &["a"]);
    scene.client_sends(&again(packet.clone()));
    scene.broker_gets(&packet);
    let packet = write::ack(6, 3);
    scene.client_sends(&again(packet.clone()));
    scene.broker_gets(&packet);
    scene.broker_sends(&again(packet.clone()));
    scene.client_gets(&packet);
}

/// [3.1.1: MQTT-2.2.2-2] [MQTT-2.1.3-1]: later versions have reserved the bit.
#[test]
fn dup_on_what_is_no_publish_is_for_this_version_only() {
    for version in [Version::V311, Version::V5] {
        for packet in [
            subscribe(version, 1, &["a"]),
            write::unsubscribe(version, 1, &["a"]),
            write::ack(6, 1),
        ] {
            let mut scene = Scene::live(version);
            scene.client_sends(&again(packet));
            scene.closes_with("client_violation", 0x81);
        }
        let mut scene = Scene::live(version);
        scene.broker_sends(&again(write::ack(6, 1)));
        scene.closes_with("broker_violation", 0x80);
    }
}

#[test]
fn a_length_need_not_be_minimal() {
    let mut scene = Scene::live(V31);
    let packet = publish(V31, "a", 0, 0);
    let mut long = packet.clone();
    long[1] |= 0x80;
    long.insert(2, 0);
    scene.client_sends(&long);
    let ticket = scene.asks_publish("a");
    scene.allows(ticket);
    scene.broker_gets(&packet);
}

/// There is no word for a refusal: it is told as granted with what was asked for.
#[test]
fn a_denied_filter_is_told_as_granted() {
    for qos in 0..=2 {
        let mut scene = Scene::live(V31);
        scene.client_sends(&write::subscribe(V31, 1, &[("a", qos)]));
        let ticket = scene.asks_subscribe(&["a"]);
        scene.denies(ticket);
        scene.client_gets(&write::suback(V31, 1, &[qos]));
        assert_eq!(scene.fate(ticket), Some(Fate::Dropped));
    }
    let mut scene = Scene::live(V31);
    scene.client_sends(&write::subscribe(V31, 1, &[("a", 2), ("b", 1), ("c", 0)]));
    let ticket = scene.asks_subscribe(&["a", "b", "c"]);
    scene.denies(ticket);
    scene.allows(ticket.filter(1));
    scene.denies(ticket.filter(2));
    scene.broker_gets(&write::subscribe(V31, 1, &[("b", 1)]));
    assert_eq!(scene.fate(ticket), Some(Fate::ForwardedInPart));
    scene.broker_sends(&write::suback(V31, 1, &[0]));
    scene.client_gets(&write::suback(V31, 1, &[2, 0, 0]));
}

/// Brokers send 0x80 nevertheless.
#[test]
fn a_filter_that_the_broker_refuses_is_told_as_granted() {
    let mut scene = Scene::live(V31);
    let packet = write::subscribe(V31, 1, &[("a", 2), ("b", 1)]);
    scene.client_sends(&packet);
    let ticket = scene.asks_subscribe(&["a", "b"]);
    scene.allows(ticket);
    scene.allows(ticket.filter(1));
    scene.broker_gets(&packet);
    scene.broker_sends(&write::suback(V31, 1, &[0x80, 0]));
    scene.client_gets(&write::suback(V31, 1, &[2, 0]));
}

#[test]
fn a_subscribe_that_nobody_decides_about_closes() {
    for rule in [OnFailed::Reject, OnFailed::Disconnect] {
        let mut scene = Scene::live_with(V31, |rules| rules.on_subscribe_failed = rule);
        scene.client_subscribes(1, &["a"]);
        let ticket = scene.asks_subscribe(&["a"]);
        scene.fails(ticket, Why::Unavailable);
        scene.closes("subscribe_undecided");
    }
}

/// What brokers read as a shared subscription in every version never reaches them malformed.
#[test]
fn a_malformed_shared_subscription_is_not_passed_on() {
    for filter in ["$share", "$share/g", "$share/g/", "$share//a", "$share/+/a"] {
        let mut scene = Scene::live(V31);
        scene.client_subscribes(1, &[filter]);
        scene.client_gets(&write::suback(V31, 1, &[1]));
    }
    let mut scene = Scene::live(V31);
    let packet = scene.client_subscribes(1, &["$share/g/a"]);
    let ticket = scene.asks_about_subscribe(|question| {
        assert_eq!(question.filters[0].filter, "a");
        assert_eq!(question.filters[0].share_name.as_deref(), Some("g"));
    });
    scene.allows(ticket);
    scene.broker_gets(&packet);
}

/// "It must therefore make a positive acknowledgement."
#[test]
fn a_denied_publish_is_acknowledged() {
    for (qos, ack) in [(1, PUBACK), (2, PUBREC)] {
        for action in [DenyAction::Configured, DenyAction::Reject, DenyAction::Drop] {
            let mut scene = Scene::live(V31);
            scene.client_publishes("a", qos, 1);
            let ticket = scene.asks_publish("a");
            scene.answers(
                ticket,
                Verdict::Deny(Deny {
                    action,
                    ..deny(0x87)
                }),
            );
            scene.client_gets(&write::ack(ack, 1));
            assert_eq!(scene.fate(ticket), Some(Fate::Dropped));
        }
        let mut scene = Scene::live_with(V31, |rules| {
            rules.on_publish_denied_v3 = OnDeniedV3::Disconnect;
        });
        scene.client_publishes("a", qos, 1);
        let ticket = scene.asks_publish("a");
        scene.denies(ticket);
        scene.closes("publish_denied");
    }
}

/// A failure is never acknowledged.
#[test]
fn a_publish_that_nobody_decides_about_closes() {
    for qos in [1, 2] {
        let mut scene = Scene::live(V31);
        scene.client_publishes("a", qos, 1);
        let ticket = scene.asks_publish("a");
        scene.fails(ticket, Why::Unavailable);
        scene.closes("publish_undecided");
    }
}

/// What is sent again while its answer is under way is answered once, asked about once, and seen by the
/// broker once.
#[test]
fn a_request_sent_again_is_absorbed() {
    let mut scene = Scene::live(V31);
    let packet = subscribe(V31, 1, &["a"]);
    scene.client_sends(&packet);
    let ticket = scene.asks_subscribe(&["a"]);
    scene.client_sends(&again(packet.clone()));
    scene.allows(ticket);
    scene.broker_gets(&packet);
    scene.client_sends(&again(packet));
    scene.broker_sends(&write::suback(V31, 1, &[1]));
    scene.client_gets(&write::suback(V31, 1, &[1]));
    let packet = write::unsubscribe(V31, 1, &["a"]);
    scene.client_sends(&packet);
    scene.broker_gets(&packet);
    scene.client_sends(&again(packet));
    scene.broker_sends(&write::unsuback(V31, 1, 1));
    scene.client_gets(&write::unsuback(V31, 1, 1));
    // Without DUP, or of another kind, it is an identifier in use.
    scene.client_sends(&write::unsubscribe(V31, 1, &["a"]));
    scene.broker_gets(&write::unsubscribe(V31, 1, &["a"]));
    scene.client_sends(&again(subscribe(V31, 1, &["a"])));
    scene.closes("client_violation");
}
