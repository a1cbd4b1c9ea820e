//! What a broker might read differently than the gate never reaches the broker.
//!
//! Every packet here is one that some parser accepts and should not. Each is sent whole, in small
//! pieces and byte by byte, to a gate whose service allows everything, so that it is the gate's
//! strictness alone that keeps it out; and to one whose service denies everything, so that nothing
//! smuggled inside gets through either.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "bypass/attacks.rs"]
mod attacks;

use tidegate_proto::v1::ReasonCode;
use tidegate_tests::{
    Answer, Client, Connect, Publish, Subscribe, Topology, Unsubscribe, Version, all_versions,
    packet::{Encode as _, Kind, PINGREQ, ack},
    service::{Check, Hook},
};

/// Sizes of the pieces in which each attack is sent.
const PIECES: [usize; 3] = [usize::MAX, 3, 1];

/// Allows CONNECT and denies everything else.
fn deny_all(check: &Check) -> Answer {
    match check.hook() {
        Hook::Connect => Answer::Allow,
        Hook::Publish | Hook::Subscribe => Answer::deny(ReasonCode::NotAuthorized),
    }
}

/// What the broker saw after CONNECT that has to be asked about.
fn leaked(topology: &Topology) -> Vec<String> {
    let recorder = topology.recorder();
    [
        recorder.packets(Kind::Publish),
        recorder.packets(Kind::Subscribe),
    ]
    .concat()
    .iter()
    .map(|packet| format!("{packet:?}"))
    .collect()
}

/// A packet that must not get through in the wake of an attack, with a ping to show that the
/// connection still lives, if it does.
fn wake(version: Version) -> Vec<u8> {
    [Publish::new("canary", "").encode(version), PINGREQ.to_vec()].concat()
}

// [MQTT-4.13.1-1] [3.1.1: MQTT-4.8.0-1]
all_versions!(malformed_packets_end_the_connection, |version| {
    let topology = Topology::scripted().start();
    for (name, bytes) in attacks::malformed(version) {
        for size in PIECES {
            let index = topology.recorder().connections();
            let mut client = topology.connect(version, "client");
            client.send_in_pieces(&bytes, size.min(bytes.len()));
            client.send_in_vain(&wake(version));
            expect_thrown_out(&mut client, &name);
            topology.recorder().wait_closed(index);
            let seen = topology.recorder().connection(index);
            assert_eq!(
                seen.len(),
                1,
                "{name} in pieces of {size}: the broker saw {seen:?}"
            );
        }
    }
    let canary = |check: &Check| check.topic() == "canary";
    assert!(
        !topology.service().checks().iter().any(canary),
        "packets were read behind an error"
    );
});

/// Expects the end of the connection, in MQTT 5 with a DISCONNECT that gives a reason.
#[track_caller]
fn expect_thrown_out(client: &mut Client, name: &str) {
    let said = client.drain();
    let kinds: Vec<_> = said.iter().map(|packet| packet.kind()).collect();
    let expected = client.version().pick(vec![], vec![Kind::Disconnect]);
    assert_eq!(kinds, expected, "{name} was answered {said:?}");
    for packet in said {
        assert!(packet.codes()[0] >= 0x80, "{name} was answered {packet:?}");
    }
}

// [MQTT-3.1.2-9] [MQTT-3.1.3-3] [MQTT-3.1.4-1] [3.1.1: MQTT-3.1.2-9] [3.1.1: MQTT-3.1.3-3]
// [3.1.1: MQTT-3.1.4-1]
all_versions!(malformed_connects_get_nowhere, |version| {
    let topology = Topology::scripted().start();
    for (name, bytes) in attacks::connects(version) {
        for size in PIECES {
            let mut client = topology.open(version);
            client.send_in_pieces(&bytes, size.min(bytes.len()));
            client.send_in_vain(&wake(version));
            let said = client.drain();
            assert!(said.len() <= 1, "{name} was answered {said:?}");
            for packet in said {
                assert_eq!(
                    packet.kind(),
                    Kind::Connack,
                    "{name} was answered {packet:?}"
                );
                assert_ne!(packet.codes(), [0], "{name} was accepted");
            }
        }
        assert_eq!(
            topology.recorder().connections(),
            0,
            "{name} reached the broker"
        );
        assert_eq!(
            topology.service().checks().len(),
            0,
            "{name} reached the service"
        );
    }
});

all_versions!(nothing_denied_reaches_the_broker, |version| {
    let topology = Topology::scripted().start();
    topology.service().answer(deny_all);
    // What is malformed gets nowhere in any pieces, as is shown above.
    let malformed = attacks::malformed(version).into_iter();
    let well_formed = attacks::well_formed(version).into_iter();
    let sent = malformed
        .map(|attack| (attack, &PIECES[..1]))
        .chain(well_formed.map(|attack| (attack, &PIECES[..])));
    for ((name, bytes), pieces) in sent {
        for &size in pieces {
            let mut client = topology.connect(version, "client");
            client.send_in_pieces(&bytes, size.min(bytes.len()));
            client.send_in_vain(&wake(version));
            client.shut_down_writing();
            client.drain();
        }
        assert_eq!(leaked(&topology), [""; 0], "{name}");
    }
});

