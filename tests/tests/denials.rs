//! What a client hears when the service says no, and says how: codes, reason strings, actions.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use tidegate_proto::v1::{Deny, DenyAction, ReasonCode};
use tidegate_tests::{
    Answer, Client, Connect, Topology, Version, all_versions,
    packet::{Kind, property, string},
    service::Hook,
};

/// A code of the service, and what becomes of it in CONNACK (MQTT 5, MQTT 3.1.1), PUBACK and
/// SUBACK. A code that a packet may not carry is replaced.
const CODES: [(ReasonCode, [u8; 4]); 12] = [
    (ReasonCode::Unspecified, [0x87, 0x05, 0x87, 0x87]),
    (ReasonCode::UnspecifiedError, [0x80, 0x05, 0x80, 0x80]),
    (ReasonCode::ImplementationSpecific, [0x83, 0x05, 0x83, 0x83]),
    (
        ReasonCode::ClientIdentifierNotValid,
        [0x85, 0x02, 0x87, 0x87],
    ),
    (ReasonCode::BadUserNameOrPassword, [0x86, 0x04, 0x87, 0x87]),
    (ReasonCode::ServerUnavailable, [0x88, 0x03, 0x80, 0x80]),
    (ReasonCode::ServerBusy, [0x89, 0x03, 0x97, 0x97]),
    (ReasonCode::Banned, [0x8A, 0x05, 0x87, 0x87]),
    (ReasonCode::TopicFilterInvalid, [0x87, 0x05, 0x90, 0x8F]),
    (ReasonCode::TopicNameInvalid, [0x90, 0x05, 0x90, 0x8F]),
    (ReasonCode::QuotaExceeded, [0x97, 0x03, 0x97, 0x97]),
    (ReasonCode::MaximumConnectTime, [0x87, 0x05, 0x87, 0x87]),
];

/// A topology that denies a hook in this way.
fn denying(hook: Hook, deny: &Deny) -> Topology {
    let topology = Topology::scripted().start();
    deny_from_now_on(&topology, hook, deny);
    topology
}

fn deny_from_now_on(topology: &Topology, hook: Hook, deny: &Deny) {
    let deny = deny.clone();
    topology
        .service()
        .answer_hook(hook, move |_| Answer::Deny(deny.clone()));
}

fn with_code(code: ReasonCode) -> Deny {
    Deny {
        reason_code: code.into(),
        ..Deny::default()
    }
}

fn with_action(action: DenyAction) -> Deny {
    Deny {
        action: action.into(),
        ..with_code(ReasonCode::QuotaExceeded)
    }
}

/// The text of a Reason String or Server Reference in a CONNACK.
fn text_of(client: &mut Client, code: u8, property: u8) -> Option<Vec<u8>> {
    let connack = client.expect_connack(code);
    let found = connack
        .properties()
        .into_iter()
        .find(|found| found.id == property);
    found.map(|found| found.value)
}

all_versions!(a_denied_connect_is_told_its_code, |version| {
    let topology = Topology::scripted().start();
    for (code, [v5, v311, ..]) in CODES {
        println!("{code:?}");
        deny_from_now_on(&topology, Hook::Connect, &with_code(code));
        let mut client = topology.try_connect(version, &Connect::new("client"));
        client.expect_refused(version.pick(v311, v5));
    }
    assert_eq!(topology.recorder().connections(), 0);
});

all_versions!(a_denied_message_is_told_its_code, |version| {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(version, "client");
    for (code, [_, _, puback, _]) in CODES {
        println!("{code:?}");
        deny_from_now_on(&topology, Hook::Publish, &with_code(code));
        for (qos, kind) in [(1, Kind::Puback), (2, Kind::Pubrec)] {
            let id = client.publish(qos, "t", "");
            client.expect_ack(kind, id, version.pick(0, puback));
        }
    }
    assert!(topology.recorder().topics().is_empty());
});

all_versions!(a_denied_filter_is_told_its_code, |version| {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(version, "client");
    for (code, [.., suback]) in CODES {
        println!("{code:?}");
        deny_from_now_on(&topology, Hook::Subscribe, &with_code(code));
        let id = client.subscribe(&["t"]);
        // MQTT 3.1 can't say no.
        client.expect_suback(id, &[version.pick_of_three(2, 0x80, suback)]);
    }
    assert!(topology.recorder().filters().is_empty());
});

