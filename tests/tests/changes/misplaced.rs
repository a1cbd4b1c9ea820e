//! What does not lie below the mount.

use tidegate_proto::v1::{ConnectAllow, SubscribeAllow};
use tidegate_tests::{
    Check, Connect, Publish, Subscribe, all_versions, gate::run_to_end, packet::Kind, service::Hook,
};

use crate::mount::{as_user, on_recorder, put_below, subscribed};

// They can only come from filters that are not the gate's. The broker must not wait for them.
all_versions!(what_can_not_be_mapped_is_not_delivered, |version| {
    let topology = on_recorder();
    let mut client = subscribed(&topology, version, "alice", &["#"]);
    for (topic, qos) in [
        ("alice/", 0),
        ("alice/", 1),
        ("alice/", 2),
        ("alice", 1),
        ("bob/t", 1),
        ("alice2/t", 1),
        ("/alice/t", 1),
        ("Alice/t", 2),
    ] {
        println!("{topic} at QoS {qos}");
        let (acks, completes) = (
            topology.recorder().packets(Kind::Puback).len(),
            topology.recorder().packets(Kind::Pubcomp).len(),
        );
        topology
            .recorder()
            .send_packet(0, &Publish::new(topic, "secret").qos(qos).id(5));
        match qos {
            0 => {}
            1 => drop(topology.recorder().wait_for(Kind::Puback, acks + 1)),
            _ => drop(topology.recorder().wait_for(Kind::Pubcomp, completes + 1)),
        }
        client.expect_nothing_before_pong();
    }
    topology
        .recorder()
        .send_packet(0, &Publish::new("alice/t", "for alice").qos(1).id(5));
    client.expect_publish("t", "for alice");
});

/// What the service makes of the filter `t` (or of the one that is named) instead of `alice/t`.
const WRONG: [(&str, Option<&str>); 11] = [
    ("t", Some("bob/t")),
    ("t", Some("alice/u")),
    ("t", Some("alice/t/#")),
    ("t", Some("alice/+")),
    ("t", Some("alice2/t")),
    ("t", Some("Alice/t")),
    ("t", Some("alice/")),
    ("t", Some("")),
    ("t", Some("$share/g/alice/t")),
    // As it is, it would deliver what is below the mount.
    ("#", None),
    ("+/t", None),
];

all_versions!(another_filter_than_the_mounts_is_a_failure, |version| {
    let topology = on_recorder();
    for (filter, made) in WRONG {
        println!("{filter} {made:?}");
        topology.service().answer(move |check| match check {
            Check::Subscribe(_) => SubscribeAllow {
                topic_filter: made.map(str::to_owned),
                ..SubscribeAllow::default()
            }
            .into(),
            other => put_below(other),
        });
        let mut client = topology.join(version, &as_user("alice"));
        client.send(&Subscribe::new(1).filter(filter, 1));
        client.expect_end(0x83);
    }
    assert!(topology.recorder().filters().is_empty());
});

// A name that reaches into another one's mount, or into the broker's own topics, is no name. It will not
// be one the next time either.
all_versions!(a_name_that_is_no_place_is_denied, |version| {
    let topology = on_recorder();
    for name in ["", "a/b", "/", "+", "#", "a+", "$SYS", "$share", "a\u{1}"] {
        println!("{name:?}");
        let principal = name.to_owned();
        topology.service().answer_hook(Hook::Connect, move |_| {
            ConnectAllow {
                principal: principal.clone(),
                ..ConnectAllow::default()
            }
            .into()
        });
        topology
            .try_connect(version, &Connect::new("client"))
            .expect_refused(version.pick(0x05, 0x87));
    }
    assert_eq!(topology.recorder().connections(), 0);
});

const CONFIG: &str = r#"
[[listeners]]
name = "mqtt"
bind = "127.0.0.1:0"
mount = "{principal}/"
[authz.permit]
publish_topic = true
subscribe_filter = true
"#;

#[test]
fn a_mount_is_checked_before_anything_is_bound() {
    let code = |config: &str| run_to_end(&["check"], config, &[]).status.code();
    assert_eq!(code(CONFIG), Some(0));
    for mount in [
        "",
        "{principal}",
        "{who}/",
        "a/+/",
        "#/",
        "$SYS/",
        "{principal}{username}/",
    ] {
        let output = run_to_end(&["check"], &CONFIG.replace("{principal}/", mount), &[]);
        let said =
            String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
        assert_eq!(output.status.code(), Some(78), "{mount:?}: {said}");
        assert!(said.contains("listeners.0.mount"), "{mount:?}: {said}");
    }
    // There is no way back without one.
    let without = CONFIG.replace("mount = \"{principal}/\"", "");
    let output = run_to_end(&["check"], &without, &[]);
    let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned();
    assert_eq!(output.status.code(), Some(78), "{said}");
    for word in ["subscribe_filter", "mount"] {
        assert!(said.contains(word), "no {word} in {said}");
    }
}
