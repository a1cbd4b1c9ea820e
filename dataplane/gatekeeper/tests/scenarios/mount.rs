//! Sessions whose topics begin somewhere below those of the broker: the client does not see where.

use gatekeeper::{Allow, ConnectAllow, PublishChanges, SubscribeChanges, Verdict, Version};

use crate::{
    packet::{PUBACK, PUBCOMP, PUBREC, PUBREL},
    scene::{BOTH, Scene, publish},
    write::{self, Connect, Publish, text_property},
};

const MOUNT: &str = "t/a/";

fn allow(mount: &str) -> ConnectAllow {
    ConnectAllow {
        mount: Some(mount.into()),
        ..ConnectAllow::default()
    }
}

fn mounted(version: Version) -> Scene {
    Scene::new(version).connected_as(&Connect::default(), allow(MOUNT), false, &[])
}

/// A client that came back to the session that the broker kept for it.
fn resumed(version: Version) -> Scene {
    let connect = Connect {
        clean: false,
        ..Connect::default()
    };
    Scene::new(version).connected_as(&connect, allow(MOUNT), true, &[])
}

impl Scene {
    /// Subscribes to a filter below the mount, or to one where the client sees it, up to the
    /// broker's answer.
    fn subscribes(&mut self, id: u16, filter: &str, is_below: bool) {
        let version = self.version;
        self.client_subscribes(id, &[filter]);
        let ticket = self.asks_about_subscribe(|_| {});
        let (share, inner) = match filter.strip_prefix("$share/g/") {
            Some(inner) => ("$share/g/", inner),
            None => ("", filter),
        };
        let below = format!("{MOUNT}{inner}");
        let at_broker = if is_below {
            format!("{share}{below}")
        } else {
            filter.to_owned()
        };
        let changes = SubscribeChanges {
            max_qos: None,
            filter: is_below.then(|| below.into()),
        };
        self.answers(ticket, Verdict::Allow(Allow::Subscribe(changes)));
        self.broker_gets(&write::subscribe(version, id, &[(&at_broker, 1)]));
    }

    fn is_granted(&mut self, id: u16) {
        self.answers_subscribe(id, 1);
    }

    fn answers_subscribe(&mut self, id: u16, code: u8) {
        let answer = write::suback(self.version, id, &[code]);
        self.broker_sends(&answer);
        self.client_gets(&answer);
    }

    /// The client leaves a filter, and the broker is asked for these.
    fn unsubscribes(&mut self, id: u16, filter: &str, at_broker: &[&str]) {
        let version = self.version;
        self.client_sends(&write::unsubscribe(version, id, &[filter]));
        self.broker_gets(&write::unsubscribe(version, id, at_broker));
    }

    /// The broker delivers under one name, and the client gets it under another.
    fn delivers(&mut self, name: &str, seen: &str) {
        let version = self.version;
        self.broker_sends(&publish(version, name, 1, 5));
        self.client_gets(&publish(version, seen, 1, 5));
        let ack = write::ack(PUBACK, 5);
        self.client_sends(&ack);
        self.broker_gets(&ack);
    }

    /// The broker delivers, the gate acknowledges, and the client gets nothing.
    fn withholds(&mut self, name: &str) {
        let before = self.undeliverable();
        self.broker_sends(&publish(self.version, name, 1, 5));
        self.broker_gets(&write::ack(PUBACK, 5));
        assert_eq!(self.undeliverable(), before + 1);
    }
}

/// An UNSUBACK with these codes, which MQTT 3.1.1 does not have.
fn unsuback(version: Version, id: u16, codes: &[u8]) -> Vec<u8> {
    let id = id.to_be_bytes();
    match version {
        Version::V31 | Version::V311 => write::packet(0xB0, &id),
        Version::V5 => write::packet(0xB0, &[&id, &[0][..], codes].concat()),
    }
}

/// A failure of the service, before the broker hears anything.
#[test]
fn what_can_not_be_a_mount_is_a_failure_of_the_connect() {
    let long = format!("{}/", "x".repeat(65_535));
    for version in BOTH {
        for mount in [
            "",
            "a",
            "a/b",
            "+/",
            "a/#/",
            "$SYS/",
            "$share/g/",
            "a\0/",
            &long,
        ] {
            let mut scene = Scene::new(version);
            scene.client_sends(&Connect::default().write(version));
            let ticket = scene.asks_connect();
            scene.allows_connect(ticket, allow(mount));
            let code = match version {
                Version::V31 | Version::V311 => 0x03,
                Version::V5 => 0x88,
            };
            scene.client_gets_connack(code);
            scene.closes("connect_undecided");
        }
    }
}

