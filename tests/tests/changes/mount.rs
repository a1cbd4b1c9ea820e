//! Mounts: every user has the whole tree of topics, and the broker has them side by side.

use tidegate_proto::v1::{ConnectAllow, PublishAllow, SubscribeAllow};
use tidegate_tests::{
    Answer, Check, Client, Connect, Publish, Subscribe, Topology, Unsubscribe, Version,
    all_versions,
    packet::{Encode as _, Kind, property},
    topology::{Plan, unique},
};

/// Mounts by the principal, which is the user name, and permits the service to go there.
fn mounted(plan: Plan) -> Plan {
    plan.set("listeners.0.mount", "{principal}/")
        .set("authz.permit.publish_topic", true)
        .set("authz.permit.subscribe_filter", true)
        .set("authz.permit.subscribe_qos", true)
}

/// A service that puts everybody's topics and filters below their names.
pub(crate) fn put_below(check: &Check) -> Answer {
    let below = |topic: &str| Some(format!("{}/{topic}", check.session().principal));
    match check {
        Check::Connect(connect) => {
            let session = connect.session.as_ref().expect("a session");
            ConnectAllow {
                principal: session.username.clone().unwrap_or_default(),
                broker_client_id: Some(format!("{}/{}", session.username(), session.client_id)),
                ..ConnectAllow::default()
            }
            .into()
        }
        Check::Publish(publish) => PublishAllow {
            topic: below(&publish.topic),
            ..PublishAllow::default()
        }
        .into(),
        Check::Subscribe(subscribe) => SubscribeAllow {
            topic_filter: below(&subscribe.topic_filter),
            ..SubscribeAllow::default()
        }
        .into(),
    }
}

fn on_mosquitto() -> Topology {
    let topology = mounted(Topology::scripted().mosquitto(&[])).start();
    topology.service().answer(put_below);
    topology
}

pub(crate) fn on_recorder() -> Topology {
    let topology = mounted(Topology::scripted()).start();
    topology.service().answer(put_below);
    topology
}

pub(crate) fn as_user(user: &str) -> Connect {
    Connect::new(unique("device")).login(user, "")
}

#[track_caller]
pub(crate) fn subscribed(
    topology: &Topology,
    version: Version,
    user: &str,
    filters: &[&str],
) -> Client {
    let mut client = topology.join(version, &as_user(user));
    let id = client.subscribe(filters);
    client.expect_suback(id, &vec![2; filters.len()]);
    client
}

#[track_caller]
fn publish(client: &mut Client, qos: u8, topic: &str, payload: &str) {
    let id = client.publish(qos, topic, payload);
    client.complete(qos, id);
}

/// Filters, and topics that come to who has them.
const FILTERS: [(&str, &[&str]); 7] = [
    ("t/1", &["t/1"]),
    ("#", &["t/1", "t/2", "/", "u"]),
    ("+/1", &["t/1"]),
    ("t/#", &["t/1", "t/2"]),
    ("/", &["/"]),
    ("+", &["u"]),
    ("$share/group/t/+", &["t/1", "t/2"]),
];

all_versions!(users_do_not_see_each_other, |version| {
    let topology = on_mosquitto();
    let mut witness = topology.witness(&["#"]);
    for (filter, topics) in FILTERS {
        println!("{filter}");
        let mut alice = subscribed(&topology, version, "alice", &[filter]);
        let mut bob = subscribed(&topology, version, "bob", &[filter]);
        for (user, payload) in [("alice", "of alice"), ("bob", "of bob")] {
            let mut sender = topology.join(version, &as_user(user));
            for topic in ["t/1", "t/2", "/", "u"] {
                publish(&mut sender, 2, topic, payload);
                witness.expect_publish(&format!("{user}/{topic}"), payload);
            }
        }
        for topic in topics {
            alice.expect_publish(topic, "of alice");
            bob.expect_publish(topic, "of bob");
        }
        alice.expect_nothing_before_pong();
        bob.expect_nothing_before_pong();
    }
});

all_versions!(filters_are_left_as_they_were_subscribed, |version| {
    let topology = on_mosquitto();
    for filter in ["t/1", "#", "$share/group/t/1"] {
        println!("{filter}");
        let mut alice = subscribed(&topology, version, "alice", &[filter, "other"]);
        alice.send(&Unsubscribe::new(9, &["never", filter]));
        let unsuback = alice.expect(Kind::Unsuback);
        assert_eq!(unsuback.id(), 9);
        assert_eq!(unsuback.codes(), version.pick(vec![], vec![0x11, 0x00]));
        let mut sender = topology.join(version, &as_user("alice"));
        publish(&mut sender, 1, "t/1", "nobody listens");
        publish(&mut sender, 1, "other", "but here");
        alice.expect_publish("other", "but here");
        alice.leave();
    }
});

