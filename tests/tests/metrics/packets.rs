//! What becomes of packets, and of the questions about them.

use tidegate_tests::{
    Answer, Connect, Hold, Publish, Subscribe, Version, all_versions,
    metrics::Labels,
    packet::{Encode as _, Kind},
    service::Hook,
};

use crate::{counted, start};

enum Sent {
    Message(&'static str, u8),
    Filters(&'static [&'static str]),
}
use Sent::{Filters, Message};

impl Sent {
    fn kind(&self) -> &'static str {
        match self {
            Message(..) => "publish",
            Filters(_) => "subscribe",
        }
    }

    fn encode(&self, version: Version, id: u16) -> Vec<u8> {
        match self {
            Message(topic, qos) => Publish::new(*topic, "").qos(*qos).id(id).encode(version),
            Filters(filters) => filters
                .iter()
                .fold(Subscribe::new(id), |packet, &filter| {
                    packet.filter(filter, 0)
                })
                .encode(version),
        }
    }
}

all_versions!(packets_are_counted_by_fate, |version| {
    let topology = start(counted().set("authz.subscribe.on_failure", "reject"));
    let metrics = topology.gate().metrics();
    let mut client = topology.connect(version, "client");
    let sent = [
        (Message("t", 0), "forwarded"),
        (Message("t", 1), "forwarded"),
        (Message("t", 2), "forwarded"),
        (Message("deny", 0), "dropped"),
        (Message("deny", 1), version.pick("dropped", "refused")),
        (Message("deny", 2), version.pick("dropped", "refused")),
        (Message("fail", 0), "dropped"),
        (Filters(&["t"]), "forwarded"),
        (Filters(&["t", "u"]), "forwarded"),
        (
            Filters(&["deny"]),
            version.pick_of_three("dropped", "refused", "refused"),
        ),
        (Filters(&["deny", "t"]), "forwarded_in_part"),
        (Message("fail", 1), version.pick("closed", "refused")),
    ];
    for (id, (packet, fate)) in (1..).zip(&sent) {
        let bytes = packet.encode(version, id);
        println!("{bytes:02x?} {fate}");
        let labels: Labels<'_> = &[("kind", packet.kind()), ("fate", fate)];
        let before = metrics.value("tidegate_packets_total", labels);
        client.send_raw(&bytes);
        metrics.wait_for("tidegate_packets_total", labels, before + 1);
    }
    let count = |labels| metrics.value("tidegate_packets_total", labels);
    assert_eq!(count(&[]), 1 + sent.len() as u64);
    assert_eq!(count(&[("kind", "connect"), ("fate", "forwarded")]), 1);
});

all_versions!(connects_and_wills_are_counted_by_fate, |version| {
    let topology = start(counted());
    let metrics = topology.gate().metrics();
    for (client_id, will, connect_fate, will_fate) in [
        ("allowed", None, "forwarded", None),
        ("allowed", Some("allowed"), "forwarded", Some("forwarded")),
        ("deny", None, "closed", None),
        ("deny", Some("allowed"), "closed", None),
        ("fail", None, "closed", None),
        ("allowed", Some("deny"), "closed", Some("closed")),
        ("allowed", Some("fail"), "closed", Some("closed")),
    ] {
        println!("{client_id} {will:?}");
        let count =
            |kind, fate| metrics.value("tidegate_packets_total", &[("kind", kind), ("fate", fate)]);
        let wills = || metrics.value("tidegate_packets_total", &[("kind", "will")]);
        let (connects, wills_before) = (count("connect", connect_fate), wills());
        let fated = will_fate.map(|fate| count("will", fate));
        let mut connect = Connect::new(client_id);
        if let Some(topic) = will {
            connect = connect.will(Publish::new(topic, ""));
        }
        let mut client = topology.try_connect(version, &connect);
        client.expect(Kind::Connack);
        let labels: Labels<'_> = &[("kind", "connect"), ("fate", connect_fate)];
        metrics.wait_for("tidegate_packets_total", labels, connects + 1);
        if let (Some(fate), Some(before)) = (will_fate, fated) {
            let labels: Labels<'_> = &[("kind", "will"), ("fate", fate)];
            metrics.wait_for("tidegate_packets_total", labels, before + 1);
        }
        assert_eq!(wills(), wills_before + u64::from(will_fate.is_some()));
    }
});

// What is undecided when its connection ends has come to nothing, and nobody waits for it.
#[test]
fn undecided_packets_end_with_their_connection() {
    let topology = start(counted().set("authz.publish.deadline", "60s"));
    let metrics = topology.gate().metrics();
    let hold = Hold::new();
    let held = hold.clone();
    topology
        .service()
        .answer_hook(Hook::Publish, move |_| Answer::Allow.held_by(&held));
    let mut client = topology.connect(Version::V5, "client");
    for _ in 0..3 {
        client.publish(1, "t", "");
    }
    let pending: Labels<'_> = &[("hook", "publish")];
    metrics.wait_for("tidegate_authz_checks_pending", pending, 3);
    client.send(&Connect::new("again"));
    client.drain();
    let closed: Labels<'_> = &[("kind", "publish"), ("fate", "closed")];
    metrics.wait_for("tidegate_packets_total", closed, 3);
    metrics.wait_for("tidegate_authz_checks_pending", pending, 0);
    let cancelled: Labels<'_> = &[("hook", "publish"), ("outcome", "cancelled")];
    metrics.wait_for("tidegate_authz_checks_total", cancelled, 3);
    hold.release();
}

#[test]
fn deliveries_that_have_no_name_for_the_client_are_counted() {
    let topology = counted()
        .set("listeners.0.mount", "{principal}/")
        .set("authz.permit.publish_topic", true)
        .set("authz.permit.subscribe_filter", true)
        .start();
    topology.service().answer_hook(Hook::Connect, |_| {
        tidegate_proto::v1::ConnectAllow {
            principal: "alice".to_owned(),
            ..Default::default()
        }
        .into()
    });
    let metrics = topology.gate().metrics();
    let mut client = topology.connect(Version::V5, "client");
    for topic in ["bob/t", "alice/t"] {
        topology.recorder().send_packet(0, &Publish::new(topic, ""));
    }
    client.expect_publish("t", "");
    metrics.wait_for("tidegate_deliveries_dropped_total", &[], 1);
}