/// [MQTT-3.3.2-3]: the name that the client gets is one that its filter matches.
#[test]
fn deliveries_lose_the_mount() {
    for version in BOTH {
        let mut scene = mounted(version);
        scene.subscribes(7, "#", true);
        // The broker may deliver before it answers (§3.8.4).
        scene.delivers("t/a/x", "x");
        scene.is_granted(7);
        scene.delivers("t/a//x", "/x");
        scene.delivers("t/a/t/a/x", "t/a/x");
        for (qos, kind) in [(0, 0), (2, PUBREC)] {
            scene.broker_sends(&publish(version, "t/a/x/y", qos, 9));
            scene.client_gets(&publish(version, "x/y", qos, 9));
            if qos == 2 {
                scene.client_sends(&write::ack(kind, 9));
                scene.broker_gets(&write::ack(kind, 9));
                scene.broker_sends(&write::ack(PUBREL, 9));
                scene.client_gets(&write::ack(PUBREL, 9));
            }
        }
    }
}

/// [MQTT-3.3.4-3] [MQTT-3.3.2-17]: all but the names stays, and in its order.
#[test]
fn a_delivery_keeps_everything_else() {
    let delivery = |topic: &str, response: &str| {
        let properties = [
            &[0x0B, 1, 0x01, 1, 0x0B, 0x80, 1, 0x02, 0, 0, 0, 9][..],
            &text_property(0x03, "text"),
            &[0x26, 0, 1, b'k', 0, 1, b'1'],
            &text_property(0x08, response),
            &text_property(0x09, "\u{1}"),
            &[0x26, 0, 1, b'k', 0, 1, b'2', 0x0B, 3],
        ];
        Publish {
            topic: topic.to_owned(),
            qos: 1,
            id: 5,
            retain: true,
            dup: true,
            properties: properties.concat(),
            payload: b"payload".to_vec(),
        }
        .write(Version::V5)
    };
    let mut scene = mounted(Version::V5);
    scene.subscribes(7, "x", true);
    scene.subscribes(8, "shared", false);
    for (topic, response, seen) in [
        ("t/a/x", "t/a/replies", ("x", "replies")),
        ("t/a/x", "elsewhere", ("x", "elsewhere")),
        ("shared", "t/a/replies", ("shared", "replies")),
        ("shared", "elsewhere", ("shared", "elsewhere")),
    ] {
        scene.broker_sends(&delivery(topic, response));
        scene.client_gets(&delivery(seen.0, seen.1));
    }
}

/// The client has no name for the mount itself, and a Response Topic has to be one.
#[test]
fn a_response_topic_without_a_name_is_left_out() {
    let delivery = |topic: &str, properties: Vec<u8>| {
        Publish {
            topic: topic.to_owned(),
            properties,
            ..Publish::default()
        }
        .write(Version::V5)
    };
    for response in ["t/a/", "t/a"] {
        let mut scene = mounted(Version::V5);
        scene.subscribes(7, "x", true);
        let properties = [text_property(0x08, response), vec![0x0B, 3]].concat();
        scene.broker_sends(&delivery("t/a/x", properties));
        scene.client_gets(&delivery("x", vec![0x0B, 3]));
    }
}

/// [MQTT-3.3.2-15]: who gets the request answers to a name at the broker, and the answer arrives.
#[test]
fn a_request_finds_its_answer() {
    let request = |topic: &str, response: &str| {
        Publish {
            topic: topic.to_owned(),
            properties: text_property(0x08, response),
            payload: b"?".to_vec(),
            ..Publish::default()
        }
        .write(Version::V5)
    };
    let mut scene = mounted(Version::V5);
    scene.subscribes(7, "replies", true);
    scene.client_sends(&request("service", "replies"));
    let ticket = scene.asks_publish("service");
    let changes = PublishChanges {
        topic: Some("t/a/service".into()),
        ..PublishChanges::default()
    };
    let allow = Allow::Publish(Some(Box::new(changes)));
    scene.answers(ticket, Verdict::Allow(allow));
    scene.broker_gets(&request("t/a/service", "t/a/replies"));
    scene.delivers("t/a/replies", "replies");
}

