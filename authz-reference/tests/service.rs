//! The service over a real connection.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{fs, num::NonZeroUsize, time::Duration};

use support::*;
use tidegate_authz::config::ClientIds;
use tidegate_proto::v1::{
    AuthorizeConnectRequest, ConnectCheck, GetCapabilitiesRequest, PublishCheck, Session,
};
use tokio_stream::StreamExt;
use tonic::Request;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};

#[tokio::test]
async fn connects() {
    let running = Running::start().await;
    let cases = [
        (
            connect(Some("alice"), Some("alice-secret")),
            "allow password",
        ),
        (connect(Some("root"), Some("root-secret")), "allow password"),
        (
            connect(Some("alice"), Some("bob-secret")),
            "deny BadUserNameOrPassword unknown-user-or-password",
        ),
        (
            connect(Some("alice"), Some("")),
            "deny BadUserNameOrPassword unknown-user-or-password",
        ),
        (
            connect(Some("alice"), None),
            "deny BadUserNameOrPassword unknown-user-or-password",
        ),
        (
            connect(Some("nobody"), Some("alice-secret")),
            "deny BadUserNameOrPassword unknown-user-or-password",
        ),
        (
            connect(Some(""), Some("x")),
            "deny BadUserNameOrPassword user-name",
        ),
        (
            connect(Some("#"), Some("x")),
            "deny BadUserNameOrPassword user-name",
        ),
        (
            connect(Some("alice/x"), Some("alice-secret")),
            "deny BadUserNameOrPassword user-name",
        ),
        (
            connect(Some("$SYS"), Some("x")),
            "deny BadUserNameOrPassword user-name",
        ),
        (
            connect(Some("anonymous"), Some("x")),
            "deny BadUserNameOrPassword user-name",
        ),
        (connect(None, None), "deny NotAuthorized anonymous"),
        (
            connect(None, Some("x")),
            "deny BadUserNameOrPassword unknown-user-or-password",
        ),
        (
            ConnectCheck {
                auth_method: Some("SCRAM-SHA-256".to_owned()),
                ..connect(Some("alice"), Some("alice-secret"))
            },
            "deny BadAuthenticationMethod auth-method",
        ),
        (
            ConnectCheck {
                session: Some(Session {
                    client_id: String::new(),
                    ..session("s1", Some("alice"))
                }),
                ..connect(Some("alice"), Some("alice-secret"))
            },
            "deny ClientIdentifierNotValid client-id",
        ),
        (
            ConnectCheck::default(),
            "failure InvalidCheck invalid-check",
        ),
        (
            ConnectCheck {
                session: Some(session("", Some("alice"))),
                ..ConnectCheck::default()
            },
            "failure InvalidCheck invalid-check",
        ),
    ];
    // One batch: every check has its own answer.
    let (checks, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let results = connect_all(&mut running.client().await, checks).await;
    let summaries: Vec<_> = results
        .iter()
        .map(|result| summary!(result, connect_result))
        .collect();
    assert_eq!(summaries, expected);

    let allow = allowed(&results[0]);
    assert_eq!(allow.principal, "alice");
    assert_eq!(allow.broker_client_id.as_deref(), Some("alice/c1"));
    assert!((1..=1024).contains(&allow.session_state.len()));
    assert_eq!(
        results[2].decision, results[5].decision,
        "an unknown user looks like a wrong password"
    );
}

#[tokio::test]
async fn passwords_are_bytes() {
    let running = Running::start().await;
    let check = ConnectCheck {
        password: Some(b"\xff\x00\xfe"[..].into()),
        ..connect(Some("alice"), None)
    };
    let results = connect_all(&mut running.client().await, vec![check]).await;
    assert_eq!(
        summary!(results[0], connect_result),
        "deny BadUserNameOrPassword unknown-user-or-password"
    );
}

#[tokio::test]
async fn publishes() {
    let running = Running::start().await;
    let mut client = running.client().await;
    let alice = logged_in(&mut client, "alice").await;
    let root = logged_in(&mut client, "root").await;

    let mut altered = alice.session_state.to_vec();
    altered[1] = 1; // the superuser flag
    let altered = Session {
        session_state: altered.into(),
        ..alice.clone()
    };
    let foreign = Session {
        session_id: "s2".to_owned(),
        ..alice.clone()
    };
    let stateless = Session {
        session_state: bytes::Bytes::new(),
        ..alice.clone()
    };
    let claiming = Session {
        principal: "bob".to_owned(),
        username: Some("bob".to_owned()),
        ..alice.clone()
    };
    let answering = |topic: &str| PublishCheck {
        response_topic: topic.to_owned(),
        ..publish(&alice, "alice/x")
    };
    let cases = [
        (publish(&alice, "alice/x"), "allow own-prefix"),
        (publish(&alice, "bob/x"), "deny NotAuthorized own-prefix"),
        (publish(&alice, "alice2/x"), "deny NotAuthorized own-prefix"),
        (publish(&alice, "$SYS/x"), "deny NotAuthorized dollar-topic"),
        (publish(&claiming, "bob/x"), "deny NotAuthorized own-prefix"),
        (answering("alice/answers"), "allow own-prefix"),
        (answering("bob/door"), "deny NotAuthorized response-topic"),
        (answering("alice/#"), "failure InvalidCheck invalid-check"),
        (publish(&root, "bob/x"), "allow superuser"),
        (
            publish(&root, "bob/#"),
            "failure InvalidCheck invalid-check",
        ),
        (publish(&alice, ""), "failure InvalidCheck invalid-check"),
        (
            publish(&altered, "alice/x"),
            "failure SessionStateInvalid session-state-invalid",
        ),
        (
            publish(&foreign, "alice/x"),
            "failure SessionStateInvalid session-state-invalid",
        ),
        (
            publish(&stateless, "alice/x"),
            "failure SessionStateInvalid session-state-invalid",
        ),
        (
            PublishCheck::default(),
            "failure InvalidCheck invalid-check",
        ),
    ];
    let (checks, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let results = publish_all(&mut client, checks).await;
    let summaries: Vec<_> = results
        .iter()
        .map(|result| summary!(result, publish_result))
        .collect();
    assert_eq!(summaries, expected);
}

#[tokio::test]
async fn subscribes() {
    let running = Running::start().await;
    let mut client = running.client().await;
    let alice = logged_in(&mut client, "alice").await;
    let root = logged_in(&mut client, "root").await;
    let foreign = Session {
        session_id: "s2".to_owned(),
        ..alice.clone()
    };
    let cases = [
        (subscribe(&alice, "alice/#"), "allow own-prefix"),
        (subscribe(&alice, "bob/#"), "deny NotAuthorized own-prefix"),
        (subscribe(&alice, "+/x"), "deny NotAuthorized own-prefix"),
        (
            subscribe(&alice, "$share/g/alice/#"),
            "deny NotAuthorized dollar-topic",
        ),
        (
            subscribe(&alice, "alice/#/x"),
            "failure InvalidCheck invalid-check",
        ),
        (subscribe(&root, "#"), "allow superuser"),
        (
            subscribe(&foreign, "alice/#"),
            "failure SessionStateInvalid session-state-invalid",
        ),
    ];
    let (checks, expected): (Vec<_>, Vec<_>) = cases.into_iter().unzip();
    let results = subscribe_all(&mut client, checks).await;
    let summaries: Vec<_> = results
        .iter()
        .map(|result| summary!(result, subscribe_result))
        .collect();
    assert_eq!(summaries, expected);
}

#[tokio::test]
async fn admits_anonymous_clients_when_told_to() {
    let running = Running::with(|config| config.policy.anonymous = true).await;
    let mut client = running.client().await;
    let checks = vec![
        connect(None, None),
        connect(None, Some("x")),
        connect(Some(""), None),
    ];
    let results = connect_all(&mut client, checks).await;
    assert_eq!(summary!(results[0], connect_result), "allow anonymous");
    assert!(summary!(results[1], connect_result).starts_with("deny "));
    assert!(summary!(results[2], connect_result).starts_with("deny "));

    let allow = allowed(&results[0]);
    assert_eq!(allow.principal, "anonymous");
    assert_eq!(allow.broker_client_id.as_deref(), Some("anonymous/c1"));
    let session = Session {
        session_state: allow.session_state,
        ..session("s1", None)
    };
    let checks = vec![
        publish(&session, "anonymous/x"),
        publish(&session, "alice/x"),
    ];
    let results = publish_all(&mut client, checks).await;
    assert_eq!(summary!(results[0], publish_result), "allow own-prefix");
    assert_eq!(
        summary!(results[1], publish_result),
        "deny NotAuthorized own-prefix"
    );
}

#[tokio::test]
async fn leaves_client_ids_alone_when_told_to() {
    let running = Running::with(|config| config.policy.client_ids = ClientIds::Off).await;
    let checks = vec![connect(Some("alice"), Some("alice-secret"))];
    let results = connect_all(&mut running.client().await, checks).await;
    assert_eq!(allowed(&results[0]).broker_client_id, None);
}

#[tokio::test]
async fn says_busy_and_never_no_when_there_is_too_much_to_hash() {
    let running = Running::with(|config| {
        config.hashing.workers = NonZeroUsize::new(1);
        config.hashing.queue = Some(1);
        config.hashing.cache_ttl = Duration::ZERO; // or all would share one check
    })
    .await;
    let checks = vec![connect(Some("alice"), Some("alice-secret")); 32];
    let results = connect_all(&mut running.client().await, checks).await;
    let summaries: Vec<_> = results
        .iter()
        .map(|result| summary!(result, connect_result))
        .collect();
    let count = |what| summaries.iter().filter(|summary| **summary == what).count();
    let (allowed, busy) = (
        count("allow password"),
        count("failure Overloaded overloaded"),
    );
    assert!(allowed >= 1 && busy >= 1, "{summaries:?}");
    assert_eq!(allowed + busy, 32, "{summaries:?}");
}

#[tokio::test]
async fn says_busy_when_the_deadline_of_the_call_comes_first() {
    // Parameters that take far longer than the deadline; the hash itself is nobody's.
    let slow = "$argon2id$v=19$m=65536,t=20,p=1$c2FsdHNhbHRzYWx0$AAAAAAAAAAAAAAAAAAAAAA";
    let running = Running::with(|config| {
        let text = format!("[users.alice]\npassword = \"{slow}\"\n");
        fs::write(config.users.file(), text).unwrap();
    })
    .await;
    let mut request = Request::new(AuthorizeConnectRequest {
        checks: vec![
            connect(Some("alice"), Some("x")),
            connect(Some("#"), Some("x")),
        ],
        data_plane: None,
    });
    request.set_timeout(Duration::from_secs(1));
    let mut client = running.client().await;
    let response = client.authorize_connect(request).await.unwrap();
    let results = response.into_inner().results;
    assert_eq!(
        summary!(results[0], connect_result),
        "failure Overloaded overloaded"
    );
    assert!(summary!(results[1], connect_result).starts_with("deny "));
}

#[tokio::test]
async fn a_key_file_lets_sessions_survive_a_restart() {
    let keys = tempfile::tempdir().unwrap();
    let key_file = keys.path().join("session.key");
    fs::write(&key_file, "0123456789abcdef0123456789abcdef\n").unwrap();

    for (key_file, expected) in [
        (None, "failure SessionStateInvalid session-state-invalid"),
        (Some(key_file), "allow own-prefix"),
    ] {
        let before = Running::with(|config| config.session.key_file = key_file.clone()).await;
        let alice = logged_in(&mut before.client().await, "alice").await;
        let after = Running::with(|config| config.session.key_file = key_file).await;
        let checks = vec![publish(&alice, "alice/x")];
        let results = publish_all(&mut after.client().await, checks).await;
        assert_eq!(summary!(results[0], publish_result), expected);
    }
}

#[tokio::test]
async fn a_new_user_needs_no_restart() {
    let running = Running::start().await;
    let mut client = running.client().await;
    let carol = || vec![connect(Some("carol"), Some("carol-secret"))];
    let results = connect_all(&mut client, carol()).await;
    assert!(summary!(results[0], connect_result).starts_with("deny "));

    fs::write(running.users_file(), users(&["carol"])).unwrap();
    let admitted = async {
        while !summary!(connect_all(&mut client, carol()).await[0], connect_result)
            .starts_with("allow ")
        {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), admitted)
        .await
        .unwrap();
}

#[tokio::test]
async fn tells_its_capabilities() {
    let running = Running::start().await;
    let request = GetCapabilitiesRequest::default();
    let capabilities = running
        .client()
        .await
        .get_capabilities(request)
        .await
        .unwrap()
        .into_inner();
    assert!(capabilities.implementation.starts_with("tidegate-authz "));
    assert!(capabilities.max_batch_size > 0 && capabilities.max_request_bytes > 0);
}

#[tokio::test]
async fn reports_health_until_it_stops() {
    let running = Running::start().await;
    until_serving(running.channel().await).await;
    let mut health = HealthClient::new(running.channel().await);
    for service in ["", "tidegate.authz.v1.AuthorizationService"] {
        let request = HealthCheckRequest {
            service: service.to_owned(),
        };
        let response = health.check(request).await.unwrap().into_inner();
        assert_eq!(response.status(), ServingStatus::Serving, "{service:?}");
    }

    let mut watch = health
        .watch(HealthCheckRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        watch.next().await.unwrap().unwrap().status(),
        ServingStatus::Serving
    );
    running.stop.send(()).unwrap();
    assert_eq!(
        watch.next().await.unwrap().unwrap().status(),
        ServingStatus::NotServing
    );
    assert!(
        watch.next().await.is_none(),
        "or the server would wait for the watcher"
    );
    running.served.await.unwrap();
}

#[tokio::test]
async fn reflection_lists_the_services() {
    let running = Running::start().await;
    let mut reflection = ServerReflectionClient::new(running.channel().await);
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let responses = reflection
        .server_reflection_info(tokio_stream::once(request))
        .await
        .unwrap();
    let response = responses.into_inner().next().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = response.message_response else {
        panic!("no list: {response:?}");
    };
    let names: Vec<_> = list
        .service
        .into_iter()
        .map(|service| service.name)
        .collect();
    for name in [
        "tidegate.authz.v1.AuthorizationService",
        "grpc.health.v1.Health",
    ] {
        assert!(
            names.iter().any(|listed| listed == name),
            "{name} in {names:?}"
        );
    }
}
