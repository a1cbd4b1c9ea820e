//! A session state that is not exactly what the service sealed for this session opens nothing, at any replica.

use std::collections::BTreeMap;

use tidegate_proto::v1::{
    AuthorizeConnectRequest, AuthorizePublishRequest, AuthorizeSubscribeRequest, CheckMetadata,
    ConnectCheck, FailureCode, PublishCheck, PublishResult, Session, SubscribeCheck,
    SubscribeResult, authorization_service_client::AuthorizationServiceClient, connect_result,
    publish_result, subscribe_result,
};
use tidegate_tests::{background, gate::Settings, reference::password, wait::eventually};
use tonic::transport::Channel;

use super::scene::Scene;

const ALLOWED: &str = "allow";

#[test]
fn what_was_sealed_for_another_session_or_was_touched_opens_nothing() {
    let scene = Scene::replicated(&Settings::default());
    let mut replicas: Vec<_> = scene
        .replicas
        .iter()
        .map(|it| Asked::at(it.endpoint()))
        .collect();
    let alice = replicas[0].log_in("alice", "s1");
    let root = replicas[1].log_in("root", "s2");

    // The honest ones, at both replicas; they are kept opened by now.
    for replica in &mut replicas {
        assert_eq!(replica.ask(&alice, "alice/a"), [ALLOWED; 2]);
        assert_eq!(replica.ask(&root, "alice/a"), [ALLOWED; 2]);
        let others = replica.ask(&alice, "bob/a");
        assert!(
            others.iter().all(|said| said.starts_with("deny")),
            "{others:?}"
        );
    }

    let mut heard: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for some in attacks(&alice, &root).chunks(64) {
        let sessions: Vec<_> = some.iter().map(|(_, session)| session.clone()).collect();
        for replica in &mut replicas {
            let said = replica.ask_all(&sessions, "alice/a");
            for ((attack, session), said) in some.iter().zip(said) {
                for said in said {
                    assert_ne!(said, ALLOWED, "{attack}: {session:?}");
                    *heard.entry((attack, said)).or_default() += 1;
                }
            }
        }
    }
    for ((attack, said), times) in &heard {
        println!("{attack:<36} {times:>6} × {said}");
    }
    // A gate that is told "deny" would take it for a decision about the topic.
    let other = heard.keys().find(|(_, said)| !said.starts_with("failure"));
    assert_eq!(other, None);
}

/// A gate that lies about everything but the state gets what the state says, and no more.
#[test]
fn names_beside_the_state_do_not_count() {
    let scene = Scene::replicated(&Settings::default());
    let mut replica = Asked::at(scene.replicas[0].endpoint());
    let alice = replica.log_in("alice", "s1");
    let named_root = Session {
        username: Some("root".to_owned()),
        principal: "root".to_owned(),
        ..alice
    };
    for said in replica.ask(&named_root, "bob/a") {
        assert_ne!(said, ALLOWED);
    }
}

#[test]
fn the_state_of_who_is_gone_opens_nothing() {
    let scene = Scene::replicated(&Settings::default());
    let mut replicas: Vec<_> = scene
        .replicas
        .iter()
        .map(|it| Asked::at(it.endpoint()))
        .collect();
    let alice = replicas[0].log_in("alice", "s1");
    for replica in &mut replicas {
        assert_eq!(replica.ask(&alice, "alice/a"), [ALLOWED; 2]);
    }
    scene.user(&["rm", "alice"], "");
    for replica in &mut replicas {
        eventually("alice is gone", || {
            let said = replica.ask(&alice, "alice/a");
            said.iter().all(|said| said != ALLOWED).then_some(())
        });
    }
    // Somebody else by that name, with the same password even.
    scene.user(&["add", "alice"], &password("alice"));
    // Who logs in before all replicas have heard of it has to do so again.
    eventually("the new alice may, everywhere", || {
        let new = replicas[0].log_in("alice", "s3");
        let may = |replica: &mut Asked| replica.ask(&new, "alice/a") == [ALLOWED; 2];
        replicas.iter_mut().all(may).then_some(())
    });
    for replica in &mut replicas {
        for said in replica.ask(&alice, "alice/a") {
            assert_ne!(said, ALLOWED, "what was sealed for the first one");
        }
    }
}

/// What can be done with the states of two sessions.
fn attacks(alice: &Session, root: &Session) -> Vec<(&'static str, Session)> {
    let state = |bytes: Vec<u8>| Session {
        session_state: bytes.into(),
        ..alice.clone()
    };
    let sealed = alice.session_state.to_vec();
    let length = sealed.len();
    let mut attacks = Vec::new();
    for at in 0..length {
        attacks.push(("cut", state(sealed[..at].to_vec())));
        attacks.push(("cut at its beginning", state(sealed[at + 1..].to_vec())));
        for bit in 0..8 {
            let mut altered = sealed.clone();
            altered[at] ^= 1 << bit;
            attacks.push(("one bit altered", state(altered)));
        }
    }
    attacks.push(("a byte more", state([&sealed[..], &[0]].concat())));
    attacks.push(("twice", state([&sealed[..], &sealed[..]].concat())));
    let other = root.session_state.to_vec();
    for at in 1..length.min(other.len()) {
        let mixed = [&sealed[..at], &other[at..]].concat();
        attacks.push(("begun as hers, ended as another", state(mixed)));
    }
    attacks.push(("of another user", state(other)));
    let replayed = |session_id: &str, client_id: &str| Session {
        session_id: session_id.to_owned(),
        client_id: client_id.to_owned(),
        ..alice.clone()
    };
    attacks.push(("on another session", replayed("s2", "c1")));
    attacks.push(("on a session without id", replayed("", "c1")));
    attacks.push(("under another client id", replayed("s1", "c2")));
    attacks.push(("moved between id and client id", replayed("s", "1c1")));
    attacks
}

