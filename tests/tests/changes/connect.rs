//! CONNECT: who the client is to the broker, and what it may leave there.

use tidegate_proto::v1::ConnectAllow;
use tidegate_tests::{
    Answer, Connect, Publish, Version, all_versions,
    packet::{Encode as _, property},
    service::Hook,
};

use crate::{all_but, answer};

/// The key that permits it, the change, what the client sends, and what the broker sees.
type Case = (&'static str, ConnectAllow, Connect, Connect);

fn client_id(id: &str) -> ConnectAllow {
    ConnectAllow {
        broker_client_id: Some(id.to_owned()),
        ..ConnectAllow::default()
    }
}

fn username(name: &str) -> ConnectAllow {
    ConnectAllow {
        broker_username: Some(name.to_owned()),
        ..ConnectAllow::default()
    }
}

fn password(password: &[u8]) -> ConnectAllow {
    ConnectAllow {
        broker_password: Some(password.to_vec().into()),
        ..ConnectAllow::default()
    }
}

fn session_expiry(seconds: u32) -> ConnectAllow {
    ConnectAllow {
        max_session_expiry_seconds: Some(seconds),
        ..ConnectAllow::default()
    }
}

fn cases(version: Version) -> Vec<Case> {
    let plain = || Connect::new("client");
    let login = || plain().login("user", "secret");
    let will = || Publish::new("w", "gone").qos(1).retain();
    let drop_will = ConnectAllow {
        drop_will: true,
        ..ConnectAllow::default()
    };
    let force_clean_start = ConnectAllow {
        force_clean_start: true,
        ..ConnectAllow::default()
    };
    let both = ConnectAllow {
        broker_password: Some(b"service".to_vec().into()),
        ..username("gate")
    };
    let mut cases = vec![
        (
            "broker_client_id",
            client_id("inner/client"),
            login(),
            Connect::new("inner/client").login("user", "secret"),
        ),
        (
            "broker_client_id",
            client_id("inner"),
            Connect::new("").keep_alive(60),
            Connect::new("inner").keep_alive(60),
        ),
        (
            "broker_username",
            username("inner"),
            login(),
            plain().login("inner", "secret"),
        ),
        (
            "broker_username",
            username("inner"),
            plain(),
            plain().username("inner"),
        ),
        (
            "broker_username",
            username(""),
            login(),
            plain().login("", "secret"),
        ),
        (
            "broker_password",
            password(b"\0\xFF"),
            login(),
            plain().login("user", b"\0\xFF"),
        ),
        (
            "broker_password",
            password(b""),
            login(),
            plain().login("user", ""),
        ),
        (
            "broker_password",
            password(b"p"),
            plain().username("user"),
            plain().login("user", "p"),
        ),
        ("", both, plain(), plain().login("gate", "service")),
        (
            "drop_will",
            drop_will.clone(),
            login().will(will()),
            login(),
        ),
        ("drop_will", drop_will, login(), login()),
        (
            "force_clean_start",
            force_clean_start.clone(),
            login().unclean(),
            login(),
        ),
        ("force_clean_start", force_clean_start, login(), login()),
    ];
    let expiring = |seconds| {
        plain()
            .unclean()
            .property(property::session_expiry(seconds))
    };
    cases.extend(match version {
        Version::V5 => vec![
            (
                "session_expiry",
                session_expiry(60),
                expiring(3600),
                expiring(60),
            ),
            (
                "session_expiry",
                session_expiry(60),
                expiring(u32::MAX),
                expiring(60),
            ),
            (
                "session_expiry",
                session_expiry(60),
                expiring(30),
                expiring(30),
            ),
            (
                "session_expiry",
                session_expiry(60),
                plain().unclean(),
                plain().unclean(),
            ),
        ],
        // They have no number: either it is kept or it is not.
        _ => vec![
            (
                "session_expiry",
                session_expiry(0),
                plain().unclean(),
                plain(),
            ),
            (
                "session_expiry",
                session_expiry(60),
                plain().unclean(),
                plain().unclean(),
            ),
        ],
    });
    cases
}

all_versions!(what_is_permitted_is_changed, |version| {
    let topology = all_but("");
    for (index, (_, change, sent, expected)) in legal(version).into_iter().enumerate() {
        println!("{change:?}");
        answer(&topology, Hook::Connect, change);
        let mut client = topology.join(version, &sent);
        let seen = topology.recorder().connection(index).remove(0);
        assert_eq!(seen.bytes(), expected.encode(version), "{seen:?}");
        let id = client.publish(1, "t", "x");
        client.complete(1, id);
    }
});

/// The cases of clients that get as far as the service: MQTT 3.1 has no empty client ids.
fn legal(version: Version) -> Vec<Case> {
    let nameless = Connect::new("").keep_alive(60).encode(version);
    let mut cases = cases(version);
    cases.retain(|(_, _, sent, _)| version != Version::V31 || sent.encode(version) != nameless);
    cases
}

all_versions!(what_is_not_permitted_is_a_failure, |version| {
    for key in [
        "broker_client_id",
        "broker_username",
        "broker_password",
        "drop_will",
        "force_clean_start",
        "session_expiry",
    ] {
        let topology = all_but(key);
        for (_, change, sent, _) in legal(version).iter().filter(|case| case.0 == key) {
            println!("{change:?}");
            answer(&topology, Hook::Connect, change.clone());
            topology
                .try_connect(version, sent)
                .expect_refused(version.pick(0x03, 0x88));
        }
        assert_eq!(topology.recorder().connections(), 0);
    }
});

fn illegal(version: Version) -> Vec<(ConnectAllow, Connect)> {
    let login = || Connect::new("client").login("user", "secret");
    let long = "l".repeat(65_536);
    let mut illegal = vec![
        (client_id("a\0b"), login()),
        (client_id(&long), login()),
        (username("a\0b"), login()),
        (username(&long), login()),
        (password(long.as_bytes()), login()),
    ];
    if version != Version::V5 {
        // [3.1.1: MQTT-3.1.2-22]: no password without a user name.
        illegal.push((password(b"p"), Connect::new("client")));
    }
    illegal
}

all_versions!(what_is_not_mqtt_is_a_failure, |version| {
    let topology = all_but("");
    for (change, sent) in illegal(version) {
        println!("{:.200}", format!("{change:?}"));
        answer(&topology, Hook::Connect, change);
        topology
            .try_connect(version, &sent)
            .expect_refused(version.pick(0x03, 0x88));
    }
    assert_eq!(topology.recorder().connections(), 0);
});

// In MQTT 5 a password may stand alone.
#[test]
fn a_token_can_be_given_to_the_broker() {
    let topology = all_but("");
    answer(&topology, Hook::Connect, password(b"token"));
    let _client = topology.join(Version::V5, &Connect::new("client"));
    let seen = topology.recorder().connection(0).remove(0);
    let bytes = Connect::new("client").encode(Version::V5);
    // The flag, and the field behind all others.
    assert_eq!(seen.bytes()[9], bytes[9] | 0x40);
    assert!(seen.bytes().ends_with(b"\0\x05token"), "{seen:?}");
}

// The client hears how long its session is kept, which is shorter than it asked for.
#[test]
fn the_client_is_told_of_a_shorter_expiry() {
    let topology = all_but("");
    answer(&topology, Hook::Connect, session_expiry(60));
    for (asked, told) in [(3600, Some(60)), (60, None), (30, None)] {
        let connect = Connect::new("client")
            .unclean()
            .property(property::session_expiry(asked));
        let mut client = topology.try_connect(Version::V5, &connect);
        let connack = client.expect_connack(0);
        assert_eq!(connack.number(property::SESSION_EXPIRY_INTERVAL), told);
    }
}

// A will that is not sent is not asked about either.
all_versions!(a_dropped_will_is_not_asked_about, |version| {
    let topology = all_but("");
    let drop_will = ConnectAllow {
        drop_will: true,
        ..ConnectAllow::default()
    };
    answer(&topology, Hook::Connect, drop_will);
    let connect = Connect::new("client").will(Publish::new("w", "gone"));
    let _client = topology.join(version, &connect);
    assert!(topology.service().checks_of(Hook::Publish).is_empty());
});

// What the broker is told about the client is nobody else's business, and secrets least of all.
all_versions!(what_the_broker_is_told_stays_there, |version| {
    let topology = all_but("");
    let change = ConnectAllow {
        broker_client_id: Some("canary-id".into()),
        broker_username: Some("canary-name".into()),
        broker_password: Some(b"canary-password".to_vec().into()),
        ..ConnectAllow::default()
    };
    answer(&topology, Hook::Connect, change);
    let mut client = topology.try_connect(version, &Connect::new("client"));
    let connack = client.expect_connack(0);
    assert!(!String::from_utf8_lossy(connack.bytes()).contains("canary"));
    let id = client.publish(1, "t", "x");
    client.complete(1, id);
    client.send_raw(&[0x00, 0x00]);
    client.drain();
    topology.gate().ending_of("client");
    let log = topology.gate().log();
    assert!(!log.contains("canary-password"), "{log}");
    let session = topology.service().checks_of(Hook::Publish).remove(0);
    assert_eq!(session.session().client_id, "client");
});

// A yes that fits a question of another kind is none.
all_versions!(a_yes_of_another_kind_is_a_failure, |version| {
    let topology = all_but("");
    answer(&topology, Hook::Connect, Answer::Unset);
    topology
        .try_connect(version, &Connect::new("client"))
        .expect_refused(version.pick(0x03, 0x88));
});