// Every first byte, with no body and with one that could be a PUBLISH or SUBSCRIBE.
all_versions!(no_packet_type_or_flag_smuggles_anything, |version| {
    let topology = Topology::scripted().start();
    topology.service().answer(deny_all);
    for first in 0..=255 {
        for (name, bytes) in attacks::with_first_byte(version, first) {
            let mut client = topology.connect(version, "client");
            client.send_in_vain(&bytes);
            client.send_in_vain(&wake(version));
            client.shut_down_writing();
            client.drain();
            assert_eq!(leaked(&topology), [""; 0], "{name}");
        }
    }
});

// [MQTT-3.1.4-6] [3.1.1: MQTT-3.1.4-5]
all_versions!(packets_behind_a_refused_connect_are_dropped, |version| {
    let topology = Topology::scripted().start();
    topology.service().answer(|check| match check.hook() {
        Hook::Connect => Answer::deny(ReasonCode::NotAuthorized),
        _ => Answer::Allow,
    });
    for size in PIECES {
        let mut client = topology.open(version);
        let bytes = [Connect::new("client").encode(version), wake(version)].concat();
        client.send_in_pieces(&bytes, size.min(bytes.len()));
        client.expect_refused(version.pick(0x05, 0x87));
    }
    assert_eq!(topology.recorder().connections(), 0);
    assert!(topology.service().checks_of(Hook::Publish).is_empty());
});

// Earlier versions do not forbid a length in more bytes than it needs, but brokers may differ about it.
#[test]
fn a_stretched_length_is_written_anew_before_mqtt_5() {
    for version in [Version::V31, Version::V311] {
        let topology = Topology::scripted().start();
        let mut client = topology.connect(version, "client");
        let publish = Publish::new("t", "x").qos(1).encode(version);
        let subscribe = Subscribe::new(2).filter("t", 0).encode(version);
        for width in 2..=4 {
            client.send_raw(&attacks::stretched(&publish, width));
            client.expect_ack(Kind::Puback, 1, 0);
            client.send_raw(&attacks::stretched(&subscribe, width));
            client.expect_suback(2, &[0]);
            client.send_raw(&attacks::stretched(&PINGREQ, width));
            client.expect(Kind::Pingresp);
        }
        for packet in &topology.recorder().connection(0)[1..] {
            let bytes = packet.bytes();
            assert!(
                [&publish[..], &subscribe, &PINGREQ].contains(&bytes),
                "{packet:?}"
            );
        }
    }
}

// MQTT 3.1 has DUP on these; later brokers close for it.
#[test]
fn a_repeated_packet_of_31_is_written_as_all_versions_have_it() {
    let version = Version::V31;
    let topology = Topology::scripted().start();
    let mut client = topology.connect(version, "client");
    let subscribe = Subscribe::new(1).filter("t", 0).encode(version);
    let unsubscribe = Unsubscribe::new(2, &["t"]).encode(version);
    let release = ack(Kind::Pubrel, 3);
    let again = |packet: &[u8]| [&[packet[0] | 0x08], &packet[1..]].concat();
    client.send_raw(&again(&subscribe));
    client.expect_suback(1, &[0]);
    client.send_raw(&again(&unsubscribe));
    assert_eq!(client.expect(Kind::Unsuback).id(), 2);
    client.send(&Publish::new("t", "x").qos(2).id(3));
    client.expect_ack(Kind::Pubrec, 3, 0);
    client.send_raw(&again(&release));
    client.expect_ack(Kind::Pubcomp, 3, 0);
    for packet in &topology.recorder().connection(0)[1..] {
        let known = [&subscribe[..], &unsubscribe, &release].contains(&packet.bytes());
        assert!(known || packet.kind() == Kind::Publish, "{packet:?}");
    }
}

// In MQTT 3.1 a flag may promise a string that does not come. To later brokers it would be malformed.
#[test]
fn a_login_of_31_that_is_not_there_is_written_as_none() {
    let version = Version::V31;
    let topology = Topology::scripted().start();
    let plain = Connect::new("id").encode(version);
    let flags = 2 + 2 + "MQIsdp".len() + 1;
    let named = Connect::new("id").username("user").encode(version);
    for (index, (base, flag)) in [(&plain, 0x80), (&plain, 0xC0), (&named, 0x40)]
        .into_iter()
        .enumerate()
    {
        let mut bytes = base.clone();
        bytes[flags] |= flag;
        let mut client = topology.open(version);
        client.send_raw(&bytes);
        client.expect_connack(0);
        assert_eq!(topology.recorder().connection(index)[0].bytes(), *base);
        let check = topology.service().checks_of(Hook::Connect).remove(index);
        assert_eq!(check.session().username.is_some(), *base == named);
        assert_eq!(check.connect().password, None);
    }
}
