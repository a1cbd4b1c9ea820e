use super::{
    super::http::{
        server::{HttpServer, Reply, Seen, reply},
        tests::short,
    },
    *,
};
use crate::{
    config::http::{HttpMode, Method},
    identity::UserName,
    password::Password,
};

/// A gateway in front of users who own what is below their name.
fn gateway(request: &Seen) -> Reply {
    let field = |name| request.field(name).as_str().unwrap_or_default().to_owned();
    let yes = match request.path.as_str() {
        "/getuser" => {
            assert_eq!(field("clientid"), "c1");
            field("password") == format!("{}-secret", field("username"))
        }
        "/superuser" => field("username") == "root",
        "/aclcheck" => {
            assert_eq!(field("clientid"), "c1");
            match field("topic").as_str() {
                "down" => return reply(503, ""),
                // The gateway that counts on being asked about each message, too.
                _ if request.field("acc") == 4 => true,
                topic => topic.starts_with(&format!("{}/", field("username"))),
            }
        }
        _ => false,
    };
    reply(if yes { 200 } else { 401 }, "")
}

async fn source(server: &HttpServer, adjust: impl FnOnce(&mut HttpConfig)) -> Gateway {
    let mut config = HttpConfig {
        url: server.url(),
        mode: HttpMode::GoAuth,
        ..HttpConfig::default()
    };
    config.go_auth.acl = true;
    adjust(&mut config);
    Gateway::new(&config).unwrap()
}

async fn log_in(source: &Gateway, name: &str, password: &str) -> String {
    let password = Password::new(password.as_bytes());
    let login = Login {
        username: Some(name),
        password: Some(&password),
        client_id: "c1",
        tls: None,
        listener: "tcp",
    };
    short(source.find(&login, Deadline::NONE).await)
}

async fn may(
    source: &Gateway,
    action: TopicAction,
    topic: &str,
) -> Result<TopicAnswer, SourceError> {
    let user = UserName::new("alice").unwrap();
    let question = TopicQuestion {
        user: &user,
        client_id: "c1",
        topic,
        action,
    };
    let oracle = source.topic_oracle().unwrap();
    oracle.ask(question, Deadline::NONE).await
}

#[tokio::test]
async fn log_in_and_superusers() {
    let server = HttpServer::start(gateway).await;
    let source = source(&server, |_| {}).await;
    for (name, password, expected) in [
        ("alice", "alice-secret", "alice by go-auth"),
        ("alice", "wrong", "refused unknown-user-or-password"),
        ("alice", "", "refused unknown-user-or-password"),
        ("nobody", "x", "refused unknown-user-or-password"),
        ("root", "root-secret", "root by go-auth superuser"),
        ("a/b", "a/b-secret", "refused user-name"),
    ] {
        assert_eq!(
            log_in(&source, name, password).await,
            expected,
            "{name} {password}"
        );
    }
}

#[tokio::test]
async fn topics() {
    let server = HttpServer::start(gateway).await;
    let source = source(&server, |_| {}).await;
    use TopicAction::{Publish, Subscribe};
    use TopicAnswer::{Permitted, Refused};
    for (action, topic, expected) in [
        (Publish, "alice/a", Permitted),
        (Publish, "bob/a", Refused),
        (Subscribe, "alice/#", Permitted),
        (Subscribe, "bob/a", Refused),
        (Subscribe, "#", Refused),
    ] {
        assert_eq!(
            may(&source, action, topic).await,
            Ok(expected),
            "{action:?} {topic}"
        );
    }
    let asked = |action, topic: &str| {
        let seen = server.seen();
        let these = seen.iter().filter(|seen| seen.field("topic") == topic);
        let accs: Vec<_> = these.map(|seen| seen.field("acc")).collect();
        (action, accs)
    };
    assert_eq!(asked(Publish, "alice/a").1, [2]);
    assert_eq!(asked(Subscribe, "alice/#").1, [4, 1]);
    for action in [Publish, Subscribe] {
        let failure = may(&source, action, "down").await;
        assert!(failure.is_err(), "{action:?} {failure:?}");
    }
}

#[tokio::test]
async fn what_is_asked_about_a_filter_can_be_chosen() {
    let server = HttpServer::start(gateway).await;
    let source = source(&server, |config| {
        config.go_auth.acl_subscribe = vec![FilterAccess::Subscribe];
    })
    .await;
    let answer = may(&source, TopicAction::Subscribe, "bob/#").await;
    assert_eq!(
        answer,
        Ok(TopicAnswer::Permitted),
        "what the plugin would have done"
    );
}