all_versions!(a_resumed_session_is_mapped_back, |version| {
    let topology = on_mosquitto();
    let connect = as_user("alice").resume();
    let mut alice = topology.join(version, &connect);
    let id = alice.subscribe(&["waits/#"]);
    alice.expect_suback(id, &[2]);
    alice.leave();
    let mut sender = topology.join(version, &as_user("alice"));
    publish(&mut sender, 1, "waits/for", "alice");

    // This connection has seen no SUBSCRIBE.
    let mut alice = topology.join(version, &connect);
    alice.expect_publish("waits/for", "alice");
    publish(&mut sender, 2, "waits/still", "alice");
    alice.expect_publish("waits/still", "alice");
    alice.send(&Unsubscribe::new(9, &["waits/#", "never"]));
    let unsuback = alice.expect(Kind::Unsuback);
    assert_eq!(unsuback.codes(), version.pick(vec![], vec![0x00, 0x11]));
    publish(&mut sender, 1, "waits/not", "any more");
    alice.expect_nothing_before_pong();
});

#[test]
fn answers_find_their_way_back() {
    let topology = on_mosquitto();
    let mut witness = topology.witness(&["alice/asks"]);
    let mut server = subscribed(&topology, Version::V5, "alice", &["asks"]);
    let mut client = subscribed(&topology, Version::V5, "alice", &["answers"]);
    client.send(&Publish::new("asks", "?").property(property::response_topic("answers")));
    let outside = witness.expect_publish("alice/asks", "?");
    assert_eq!(
        outside.property(property::RESPONSE_TOPIC).as_deref(),
        Some(&b"alice/answers"[..])
    );
    let inside = server.expect_publish("asks", "?");
    assert_eq!(
        inside.property(property::RESPONSE_TOPIC).as_deref(),
        Some(&b"answers"[..])
    );
    publish(&mut server, 1, "answers", "!");
    client.expect_publish("answers", "!");
}

all_versions!(retained_messages_and_wills_are_mapped, |version| {
    let topology = on_mosquitto();
    let mut witness = topology.witness(&["alice/#"]);
    let mut sender = topology.join(version, &as_user("alice"));
    sender.send(&Publish::new("kept", "x").retain().qos(1).id(9));
    sender.complete(1, 9);
    witness.expect_publish("alice/kept", "x");
    let mut alice = subscribed(&topology, version, "alice", &["kept", "will"]);
    assert!(alice.expect_publish("kept", "x").retain());
    drop(topology.join(
        version,
        &as_user("alice").will(Publish::new("will", "gone")),
    ));
    witness.expect_publish("alice/will", "gone");
    alice.expect_publish("will", "gone");
});

// All properties, and what does not belong to the topic, stay as they are.
#[test]
fn a_delivery_loses_nothing_but_the_mount() {
    let topology = on_recorder();
    let mut client = subscribed(&topology, Version::V5, "alice", &["#"]);
    let delivery = |topic: &str, response: &str| {
        Publish::new(topic, b"\0\xFF")
            .qos(1)
            .id(77)
            .retain()
            .dup()
            .property(property::user("b", "1"))
            .property(property::subscription_identifier(1))
            .property(property::subscription_identifier(268_435_455))
            .property(property::subscription_identifier(2))
            .property(property::response_topic(response))
            .property(property::correlation_data("id"))
            .property(property::user("a", "2"))
    };
    for (mounted, response, topic, stripped) in [
        ("alice/t", "alice/answers", "t", "answers"),
        ("alice/alice/t", "bob/answers", "alice/t", "bob/answers"),
        ("alice//", "answers", "/", "answers"),
    ] {
        topology
            .recorder()
            .send_packet(0, &delivery(mounted, response));
        let found = client.expect(Kind::Publish);
        assert_eq!(found.bytes(), delivery(topic, stripped).encode(Version::V5));
    }
}

// `$share/<name>/` stays in front, and options stay behind.
#[test]
fn the_broker_sees_the_mount_in_the_inner_filter() {
    let topology = on_recorder();
    let mut client = topology.join(Version::V5, &as_user("alice"));
    let packet = |mount: &str| {
        Subscribe::new(3)
            .property(property::subscription_identifier(5))
            .filter(format!("{mount}t/+"), 0x2D)
            .filter(format!("$share/g/{mount}t"), 0x09)
            .filter(format!("{mount}#"), 0x02)
    };
    client.send(&packet(""));
    client.expect_suback(3, &[1, 1, 2]);
    let seen = topology.recorder().packets(Kind::Subscribe).remove(0);
    assert_eq!(seen.bytes(), packet("alice/").encode(Version::V5));
    client.send(&Unsubscribe::new(4, &["t/+", "$share/g/t", "#"]));
    assert_eq!(client.expect(Kind::Unsuback).id(), 4);
    let seen = topology.recorder().packets(Kind::Unsubscribe).remove(0);
    assert_eq!(seen.filters(), ["alice/t/+", "$share/g/alice/t", "alice/#"]);
}
