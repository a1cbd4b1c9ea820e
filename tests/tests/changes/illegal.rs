//! Changes of messages that come to nothing.

use tidegate_proto::v1::PublishAllow;
use tidegate_tests::{
    Client, Publish, Topology, Version, all_versions,
    packet::{Connack, Kind, property},
    service::Hook,
};

use crate::{all_but, answer};

use crate::publish::{cases, message, payload, topic, user_properties};

/// Sends a message at each QoS that comes to nothing, because nobody decided about it.
#[track_caller]
fn expect_failure(topology: &Topology, version: Version, sent: &Publish) {
    let seen = topology.recorder().topics().len();
    for qos in 0..=2 {
        let mut client = topology.connect(version, "client");
        client.send(&sent.clone().qos(qos).id(1));
        match (version, qos) {
            (_, 0) => {
                topology.service().wait_for(Hook::Publish, 1);
                client.leave();
            }
            (Version::V5, 1) => client.expect_ack(Kind::Puback, 1, 0x83),
            (Version::V5, _) => client.expect_ack(Kind::Pubrec, 1, 0x83),
            _ => client.expect_closed(),
        }
    }
    assert_eq!(topology.recorder().topics().len(), seen);
}

all_versions!(what_is_not_permitted_is_a_failure, |version| {
    for key in [
        "publish_topic",
        "publish_payload",
        "publish_retain",
        "publish_user_properties",
    ] {
        let topology = all_but(key);
        for (_, change, sent, _) in cases(version).iter().filter(|case| case.0 == key) {
            println!("{change:?}");
            answer(&topology, Hook::Publish, change.clone());
            expect_failure(&topology, version, sent);
        }
    }
});

/// Changes that are permitted and make no MQTT, or something else of a message than it was.
fn illegal(version: Version) -> Vec<(PublishAllow, Publish)> {
    let sent = || message("t", "x");
    let format = |format| PublishAllow {
        payload_format_indicator: Some(format),
        ..PublishAllow::default()
    };
    let formatted = |bytes: &[u8], value| PublishAllow {
        payload: Some(bytes.to_vec().into()),
        ..format(value)
    };
    let mut illegal = vec![
        (topic(""), sent()),
        (topic("a/+"), sent()),
        (topic("#"), sent()),
        (topic("a/#/b"), sent()),
        (topic("a\0b"), sent()),
        (topic(&"t".repeat(65_536)), sent()),
        (topic(&"/".repeat(1000)), sent()),
        (payload(b"stored after all"), message("t", "").retain()),
        (payload(b""), message("t", "kept").retain()),
        (format(1), sent()),
        (formatted(b"\xFF", 1), sent()),
        (formatted(b"x", 2), sent()),
    ];
    let many: Vec<_> = (0..129).map(|_| ("k", "v")).collect();
    illegal.extend(match version {
        Version::V5 => vec![
            (user_properties(&[], &[("a\0", "")]), sent()),
            (user_properties(&[], &[("a", "\0")]), sent()),
            (user_properties(&[], &many), sent()),
            (user_properties(&[], &[("a", &"v".repeat(65_536))]), sent()),
        ],
        // They have neither properties nor a format.
        _ => vec![
            (user_properties(&[], &[("a", "b")]), sent()),
            (formatted(b"text", 1), sent()),
        ],
    });
    illegal
}

all_versions!(what_is_not_mqtt_is_a_failure, |version| {
    let topology = all_but("");
    for (change, sent) in illegal(version) {
        println!("{:.200}", format!("{change:?}"));
        answer(&topology, Hook::Publish, change);
        expect_failure(&topology, version, &sent);
    }
});

/// Sends a message that is refused as too large, on MQTT 5 only with words.
#[track_caller]
fn expect_too_large(client: &mut Client) {
    let version = client.version();
    for (qos, kind) in [(1, Kind::Puback), (2, Kind::Pubrec)] {
        client.send(&message("t", "x").qos(qos).id(1));
        match version {
            Version::V5 => client.expect_ack(kind, 1, 0x97),
            _ => client.complete(qos, 1),
        }
    }
}

#[test]
fn what_becomes_too_large_for_the_broker_is_refused() {
    let topology = all_but("");
    let connack = Connack::new().property(property::maximum_packet_size(100));
    topology.recorder().accept_with(connack);
    answer(&topology, Hook::Publish, payload(&[b'x'; 100]));
    let mut client = topology.connect(Version::V5, "client");
    expect_too_large(&mut client);
    assert!(topology.recorder().topics().is_empty());
}
