//! Users about whose topics somebody else decides.

use std::{sync::Arc, time::Duration};

use tidegate_proto::v1::{PublishCheck, SubscribeCheck, connect_result, publish_result};

use super::*;
use crate::{
    hashing::{HashingLimits, HashingPool},
    identity::UserName,
    login::Believed,
    session_state::Keys,
    users::{
        Account,
        source::{Found, Login, SourceError, UserSource, Verified},
    },
};

/// Knows everybody, and decides about their topics: `yes…` is permitted, `down…` can't be said.
#[derive(Debug)]
struct Gateway;

#[tonic::async_trait]
impl UserSource for Gateway {
    fn name(&self) -> &'static str {
        "http"
    }

    async fn find(&self, login: &Login<'_>, _: Deadline) -> Result<Found, SourceError> {
        let name = login.username.unwrap();
        Ok(Found::Verified(Verified {
            name: UserName::new(name).unwrap(),
            account: Account {
                superuser: name == "root",
                oracle: true,
                ..Account::default()
            },
            expires_at: None,
            rule: "go-auth",
        }))
    }
}

#[tonic::async_trait]
impl TopicOracle for Gateway {
    fn name(&self) -> &'static str {
        "aclcheck"
    }

    async fn ask(
        &self,
        question: TopicQuestion<'_>,
        _: Deadline,
    ) -> Result<TopicAnswer, SourceError> {
        assert_eq!(question.client_id, "c1");
        match question.topic {
            topic if topic.starts_with("yes") => Ok(TopicAnswer::Permitted),
            topic if topic.starts_with("down") => Err(SourceError::Busy("gateway")),
            _ => Ok(TopicAnswer::Refused),
        }
    }
}

fn service(oracle: Option<Arc<dyn TopicOracle>>) -> Service {
    let recent = Arc::new(Recent::new(Duration::from_secs(3_600), &[]));
    let believed = Believed::new(Duration::ZERO).unwrap();
    let limits = HashingLimits {
        workers: std::num::NonZeroUsize::MIN,
        queue: 1,
    };
    let sources: Vec<Box<dyn UserSource>> = vec![Box::new(Gateway)];
    let logins = Logins::new(sources, HashingPool::new(limits), believed);
    let keys = Keys::sealing_with(&[7; 32]).unwrap();
    let sealer = Sealer::new(keys, Duration::from_secs(3_600));
    let rules = Rules::new(&Default::default(), &Default::default());
    Service::new(rules, sealer, recent, logins, oracle, 1)
}

async fn session(service: &Service, user: &str) -> tidegate_proto::v1::Session {
    let mut session = tidegate_proto::v1::Session {
        session_id: "s1".to_owned(),
        client_id: "c1".to_owned(),
        username: Some(user.to_owned()),
        ..Default::default()
    };
    let check = ConnectCheck {
        session: Some(session.clone()),
        password: Some("secret".into()),
        ..ConnectCheck::default()
    };
    let request = AuthorizeConnectRequest {
        checks: vec![check],
        ..Default::default()
    };
    let answer = service.authorize_connect(Request::new(request)).await;
    let result = answer.unwrap().into_inner().results.remove(0);
    let Some(connect_result::Decision::Allow(allow)) = result.decision else {
        panic!("{result:?}");
    };
    session.session_state = allow.session_state;
    session.principal = allow.principal;
    session
}

/// What comes of publishing to each of these topics, in one call: the rule, with the kind of the answer before it.
async fn publish(service: &Service, user: &str, topics: &[(&str, &str)]) -> Vec<String> {
    let session = session(service, user).await;
    let check = |(item, (topic, response_topic)): (u32, &(&str, &str))| PublishCheck {
        metadata: Some(tidegate_proto::v1::CheckMetadata {
            item_id: item,
            ..Default::default()
        }),
        session: Some(session.clone()),
        topic: (*topic).to_owned(),
        response_topic: (*response_topic).to_owned(),
        ..PublishCheck::default()
    };
    let request = AuthorizePublishRequest {
        checks: (0..).zip(topics).map(check).collect(),
        ..Default::default()
    };
    let answer = service.authorize_publish(Request::new(request)).await;
    let mut results = answer.unwrap().into_inner().results;
    results.sort_by_key(|result| result.metadata.as_ref().map(|metadata| metadata.item_id));
    let told = |result: tidegate_proto::v1::PublishResult| {
        let kind = match result.decision {
            Some(publish_result::Decision::Allow(_)) => "allow",
            Some(publish_result::Decision::Deny(_)) => "deny",
            Some(publish_result::Decision::Failure(_)) | None => "failure",
        };
        format!("{kind} {}", result.metadata.unwrap().policy)
    };
    results.into_iter().map(told).collect()
}

#[tokio::test]
async fn who_is_asked_in_place_of_the_rules_decides() {
    let service = service(Some(Arc::new(Gateway)));
    let topics = [
        ("no/1", ""),
        ("yes/1", ""),
        // Their own prefix means nothing here.
        ("alice/1", ""),
        ("down/1", ""),
        ("yes/2", "yes/answers"),
        ("yes/3", "no/answers"),
        ("yes/+", ""),
    ];
    assert_eq!(
        publish(&service, "alice", &topics).await,
        [
            "deny aclcheck",
            "allow aclcheck",
            "deny aclcheck",
            "failure overloaded",
            "allow aclcheck",
            "deny response-topic",
            "failure invalid-check",
        ]
    );
    // Superusers are this service's own business.
    assert_eq!(
        publish(&service, "root", &[("no/1", "")]).await,
        ["allow superuser"]
    );
}

#[tokio::test]
async fn without_anybody_to_ask_it_is_a_failure() {
    let service = service(None);
    assert_eq!(
        publish(&service, "alice", &[("alice/1", "")]).await,
        ["failure users-unavailable"]
    );
}

#[tokio::test]
async fn filters_are_asked_about_too() {
    let service = service(Some(Arc::new(Gateway)));
    let session = session(&service, "alice").await;
    let check = |filter: &str| SubscribeCheck {
        session: Some(session.clone()),
        topic_filter: filter.to_owned(),
        ..SubscribeCheck::default()
    };
    let request = AuthorizeSubscribeRequest {
        checks: vec![check("yes/#"), check("alice/#")],
        ..Default::default()
    };
    let answer = service.authorize_subscribe(Request::new(request)).await;
    let results = answer.unwrap().into_inner().results;
    let allowed = |result: &tidegate_proto::v1::SubscribeResult| {
        use tidegate_proto::v1::subscribe_result::Decision;
        matches!(result.decision, Some(Decision::Allow(_)))
    };
    assert_eq!(
        results.iter().map(allowed).collect::<Vec<_>>(),
        [true, false]
    );
}