/// [MQTT-4.5.0-2] [3.1.1: MQTT-4.5.0-2]: the gate takes in the client's place what the client has no name for. A code at or above 0x80
/// would be a refusal of a shared message [MQTT-4.8.2-6].
#[test]
fn a_delivery_without_a_name_is_acknowledged_and_goes_nowhere() {
    for version in BOTH {
        let mut scene = mounted(version);
        scene.subscribes(7, "#", true);
        scene.is_granted(7);
        for (count, name) in ["t/a/", "t/a", "t/b/x", "x", "t/ab"]
            .into_iter()
            .enumerate()
        {
            assert_eq!(scene.undeliverable(), 3 * count);
            scene.broker_sends(&publish(version, name, 0, 0));
            scene.broker_sends(&publish(version, name, 1, 5));
            scene.broker_gets(&write::ack(PUBACK, 5));
            scene.broker_sends(&publish(version, name, 2, 6));
            scene.broker_gets(&write::ack(PUBREC, 6));
            scene.broker_sends(&write::ack(PUBREL, 6));
            scene.broker_gets(&write::ack(PUBCOMP, 6));
            assert_eq!(scene.undeliverable(), 3 * (count + 1));
        }
    }
}

/// [MQTT-4.6.0-2] [MQTT-4.6.0-3]: to the broker client and gate are one receiver.
#[test]
fn the_gate_acknowledges_in_its_turn() {
    for version in BOTH {
        for (qos, kind) in [(1, PUBACK), (2, PUBREC)] {
            let mut scene = mounted(version);
            scene.subscribes(7, "#", true);
            scene.broker_sends(&publish(version, "t/a/x", qos, 1));
            scene.client_gets(&publish(version, "x", qos, 1));
            scene.broker_sends(&publish(version, "t/b/x", qos, 2));
            scene.is_quiet();
            scene.broker_sends(&publish(version, "t/b/x", 3 - qos, 3));
            let other = if qos == 1 { PUBREC } else { PUBACK };
            scene.broker_gets(&write::ack(other, 3));
            scene.broker_sends(&publish(version, "t/a/y", qos, 4));
            scene.client_gets(&publish(version, "y", qos, 4));
            scene.broker_sends(&publish(version, "t/b/y", qos, 5));
            // Not the client's to acknowledge: it never heard of it.
            scene.client_sends(&write::ack(kind, 5));
            scene.broker_gets(&write::ack(kind, 5));
            scene.client_sends(&write::ack(kind, 4));
            scene.broker_gets(&write::ack(kind, 4));
            scene.client_sends(&write::ack(kind, 1));
            scene.broker_gets(&write::ack(kind, 1));
            scene.broker_gets(&write::ack(kind, 2));
            scene.broker_gets(&write::ack(kind, 5));
        }
    }
}

/// [MQTT-4.3.3-10]: a repeated message is answered again; a PUBREL is answered once by the gate, and
/// one for a message that the client has is the client's.
#[test]
fn the_release_of_a_message_is_answered_by_whoever_has_it() {
    for version in BOTH {
        let mut scene = mounted(version);
        scene.subscribes(7, "#", true);
        let withheld = Publish {
            topic: "t/b/x".to_owned(),
            qos: 2,
            id: 6,
            dup: true,
            ..Publish::default()
        };
        for _ in 0..2 {
            scene.broker_sends(&withheld.write(version));
            scene.broker_gets(&write::ack(PUBREC, 6));
        }
        // The broker never released it, and uses its identifier for another one.
        scene.broker_sends(&publish(version, "t/a/x", 2, 6));
        scene.client_gets(&publish(version, "x", 2, 6));
        scene.broker_sends(&write::ack(PUBREL, 6));
        scene.client_gets(&write::ack(PUBREL, 6));
        scene.broker_sends(&withheld.write(version));
        scene.broker_gets(&write::ack(PUBREC, 6));
        // A PUBCOMP is an answer to the client, whatever its identifier.
        scene.broker_sends(&write::ack(PUBCOMP, 6));
        scene.client_gets(&write::ack(PUBCOMP, 6));
        scene.broker_sends(&write::ack(PUBREL, 6));
        scene.broker_gets(&write::ack(PUBCOMP, 6));
        scene.broker_sends(&write::ack(PUBREL, 6));
        scene.client_gets(&write::ack(PUBREL, 6));
        assert_eq!(scene.undeliverable(), 3);
    }
}

