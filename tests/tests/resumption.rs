//! Sessions that the broker kept: their subscriptions deliver without being asked about again, so
//! who comes back to one is a question of its own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use tidegate_proto::v1::ReasonCode;
use tidegate_tests::{
    Answer, Check, Client, Connect, Topology, Version, all_versions,
    packet::{Connack, property},
    reference::password,
    service::Hook,
    topology::{Plan, login, unique},
};

/// Where a session would be resumed: MQTT 3.1 can't say that it was.
fn expect_session(client: &mut Client, kept: bool) {
    let present = client.expect_connack(0).session_present();
    assert_eq!(present, kept && client.version() != Version::V31);
}

/// A service that tells users apart by nothing but what the check says: who comes back to a session
/// that belongs to somebody else is denied.
fn sessions_belong_to_users(check: &Check) -> Answer {
    let Check::Connect(connect) = check else {
        return Answer::Allow;
    };
    let session = connect.session.as_ref().expect("a session");
    let owns = session.client_id.starts_with(session.username());
    match connect.clean_start || owns {
        true => Answer::Allow,
        false => Answer::deny(ReasonCode::ClientIdentifierNotValid),
    }
}

all_versions!(the_service_knows_who_wants_to_come_back, |version| {
    let topology = Topology::scripted().start();
    for connect in [
        Connect::new("device"),
        Connect::new("device").unclean(),
        Connect::new("device").resume(),
    ] {
        let _client = topology.join(version, &connect);
    }
    let checks = topology.service().checks_of(Hook::Connect);
    let clean: Vec<_> = checks
        .iter()
        .map(|check| check.connect().clean_start)
        .collect();
    assert_eq!(clean, [true, false, false]);
    for check in &checks {
        assert_eq!(check.session().client_id, "device");
        assert!(!check.connect().client_id_assigned);
    }
    let expiries: Vec<_> = checks
        .iter()
        .map(|check| check.connect().session_expiry_seconds)
        .collect();
    assert_eq!(expiries, [None, None, version.pick(None, Some(3600))]);
});

#[test]
fn the_service_knows_which_client_id_was_assigned() {
    let topology = Topology::scripted().start();
    for version in [Version::V311, Version::V5] {
        let _client = topology.join(version, &Connect::new(""));
    }
    let checks = topology.service().checks_of(Hook::Connect);
    for (index, check) in checks.iter().enumerate() {
        assert!(check.connect().client_id_assigned);
        let assigned = &check.session().client_id;
        assert!(!assigned.is_empty());
        let seen = topology.recorder().connection(index).remove(0);
        assert_eq!(
            seen.client_id(),
            *assigned,
            "what was decided about is what the broker hears"
        );
    }
    assert_ne!(checks[0].session().client_id, checks[1].session().client_id);
}

// A service can let users come back to their own sessions only.
all_versions!(somebody_elses_session_can_be_refused, |version| {
    let topology = Topology::scripted().mosquitto(&[]).start();
    topology.service().answer(sessions_belong_to_users);
    let connect = Connect::new("alice-device").unclean();
    let owner = connect.clone().username("alice").resume();
    let mut alice = topology.join(version, &owner);
    let id = alice.subscribe(&["secrets"]);
    alice.expect_suback(id, &[2]);
    alice.leave();
    let mut sender = topology.join(version, &Connect::new("sender"));
    let id = sender.publish(1, "secrets", "for alice");
    sender.complete(1, id);

    let mallory = connect.username("mallory").resume();
    topology
        .try_connect(version, &mallory)
        .expect_refused(version.pick(0x02, 0x85));
    let mut alice = topology.try_connect(version, &owner);
    expect_session(&mut alice, true);
    alice.expect_publish("secrets", "for alice");
});