#[test]
fn a_reason_string_is_for_the_client() {
    let deny = Deny {
        reason_string: "closed on Sundays".into(),
        ..with_code(ReasonCode::Banned)
    };
    let topology = denying(Hook::Connect, &deny);
    let mut client = topology.try_connect(Version::V5, &Connect::new("client"));
    let said = text_of(&mut client, 0x8A, property::REASON_STRING);
    assert_eq!(said.as_deref(), Some(&b"closed on Sundays"[..]));
    client.expect_closed();

    deny_from_now_on(&topology, Hook::Publish, &deny);
    let mut client = topology.connect(Version::V5, "client");
    client.publish(1, "t", "");
    let puback = client.expect(Kind::Puback);
    let said = string("closed on Sundays");
    assert!(puback.bytes().ends_with(&said), "{puback:?}");
}

#[test]
fn a_client_can_be_sent_to_another_server() {
    let deny = Deny {
        server_reference: "other.example:1883".into(),
        ..with_code(ReasonCode::UseAnotherServer)
    };
    let topology = denying(Hook::Connect, &deny);
    let mut client = topology.try_connect(Version::V5, &Connect::new("client"));
    let said = text_of(&mut client, 0x9C, property::SERVER_REFERENCE);
    assert_eq!(said.as_deref(), Some(&b"other.example:1883"[..]));
    client.expect_closed();
}

all_versions!(a_denial_can_end_the_connection, |version| {
    for hook in [Hook::Publish, Hook::Subscribe] {
        let topology = denying(hook, &with_action(DenyAction::Disconnect));
        let mut client = topology.connect(version, "client");
        match hook {
            Hook::Publish => client.publish(1, "t", ""),
            _ => client.subscribe(&["t"]),
        };
        client.expect_end(0x97);
        topology.recorder().wait_closed(0);
        assert_eq!(topology.recorder().connection(0).len(), 1);
    }
});

all_versions!(a_denied_message_can_be_dropped_in_silence, |version| {
    let topology = denying(Hook::Publish, &with_action(DenyAction::Drop));
    let mut client = topology.connect(version, "client");
    for qos in 0..=2 {
        let id = client.publish(qos, "t", "");
        client.complete(qos, id);
    }
    client.expect_nothing_before_pong();
    let kinds: Vec<_> = topology
        .recorder()
        .connection(0)
        .iter()
        .map(|packet| packet.kind())
        .collect();
    assert_eq!(kinds, [Kind::Connect, Kind::Pingreq]);
});

all_versions!(the_operator_can_have_denials_end_connections, |version| {
    let topology = Topology::scripted()
        .set("authz.publish.on_deny", "disconnect")
        .set("authz.subscribe.on_deny", "disconnect")
        .start();
    topology.service().answer(|check| match check.hook() {
        Hook::Connect => Answer::Allow,
        _ => Answer::deny(ReasonCode::NotAuthorized),
    });
    for qos in 0..=2 {
        let mut client = topology.connect(version, "client");
        client.publish(qos, "t", "");
        client.expect_end(0x87);
    }
    let mut client = topology.connect(version, "client");
    client.subscribe(&["t"]);
    client.expect_end(0x87);
});

// Before MQTT 5 there is a positive acknowledgement or a close; this is the other choice.
#[test]
fn the_operator_can_have_v3_denials_end_connections() {
    let topology = Topology::scripted()
        .set("authz.publish.on_deny_v3", "disconnect")
        .start();
    topology
        .service()
        .answer_hook(Hook::Publish, |_| Answer::deny(ReasonCode::NotAuthorized));
    for version in [Version::V31, Version::V311] {
        for qos in 1..=2 {
            let mut client = topology.connect(version, "client");
            client.publish(qos, "t", "");
            client.expect_closed();
        }
    }
    let mut client = topology.connect(Version::V5, "client");
    let id = client.publish(1, "t", "");
    client.expect_ack(Kind::Puback, id, 0x87);
}