/// A name outside the mount can only be asked for by a filter that stays where the client sees it.
#[test]
fn names_outside_pass_as_long_as_a_filter_may_have_asked_for_them() {
    for version in BOTH {
        let mut scene = mounted(version);
        scene.withholds("shared/x");
        scene.subscribes(7, "shared/#", false);
        scene.delivers("shared/x", "shared/x");
        scene.answers_subscribe(7, 0x80);
        scene.withholds("shared/x");
        scene.subscribes(7, "shared/#", false);
        scene.is_granted(7);
        scene.delivers("shared/x", "shared/x");
        // What was there before a refusal still is (§3.8.4).
        scene.subscribes(7, "shared/#", false);
        scene.answers_subscribe(7, 0x80);
        scene.delivers("shared/x", "shared/x");
        scene.withholds("t/a");

        scene.unsubscribes(8, "shared/#", &["shared/#"]);
        scene.delivers("shared/x", "shared/x");
        let answer = unsuback(version, 8, &[0]);
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
        scene.withholds("shared/x");
    }
}

/// What an earlier connection subscribed to, in whatever form, is not known on this one.
#[test]
fn a_session_that_was_resumed_gets_what_it_asked_for_before() {
    for version in BOTH {
        let mut scene = resumed(version);
        scene.delivers("t/a/x", "x");
        scene.delivers("shared/x", "shared/x");
        scene.withholds("t/a/");
        scene.withholds("t/a");
    }
}

/// [MQTT-3.1.2-27]: without the name there is nothing to be looked at.
#[test]
fn an_alias_of_the_broker_is_its_fault() {
    for topic in ["", "t/a/x"] {
        let mut scene = mounted(Version::V5);
        let delivery = Publish {
            topic: topic.to_owned(),
            properties: vec![0x23, 0, 1],
            ..Publish::default()
        };
        scene.broker_sends(&delivery.write(Version::V5));
        scene.closes_with("broker_violation", 0x80);
    }
}

/// [MQTT-3.10.4-1]: filters are compared character by character.
#[test]
fn a_filter_is_left_in_the_form_in_which_it_was_subscribed_to() {
    for version in BOTH {
        let mut scene = mounted(version);
        scene.subscribes(1, "x/#", true);
        scene.subscribes(2, "shared/+", false);
        scene.subscribes(3, "$share/g/x/#", true);
        let left = ["shared/+", "$share/g/x/#", "x/#"];
        scene.client_sends(&write::unsubscribe(version, 8, &left));
        let at_broker = ["shared/+", "$share/g/t/a/x/#", "t/a/x/#"];
        scene.broker_gets(&write::unsubscribe(version, 8, &at_broker));
        let answer = unsuback(version, 8, &[0, 0x11, 0x87]);
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
    }
}

/// On a session that was resumed, or for a filter that was refused: whatever there is has to go.
#[test]
fn a_filter_that_is_not_known_is_left_in_both_forms() {
    for scene in [mounted, resumed] {
        for (codes, merged) in [
            ([0, 0x11], 0),
            ([0x11, 0], 0),
            ([0x11, 0x11], 0x11),
            ([0x87, 0x11], 0x87),
            ([0x83, 0x87], 0x83),
            ([0x87, 0], 0),
        ] {
            for version in BOTH {
                let mut scene = scene(version);
                let filters = ["x", "$share/g/y"];
                scene.client_sends(&write::unsubscribe(version, 8, &filters));
                let at_broker = ["t/a/x", "x", "$share/g/t/a/y", "$share/g/y"];
                scene.broker_gets(&write::unsubscribe(version, 8, &at_broker));
                let all = [codes, [0, 0]].concat();
                scene.broker_sends(&unsuback(version, 8, &all));
                scene.client_gets(&unsuback(version, 8, &[merged, 0]));
            }
        }
    }
}

