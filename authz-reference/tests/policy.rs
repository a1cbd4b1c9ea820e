//! The policy through the service: prefixes, grants and roles, client ids, and what the session state carries.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{fs, path::PathBuf, time::SystemTime};

use support::*;
use tidegate_authz::{
    access::{Access, RoleName, TopicTemplate},
    config::{ClientIds, Config, RoleConfig},
    policy::rules::Prefix,
};
use tidegate_proto::v1::{
    PublishCheck, PublishOrigin, Session, SubscribeCheck, connect_result::Decision as Connect,
    subscribe_result::Decision,
};

fn grant(topic: &str, publish: bool, subscribe: bool, retain: bool, qos: u8) -> Access {
    Access {
        topic: TopicTemplate::new(topic).unwrap(),
        publish,
        subscribe,
        retain,
        qos,
    }
}

/// Carol with a role and a grant of her own.
fn with_grants(config: &mut Config) {
    let text = users(&["alice", "carol"])
        + "roles = [\"ops\"]\ngrants = [{ topic = \"news/#\", subscribe = true, qos = 1 }]\n";
    fs::write(config.users.file(), text).unwrap();
    let grants = vec![grant("cmd/{username}/{client_id}/#", true, false, false, 1)];
    let ops = RoleName::new("ops").unwrap();
    config.roles.insert(ops, RoleConfig { grants });
}