// The reference keeps users apart by the client ids that the broker sees.
all_versions!(two_users_with_one_client_id_have_two_sessions, |version| {
    let topology = Topology::shared();
    let (client_id, topic) = (unique("device"), unique("alice/secret"));
    let connect = |user: &str| {
        Connect::new(&client_id)
            .login(user, password(user))
            .resume()
    };
    let mut alice = topology.try_connect(version, &connect("alice"));
    expect_session(&mut alice, false);
    let id = alice.subscribe(&[&topic]);
    alice.expect_suback(id, &[2]);
    alice.leave();
    let mut sender = topology.join(version, &login("alice"));
    let id = sender.publish(1, &topic, "for alice");
    sender.complete(1, id);

    // Neither by coming back nor by being there at the same time.
    let mut bob = topology.try_connect(version, &connect("bob"));
    expect_session(&mut bob, false);
    bob.expect_nothing_before_pong();
    let mut alice = topology.try_connect(version, &connect("alice"));
    expect_session(&mut alice, true);
    alice.expect_publish(&topic, "for alice");
    bob.expect_nothing_before_pong();
    bob.leave();
    alice.expect_nothing_before_pong();
    let mut bob = topology.try_connect(version, &connect("bob"));
    expect_session(&mut bob, true);
});

/// Every session begins anew.
fn force_clean(plan: Plan) -> Plan {
    plan.set("listeners.0.resume", "force_clean")
}

all_versions!(sessions_can_be_made_to_begin_anew, |version| {
    let topology = force_clean(Topology::scripted()).start();
    for connect in [Connect::new("device"), Connect::new("device").resume()] {
        let _client = topology.join(version, &connect);
    }
    let seen: Vec<_> = (0..2)
        .map(|index| topology.recorder().connection(index).remove(0))
        .collect();
    assert!(seen.iter().all(|connect| connect.clean_start()));
    // The service hears what the client asked for.
    let checks = topology.service().checks_of(Hook::Connect);
    let clean: Vec<_> = checks
        .iter()
        .map(|check| check.connect().clean_start)
        .collect();
    assert_eq!(clean, [true, false]);
});

// What the broker had for the session is lost: that is the price.
all_versions!(a_session_that_begins_anew_has_lost_what_waited, |version| {
    let topology = force_clean(Topology::scripted().mosquitto(&[])).start();
    let connect = Connect::new("device").resume();
    let mut client = topology.join_directly(version, &connect);
    let id = client.subscribe(&["t"]);
    client.expect_suback(id, &[2]);
    client.leave();
    let mut sender = topology.join(version, &Connect::new("sender"));
    let id = sender.publish(1, "t", "waits");
    sender.complete(1, id);

    let mut client = topology.try_connect(version, &connect);
    expect_session(&mut client, false);
    client.expect_nothing_before_pong();
    let id = sender.publish(1, "t", "is not subscribed");
    sender.complete(1, id);
    client.expect_nothing_before_pong();
});

// Only a broker that does not listen says that there is a session after Clean Start [MQTT-3.2.2-2].
// Such a session must not deliver.
#[test]
fn a_session_that_nobody_asked_for_is_the_brokers_fault() {
    for plan in [Topology::scripted(), force_clean(Topology::scripted())] {
        let topology = plan.start();
        topology
            .recorder()
            .accept_with(Connack::new().session_present());
        for version in [Version::V311, Version::V5] {
            topology
                .try_connect(version, &Connect::new("device"))
                .expect_refused(version.pick(0x03, 0x88));
        }
    }
}

// The session belongs to the pair of user and client id that the service allowed; on MQTT 5 the
// client hears of its own id only.
#[test]
fn the_brokers_name_for_a_client_is_not_told() {
    let topology = Topology::scripted().start();
    topology
        .service()
        .answer_hook(Hook::Connect, |_| Answer::AllowAs("inner/device".into()));
    let connack = Connack::new().property(property::text(
        property::ASSIGNED_CLIENT_IDENTIFIER,
        "inner/device",
    ));
    topology.recorder().accept_with(connack);
    let mut client = topology.try_connect(Version::V5, &Connect::new("device"));
    let connack = client.expect_connack(0);
    assert_eq!(connack.property(property::ASSIGNED_CLIENT_IDENTIFIER), None);
    let mut client = topology.try_connect(Version::V5, &Connect::new(""));
    let told = client
        .expect_connack(0)
        .property(property::ASSIGNED_CLIENT_IDENTIFIER)
        .expect("a client id");
    let asked = topology.service().checks_of(Hook::Connect).remove(1);
    assert_eq!(told, asked.session().client_id.as_bytes());
}