/// A replica that is asked as a gate asks it.
struct Asked(AuthorizationServiceClient<Channel>);

impl Asked {
    fn at(endpoint: String) -> Self {
        let channel = Channel::from_shared(endpoint).unwrap();
        let channel = background::block_on(async { channel.connect().await });
        Self(AuthorizationServiceClient::new(channel.unwrap()))
    }

    /// A session as a gate carries it after CONNECT.
    #[track_caller]
    fn log_in(&mut self, user: &str, session_id: &str) -> Session {
        let session = Session {
            session_id: session_id.to_owned(),
            client_id: "c1".to_owned(),
            username: Some(user.to_owned()),
            ..Session::default()
        };
        let request = AuthorizeConnectRequest {
            data_plane: None,
            checks: vec![ConnectCheck {
                metadata: Some(CheckMetadata::default()),
                session: Some(session.clone()),
                password: Some(password(user).into()),
                ..ConnectCheck::default()
            }],
        };
        let response = background::block_on(self.0.authorize_connect(request));
        let [result] = response.unwrap().into_inner().results.try_into().unwrap();
        match result.decision.unwrap() {
            connect_result::Decision::Allow(allow) => Session {
                principal: allow.principal,
                session_state: allow.session_state,
                ..session
            },
            other => panic!("{user} is not in: {other:?}"),
        }
    }

    /// What it says to a PUBLISH to a topic, and to a SUBSCRIBE.
    fn ask(&mut self, session: &Session, topic: &str) -> [String; 2] {
        let [said] = self
            .ask_all(std::slice::from_ref(session), topic)
            .try_into()
            .unwrap();
        said
    }

    /// The same of several sessions at once.
    fn ask_all(&mut self, sessions: &[Session], topic: &str) -> Vec<[String; 2]> {
        let published = self.publish(sessions, topic);
        let subscribed = self.subscribe(sessions, topic);
        let ids = 0..u32::try_from(sessions.len()).unwrap();
        ids.map(|id| [published[&id].clone(), subscribed[&id].clone()])
            .collect()
    }

    fn publish(&mut self, sessions: &[Session], topic: &str) -> BTreeMap<u32, String> {
        let check = |(metadata, session): (CheckMetadata, &Session)| PublishCheck {
            metadata: Some(metadata),
            session: Some(session.clone()),
            topic: topic.to_owned(),
            ..PublishCheck::default()
        };
        let request = AuthorizePublishRequest {
            data_plane: None,
            checks: numbers().zip(sessions).map(check).collect(),
        };
        let response = background::block_on(self.0.authorize_publish(request));
        let said = |result: PublishResult| {
            let said = match result.decision.unwrap() {
                publish_result::Decision::Allow(_) => ALLOWED.to_owned(),
                publish_result::Decision::Deny(deny) => denied(&deny.reason_string),
                publish_result::Decision::Failure(failure) => failed(failure.code),
            };
            (result.metadata.unwrap().item_id, said)
        };
        let results = response.unwrap().into_inner().results;
        results.into_iter().map(said).collect()
    }

    fn subscribe(&mut self, sessions: &[Session], topic: &str) -> BTreeMap<u32, String> {
        let check = |(metadata, session): (CheckMetadata, &Session)| SubscribeCheck {
            metadata: Some(metadata),
            session: Some(session.clone()),
            topic_filter: topic.to_owned(),
            ..SubscribeCheck::default()
        };
        let request = AuthorizeSubscribeRequest {
            data_plane: None,
            checks: numbers().zip(sessions).map(check).collect(),
        };
        let response = background::block_on(self.0.authorize_subscribe(request));
        let said = |result: SubscribeResult| {
            let said = match result.decision.unwrap() {
                subscribe_result::Decision::Allow(_) => ALLOWED.to_owned(),
                subscribe_result::Decision::Deny(deny) => denied(&deny.reason_string),
                subscribe_result::Decision::Failure(failure) => failed(failure.code),
            };
            (result.metadata.unwrap().item_id, said)
        };
        let results = response.unwrap().into_inner().results;
        results.into_iter().map(said).collect()
    }
}

fn numbers() -> impl Iterator<Item = CheckMetadata> {
    (0..).map(|item_id| CheckMetadata {
        item_id,
        ..CheckMetadata::default()
    })
}

fn denied(reason: &str) -> String {
    format!("deny: {reason}")
}

fn failed(code: i32) -> String {
    format!("failure: {:?}", FailureCode::try_from(code).unwrap())
}