/// The service has changed its mind about where a filter belongs: the broker has it twice.
#[test]
fn a_filter_in_two_forms_is_left_in_both() {
    for version in BOTH {
        let mut scene = mounted(version);
        scene.subscribes(1, "x", true);
        scene.is_granted(1);
        scene.subscribes(2, "x", false);
        scene.is_granted(2);
        scene.unsubscribes(3, "x", &["t/a/x", "x"]);
        scene.broker_sends(&unsuback(version, 3, &[0, 0]));
        scene.client_gets(&unsuback(version, 3, &[0]));
        scene.withholds("x");
    }
}

/// No broker knows it, so nothing may be put in front of it.
#[test]
fn what_can_not_stand_below_the_mount_is_left_as_it_is() {
    let long = "x".repeat(65_532);
    for version in BOTH {
        let mut scene = mounted(version);
        scene.unsubscribes(8, &long, &[&long]);
        let answer = unsuback(version, 8, &[0x11]);
        scene.broker_sends(&answer);
        scene.client_gets(&answer);
    }
}

/// [MQTT-3.11.3-1] [MQTT-2.2.1-3]
#[test]
fn an_unsuback_has_to_fit_its_packet() {
    let mut scene = mounted(Version::V5);
    scene.unsubscribes(8, "x", &["t/a/x", "x"]);
    scene.broker_sends(&unsuback(Version::V5, 8, &[0]));
    scene.closes_with("broker_violation", 0x80);
    for version in BOTH {
        let mut scene = mounted(version);
        scene.unsubscribes(8, "x", &["t/a/x", "x"]);
        scene.broker_sends(&unsuback(version, 9, &[0, 0]));
        scene.closes_with("broker_violation", 0x80);

        let mut scene = mounted(version);
        scene.unsubscribes(8, "x", &["t/a/x", "x"]);
        scene.client_sends(&write::unsubscribe(version, 8, &["y"]));
        scene.closes_with("client_violation", 0x82);
    }
}

/// [MQTT-3.2.2-15]: nothing was left, and a client that is told otherwise would go on as if it was.
#[test]
fn leaving_more_than_the_broker_takes_ends_the_session() {
    let most = [0x27, 0, 0, 0, 20];
    let connect = Connect::default();
    let mut scene = Scene::new(Version::V5).connected_as(&connect, allow(MOUNT), false, &most);
    scene.client_sends(&write::unsubscribe(Version::V5, 8, &["xx", "yy"]));
    scene.closes_with("client_violation", 0x95);
}

/// A broker that answers nothing does not make the gate remember ever more.
#[test]
fn only_so_many_unsubscribes_wait_for_their_answer() {
    for version in BOTH {
        let mut scene = Scene::with(version, |rules| rules.limits.window_packets = 2).connected_as(
            &Connect::default(),
            allow(MOUNT),
            false,
            &[],
        );
        scene.unsubscribes(1, "x", &["t/a/x", "x"]);
        assert!(scene.reads_client());
        scene.unsubscribes(2, "x", &["t/a/x", "x"]);
        assert!(!scene.reads_client());
        scene.broker_sends(&unsuback(version, 1, &[0, 0]));
        scene.client_gets(&unsuback(version, 1, &[0]));
        assert!(scene.reads_client());
    }
}

/// MQTT 5.0 §3.2.2.3.15: it is the beginning of Response Topics, and those get the mount on their way.
#[test]
fn response_information_is_told_as_the_client_has_to_use_it() {
    for (sent, seen) in [
        ("t/a/replies/c", Some("replies/c")),
        ("t/a/", None),
        ("replies/c", None),
        ("t/b/replies/c", None),
    ] {
        let connect = Connect::default().write(Version::V5);
        let mut scene = Scene::new(Version::V5);
        scene.client_sends(&connect);
        let ticket = scene.asks_connect();
        scene.allows_connect(ticket, allow(MOUNT));
        scene.dials();
        scene.broker_is_reached();
        scene.broker_gets(&connect);
        let information = text_property(0x1A, sent);
        scene.broker_sends(&write::connack(Version::V5, false, 0, &information));
        let connack = scene.client_gets_connack(0);
        let found = crate::packet::read(Version::V5, &connack).unwrap();
        let crate::packet::Packet::Connack { properties, .. } = found else {
            panic!("{found:?} is no CONNACK");
        };
        let expected = seen.map(write::text);
        let found = crate::packet::property(&properties, 0x1A);
        assert_eq!(found, expected.as_deref(), "{sent}");
    }
}