#[tokio::test]
async fn grants_of_the_user_and_of_roles() {
    let running = Running::with(with_grants).await;
    let mut client = running.client().await;
    let alice = logged_in(&mut client, "alice").await;
    let carol = logged_in(&mut client, "carol").await;
    let with = |qos, retain, origin: PublishOrigin| PublishCheck {
        qos,
        retain,
        origin: origin.into(),
        ..publish(&carol, "cmd/carol/c1/x")
    };
    let cases = [
        (publish(&carol, "carol/x"), "allow own-prefix"),
        (publish(&carol, "cmd/carol/c1/x"), "allow grant:role:ops"),
        (
            publish(&carol, "cmd/carol/c2/x"),
            "deny NotAuthorized own-prefix",
        ),
        (
            publish(&alice, "cmd/carol/c1/x"),
            "deny NotAuthorized own-prefix",
        ),
        (publish(&carol, "news/x"), "deny NotAuthorized own-prefix"),
        (
            with(2, false, PublishOrigin::Client),
            "deny NotAuthorized grant-qos",
        ),
        (
            with(0, true, PublishOrigin::Client),
            "deny NotAuthorized grant-retain",
        ),
        (
            with(2, false, PublishOrigin::Will),
            "deny QosNotSupported grant-qos",
        ),
        (
            with(0, true, PublishOrigin::Will),
            "deny RetainNotSupported grant-retain",
        ),
        (
            with(3, false, PublishOrigin::Client),
            "failure InvalidCheck invalid-check",
        ),
    ];
    let (checks, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let results = publish_all(&mut client, checks).await;
    let said: Vec<_> = results
        .iter()
        .map(|result| summary!(result, publish_result))
        .collect();
    assert_eq!(said, expected);
}

#[tokio::test]
async fn a_subscription_is_granted_with_the_qos_that_is() {
    let running = Running::with(with_grants).await;
    let mut client = running.client().await;
    let carol = logged_in(&mut client, "carol").await;
    let with = |filter, qos| SubscribeCheck {
        qos,
        ..subscribe(&carol, filter)
    };
    let checks = vec![with("news/#", 2), with("news/#", 1), with("carol/#", 2)];
    let results = subscribe_all(&mut client, checks).await;
    let max_qos = results.iter().map(|result| match &result.decision {
        Some(Decision::Allow(allow)) => allow.max_qos,
        other => panic!("not allowed: {other:?}"),
    });
    assert_eq!(max_qos.collect::<Vec<_>>(), [Some(1), None, None]);
}

#[tokio::test]
async fn a_state_is_good_for_one_client_id() {
    let running = Running::with(with_grants).await;
    let mut client = running.client().await;
    let carol = Session {
        client_id: "c2".to_owned(),
        ..logged_in(&mut client, "carol").await
    };
    let results = publish_all(&mut client, vec![publish(&carol, "cmd/carol/c2/x")]).await;
    assert_eq!(
        summary!(results[0], publish_result),
        "failure SessionStateInvalid session-state-invalid"
    );
}

#[tokio::test]
async fn too_many_grants_are_a_failure_with_advice() {
    let running = Running::with(|config| {
        let grants: String = (0..100)
            .map(|number| format!("{{ topic = \"some/topic/{number}/#\", publish = true }},"))
            .collect();
        let text = users(&["alice"]) + &format!("grants = [{grants}]\n");
        fs::write(config.users.file(), text).unwrap();
    })
    .await;
    let checks = vec![connect(Some("alice"), Some("alice-secret"))];
    let results = connect_all(&mut running.client().await, checks).await;
    assert_eq!(
        summary!(results[0], connect_result),
        "failure Internal session-state-too-large"
    );
    match results[0].decision.as_ref().unwrap() {
        Connect::Failure(failure) => assert!(failure.message.contains("roles")),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn client_ids_may_have_to_be_the_users_own() {
    let running = Running::with(|config| config.policy.client_ids = ClientIds::Bound).await;
    let with = |client_id: &str| {
        let mut check = connect(Some("alice"), Some("alice-secret"));
        check.session.as_mut().unwrap().client_id = client_id.to_owned();
        check
    };
    let checks = vec![with("alice"), with("alice/1"), with("c1"), with("")];
    let results = connect_all(&mut running.client().await, checks).await;
    let said: Vec<_> = results
        .iter()
        .map(|result| summary!(result, connect_result))
        .collect();
    let refused = "deny ClientIdentifierNotValid client-id";
    assert_eq!(said, ["allow password", "allow password", refused, refused]);
    assert_eq!(allowed(&results[0]).broker_client_id, None);
}

#[tokio::test]
async fn the_prefix_can_be_another() {
    let running = Running::with(|config| {
        config.policy.prefix = Prefix::new("t/{username}/#").unwrap();
    })
    .await;
    let mut client = running.client().await;
    let alice = logged_in(&mut client, "alice").await;
    let checks = vec![publish(&alice, "t/alice/x"), publish(&alice, "alice/x")];
    let results = publish_all(&mut client, checks).await;
    assert_eq!(summary!(results[0], publish_result), "allow own-prefix");
    assert!(summary!(results[1], publish_result).starts_with("deny "));
}

#[tokio::test]
async fn a_session_ends_before_its_state_is_too_old() {
    let running = Running::start().await;
    let checks = vec![connect(Some("alice"), Some("alice-secret"))];
    let results = connect_all(&mut running.client().await, checks).await;
    let ends: SystemTime = allowed(&results[0]).expires_at.unwrap().try_into().unwrap();
    let left = ends.duration_since(SystemTime::now()).unwrap();
    let max_age = Config::default().session.max_age;
    assert!(left <= max_age && left > max_age * 8 / 10, "{left:?}");
}

#[tokio::test]
async fn keys_can_be_rotated() {
    let keys = tempfile::tempdir().unwrap();
    let key = |name: &str| -> PathBuf {
        let path = keys.path().join(name);
        fs::write(&path, format!("{name}-0123456789abcdef0123456789abcdef\n")).unwrap();
        path
    };
    let with = async |names: &[&str]| {
        let files = names.iter().map(|name| key(name)).collect();
        Running::with(|config| config.session.key_files = files).await
    };
    let old = with(&["old"]).await;
    let alice = logged_in(&mut old.client().await, "alice").await;
    for (names, expected) in [
        (&["old", "new"][..], "allow own-prefix"),
        (&["new", "old"], "allow own-prefix"),
        (
            &["new"],
            "failure SessionStateInvalid session-state-invalid",
        ),
    ] {
        let replica = with(names).await;
        let checks = vec![publish(&alice, "alice/x")];
        let results = publish_all(&mut replica.client().await, checks).await;
        assert_eq!(summary!(results[0], publish_result), expected, "{names:?}");
    }
}
