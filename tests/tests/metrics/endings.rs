//! How connections end.

use tidegate_tests::{
    Client, Connect, Publish, Subscribe, Topology, Version,
    metrics::Labels,
    packet::{Disconnect, Encode as _, Kind, PINGREQ},
    recorder::Reply,
};

use crate::{counted, start};

const V5: Version = Version::V5;

fn message(topic: &str) -> Publish {
    Publish::new(topic, "").qos(1)
}

fn filter(filter: &str) -> Subscribe {
    Subscribe::new(1).filter(filter, 0)
}

/// An ending: what is done, and how it is counted.
type Ending = (
    &'static str,
    fn(&Topology, &mut Client),
    &'static str,
    &'static str,
);

/// Endings of a client that is connected.
const ENDINGS: [Ending; 11] = [
    (
        "goodbye",
        |_, client| client.leave(),
        "client_disconnect",
        "client",
    ),
    (
        "goodbye with will",
        |_, client| client.send(&Disconnect::new(0x04)),
        "client_disconnect",
        "client",
    ),
    (
        "vanished",
        |_, client| client.shut_down_writing(),
        "client_gone",
        "client",
    ),
    (
        "protocol error",
        |_, client| client.send(&Connect::new("again")),
        "client_violation",
        "client",
    ),
    (
        "malformed packet",
        |_, client| client.send_raw(&[0xC0, 1, 0]),
        "client_violation",
        "client",
    ),
    (
        "denied message",
        |_, client| client.send(&message("close")),
        "publish_denied",
        "policy",
    ),
    (
        "denied filter",
        |_, client| client.send(&filter("close")),
        "subscribe_denied",
        "policy",
    ),
    (
        "undecided filter",
        |_, client| client.send(&filter("fail")),
        "subscribe_undecided",
        "authz",
    ),
    (
        "no state",
        |_, client| client.send(&message("state")),
        "session_state_invalid",
        "authz",
    ),
    (
        "the broker goes",
        |topology, _| {
            let last = topology.recorder().connections() - 1;
            topology.recorder().close(last);
        },
        "broker_gone",
        "broker",
    ),
    (
        "the broker talks nonsense",
        |topology, _| {
            let last = topology.recorder().connections() - 1;
            topology.recorder().send(last, vec![0xC0, 0]);
        },
        "broker_violation",
        "broker",
    ),
];

#[test]
fn each_ending_is_counted_under_its_word_once() {
    let topology = start(counted());
    let metrics = topology.gate().metrics();
    let mut total = 0;
    for (name, come_about, reason, by) in ENDINGS {
        println!("{name}");
        let labels: Labels<'_> = &[("reason", reason), ("by", by)];
        let before = metrics.value("tidegate_sessions_closed_total", labels);
        let mut client = topology.connect(V5, "client");
        metrics.wait_for("tidegate_sessions_open", &[("listener", "mqtt")], 1);
        come_about(&topology, &mut client);
        client.drain();
        metrics.wait_for("tidegate_sessions_closed_total", labels, before + 1);
        metrics.wait_for("tidegate_sessions_open", &[], 0);
        total += 1;
        assert_eq!(metrics.value("tidegate_sessions_closed_total", &[]), total);
        assert_eq!(
            metrics.value("tidegate_connections_accepted_total", &[]),
            total
        );
    }
}

#[test]
fn a_connect_that_comes_to_nothing_is_counted() {
    let topology = start(counted());
    let metrics = topology.gate().metrics();
    let recorder = topology.recorder();
    let connect = |client_id: &str| Connect::new(client_id).encode(V5);
    for (name, sent, reason, by) in [
        ("ping", PINGREQ.to_vec(), "not_mqtt", "client"),
        ("nothing", Vec::new(), "client_gone", "client"),
        ("half a packet", vec![0x10], "client_gone", "client"),
        ("denied", connect("deny"), "connect_denied", "policy"),
        ("undecided", connect("fail"), "connect_undecided", "authz"),
        (
            "denied will",
            Connect::new("c").will(Publish::new("deny", "")).encode(V5),
            "will_denied",
            "policy",
        ),
        (
            "undecided will",
            Connect::new("c").will(Publish::new("fail", "")).encode(V5),
            "will_undecided",
            "authz",
        ),
        ("refused", connect("refuse"), "broker_refused", "broker"),
        ("hung up", connect("hang up"), "broker_gone", "broker"),
        ("puzzled", connect("puzzle"), "broker_violation", "broker"),
        (
            "level 6",
            connect("c")
                .into_iter()
                .enumerate()
                .map(|(index, byte)| if index == 8 { 6 } else { byte })
                .collect(),
            "unsupported_version",
            "client",
        ),
    ] {
        println!("{name}");
        recorder.reply_to(Kind::Connect, |packet| match packet.client_id().as_str() {
            "refuse" => Reply::Close(vec![0x20, 3, 0, 0x87, 0]),
            "hang up" => Reply::Close(Vec::new()),
            "puzzle" => Reply::Bytes(PINGREQ.to_vec()),
            _ => Reply::Usual,
        });
        let labels: Labels<'_> = &[("reason", reason), ("by", by)];
        let before = metrics.value("tidegate_sessions_closed_total", labels);
        let mut client = topology.open(V5);
        client.send_raw(&sent);
        if reason == "client_gone" {
            client.shut_down_writing();
        }
        client.drain();
        metrics.wait_for("tidegate_sessions_closed_total", labels, before + 1);
    }
    assert_eq!(metrics.value("tidegate_sessions_closed_total", &[]), 11);
}

#[test]
fn violations_are_counted_by_side_and_code() {
    let topology = start(counted());
    let metrics = topology.gate().metrics();
    let violation = |packet: &[u8]| {
        let mut client = topology.connect(V5, "client");
        client.send_raw(packet);
        client.drain();
    };
    for (packet, code) in [
        (vec![0xC0, 1, 0], "0x81"),
        (message("a/#").encode(V5), "0x81"),
        (message("").encode(V5), "0x82"),
        (vec![0xD0, 0], "0x82"),
        (vec![0x30, 0xFF, 0xFF, 0xFF, 0x7F], "0x95"),
    ] {
        println!("{packet:02x?} {code}");
        let labels: Labels<'_> = &[("side", "client"), ("code", code)];
        let before = metrics.value("tidegate_violations_total", labels);
        violation(&packet);
        metrics.wait_for("tidegate_violations_total", labels, before + 1);
    }
    let sum = |labels| metrics.value("tidegate_violations_total", labels);
    assert_eq!((sum(&[("side", "client")]), sum(&[])), (5, 5));
    for packet in [vec![0x82, 0], vec![0x30, 1, 0]] {
        let before = sum(&[("side", "broker")]);
        let mut client = topology.connect(V5, "client");
        let index = topology.recorder().connections() - 1;
        topology.recorder().send(index, packet);
        client.drain();
        metrics.wait_for(
            "tidegate_violations_total",
            &[("side", "broker")],
            before + 1,
        );
    }
}