#[tokio::test]
async fn without_acl_the_topics_are_this_services() {
    let server = HttpServer::start(gateway).await;
    let source = source(&server, |config| config.go_auth.acl = false).await;
    assert!(source.topic_oracle().is_none());
    let password = Password::new(b"alice-secret");
    let login = Login {
        username: Some("alice"),
        password: Some(&password),
        client_id: "c1",
        tls: None,
        listener: "tcp",
    };
    let found = source.find(&login, Deadline::NONE).await.unwrap();
    let Found::Verified(verified) = found else {
        panic!("{found:?}");
    };
    assert!(!verified.account.oracle);
}

#[tokio::test]
async fn response_modes() {
    use ResponseMode::{Json, Status, Text};
    let no = "refused unknown-user-or-password";
    for (mode, status, body, expected) in [
        (Status, 200, "no", "a by go-auth"),
        (Status, 204, "", "a by go-auth"),
        (Status, 401, "", no),
        (Status, 403, "", no),
        (Status, 404, "ok", "failure answered 404"),
        (Status, 302, "", "failure answered 302"),
        (Status, 405, "", "failure answered 405"),
        (Status, 408, "", "failure answered 408"),
        (Status, 429, "", "failure http is busy"),
        (Status, 500, "", "failure answered 500"),
        (Text, 200, "ok", "a by go-auth"),
        (Text, 200, "ok\n", "a by go-auth"),
        (Text, 200, "not ok", no),
        (Text, 200, "OK", no),
        (Text, 400, "ok", no),
        (Json, 200, r#"{"ok": true, "error": ""}"#, "a by go-auth"),
        (Json, 200, r#"{"ok": false, "error": "x"}"#, no),
        (Json, 200, r#"{"error": "x"}"#, no),
        (
            Json,
            200,
            "ok",
            "failure the answer is not {\"ok\": true or false}",
        ),
        (
            Json,
            200,
            r#"{"ok": "true"}"#,
            "failure the answer is not {\"ok\": true or false}",
        ),
        (Json, 500, r#"{"ok": true}"#, "failure answered 500"),
    ] {
        let server = HttpServer::start(move |_| reply(status, body)).await;
        let source = source(&server, |config| {
            config.go_auth.response = mode;
            config.go_auth.superuser_path.clear();
        })
        .await;
        assert_eq!(
            log_in(&source, "a", "b").await,
            expected,
            "{mode:?} {status} {body}"
        );
    }
}

#[tokio::test]
async fn forms_and_methods() {
    let server = HttpServer::start(|_| reply(200, "")).await;
    let source = source(&server, |config| {
        config.body = BodyFormat::Form;
        config.go_auth.method = Method::Put;
    })
    .await;
    assert_eq!(
        log_in(&source, "alice", "a b").await,
        "alice by go-auth superuser"
    );
    let answer = may(&source, TopicAction::Publish, "alice/+").await;
    assert_eq!(answer, Ok(TopicAnswer::Permitted));
    let seen = server.seen();
    assert!(seen.iter().all(|seen| seen.method == "PUT"));
    let bodies: Vec<_> = seen.iter().map(|seen| seen.body.as_str()).collect();
    assert_eq!(
        bodies,
        [
            "clientid=c1&password=a+b&username=alice",
            "username=alice",
            "acc=2&clientid=c1&topic=alice%2F%2B&username=alice",
        ]
    );
}

#[tokio::test]
async fn questions_about_topics_wait_and_take_no_place_of_who_logs_in() {
    let server = HttpServer::start(|request| match request.path.as_str() {
        "/aclcheck" if request.field("topic") == "alice/slow" => Reply {
            delay: Some(std::time::Duration::from_secs(3_600)),
            ..reply(200, "")
        },
        _ => gateway(request),
    })
    .await;
    let source = source(&server, |config| {
        config.max_concurrent = std::num::NonZeroUsize::MIN;
        config.queue = 0;
        config.timeout = std::time::Duration::from_secs(3_600);
    })
    .await;
    let slow = {
        let source = source.clone();
        tokio::spawn(async move { may(&source, TopicAction::Publish, "alice/slow").await })
    };
    while server.seen().is_empty() {
        tokio::task::yield_now().await;
    }
    assert_eq!(
        log_in(&source, "alice", "alice-secret").await,
        "alice by go-auth"
    );
    let wait = may(&source, TopicAction::Publish, "alice/x");
    let let_go = async {
        tokio::task::yield_now().await;
        slow.abort();
    };
    let (answer, ()) = tokio::join!(biased; wait, let_go);
    assert_eq!(answer, Ok(TopicAnswer::Permitted), "not told to be busy");
}
