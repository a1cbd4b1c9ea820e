//! What a directive does to those it is about, and to nobody else.

use tidegate_proto::v1::{
    ReasonCode, TerminateSessions, WatchDirectivesResponse, session_selector::Selector,
    watch_directives_response::Directive,
};
use tidegate_tests::{
    Answer, Client, Connect, Hold, Topology, Version, both_versions,
    packet::Kind,
    service::{Change, Hook, choosing, directive},
};

use super::{recheck, terminate, watched};
use tidegate_proto::v1::ConnectAllow;

/// Every client becomes a principal of its own.
fn named(topology: &Topology) {
    topology.service().answer_hook(Hook::Connect, |check| {
        let client_id = &check.session().client_id;
        Answer::Change(Change::Connect(Box::new(ConnectAllow {
            principal: format!("principal of {client_id}"),
            ..ConnectAllow::default()
        })))
    });
}

fn join(topology: &Topology, version: Version, client_id: &str) -> Client {
    let connect = Connect::new(client_id).login(&format!("user of {client_id}"), "secret");
    topology.join(version, &connect)
}

both_versions!(each_selector_ends_whom_it_is_about, |version| {
    let topology = watched();
    named(&topology);
    let mut bystander = join(&topology, version, "bystander");
    let selectors: [fn(String) -> Selector; 4] = [
        Selector::SessionId,
        Selector::ClientId,
        Selector::Username,
        Selector::Principal,
    ];
    for (index, selector) in selectors.into_iter().enumerate() {
        let mut alice = join(&topology, version, "alice");
        let checks = topology.service().checks_of(Hook::Connect);
        let session_id = &checks.last().unwrap().session().session_id;
        let name = match index {
            0 => session_id.clone(),
            1 => "alice".to_owned(),
            2 => "user of alice".to_owned(),
            _ => "principal of alice".to_owned(),
        };
        topology
            .service()
            .push(&terminate("1", choosing(selector(name))));
        alice.expect_end(0x98);
        bystander.expect_nothing_before_pong();
    }
    topology
        .service()
        .push(&terminate("2", choosing(Selector::SelectAll(true))));
    bystander.expect_end(0x98);
});

#[test]
fn the_client_hears_the_code_and_the_text_of_the_service() {
    let topology = watched();
    let mut alice = join(&topology, Version::V5, "alice");
    let end = TerminateSessions {
        sessions: choosing(Selector::ClientId("alice".into())),
        reason_code: ReasonCode::NotAuthorized.into(),
        reason_string: "you were sold".into(),
    };
    let end = directive("1", Directive::Terminate(end));
    topology.service().push(&end);
    let packet = alice.expect(Kind::Disconnect);
    assert_eq!(packet.codes(), [0x87]);
    let text = format!("{packet:?}");
    assert!(
        text.contains("you were sold") || packet.bytes().windows(13).any(|w| w == b"you were sold"),
        "{text}"
    );
    alice.expect_closed();
}

both_versions!(what_is_no_longer_allowed_is_left_at_the_broker, |version| {
    let topology = watched();
    let mut alice = join(&topology, version, "alice");
    let id = alice.subscribe(&["news", "secrets"]);
    alice.expect_suback(id, &[2, 2]);
    topology
        .service()
        .answer_hook(Hook::Subscribe, |check| match check.topic() == "secrets" {
            true => Answer::deny(ReasonCode::NotAuthorized),
            false => Answer::Allow,
        });
    let about = Selector::ClientId("alice".into());
    topology.service().push(&recheck("1", about));
    let left = topology.recorder().wait_for(Kind::Unsubscribe, 1);
    assert_eq!(left[0].filters(), ["secrets"]);
    alice.expect_nothing_before_pong();
    assert_eq!(topology.recorder().packets(Kind::Unsubscribe).len(), 1);
});

both_versions!(what_is_not_known_is_everything, |version| {
    let topology = watched();
    let mut alice = join(&topology, version, "alice");
    let id = alice.subscribe(&["secrets"]);
    alice.expect_suback(id, &[2]);
    topology
        .service()
        .answer_hook(Hook::Subscribe, |_| Answer::deny(ReasonCode::NotAuthorized));
    topology.service().push(&WatchDirectivesResponse {
        resume_token: "1".into(),
        directive: None,
    });
    let left = topology.recorder().wait_for(Kind::Unsubscribe, 1);
    assert_eq!(left[0].filters(), ["secrets"]);
    let metrics = topology.gate().metrics();
    metrics.wait_for(
        "tidegate_control_directives_total",
        &[("kind", "unknown")],
        1,
    );
    // No selector is no choice of nobody.
    topology.service().push(&terminate("2", None));
    metrics.wait_for(
        "tidegate_control_directives_total",
        &[("kind", "unknown")],
        2,
    );
    alice.expect_nothing_before_pong();
});

both_versions!(a_client_that_is_being_decided_about_is_found, |version| {
    let topology = watched();
    let hold = Hold::new();
    let held = hold.clone();
    topology.service().answer_hook(Hook::Connect, move |_| {
        Answer::Held(held.clone(), Box::new(Answer::Allow))
    });
    let mut alice = topology.try_connect(version, &Connect::new("alice"));
    topology.service().wait_for(Hook::Connect, 1);
    topology.service().push(&terminate(
        "1",
        choosing(Selector::ClientId("alice".into())),
    ));
    alice.expect_refused(version.pick(5, 0x87));
    hold.release();
    assert_eq!(topology.recorder().connections(), 0);
});

/// Nobody knows its principal yet, and its answer was made before the directive.
#[test]
fn a_client_that_is_about_to_become_a_principal_is_asked_about_again() {
    let version = Version::V5;
    let topology = watched();
    let hold = Hold::new();
    let held = hold.clone();
    topology.service().answer_hook(Hook::Connect, move |check| {
        let is_first = check.connect().metadata.as_ref().unwrap().sequence == 1;
        let answer = match is_first {
            true => Answer::Change(Change::Connect(Box::new(ConnectAllow {
                principal: "alice".into(),
                ..ConnectAllow::default()
            }))),
            false => Answer::deny(ReasonCode::Banned),
        };
        match is_first {
            true => Answer::Held(held.clone(), Box::new(answer)),
            false => answer,
        }
    });
    let mut alice = topology.try_connect(version, &Connect::new("a"));
    topology.service().wait_for(Hook::Connect, 1);
    let about = Selector::Principal("alice".into());
    topology.service().push(&recheck("1", about));
    topology.gate().metrics().wait_for(
        "tidegate_control_directives_total",
        &[("kind", "recheck")],
        1,
    );
    hold.release();
    alice.expect_refused(0x8A);
    assert_eq!(topology.recorder().connections(), 0);
}

/// Of a PUBLISH, too: what was allowed before the directive is asked about again.
#[test]
fn an_allow_that_was_overtaken_is_not_used() {
    let topology = watched();
    let mut alice = join(&topology, Version::V5, "alice");
    let hold = Hold::new();
    let held = hold.clone();
    topology.service().answer_hook(Hook::Publish, move |check| {
        let tidegate_tests::Check::Publish(publish) = check else {
            return Answer::Unset;
        };
        match publish.metadata.as_ref().unwrap().sequence < 1 << 40 {
            true => Answer::Held(held.clone(), Box::new(Answer::Allow)),
            false => Answer::deny(ReasonCode::NotAuthorized),
        }
    });
    let id = alice.publish(1, "a", "1");
    topology.service().wait_for(Hook::Publish, 1);
    topology
        .service()
        .push(&recheck("1", Selector::SelectAll(true)));
    let metrics = topology.gate().metrics();
    metrics.wait_for(
        "tidegate_control_directives_total",
        &[("kind", "recheck")],
        1,
    );
    hold.release();
    alice.expect_ack(Kind::Puback, id, 0x87);
    assert!(topology.recorder().packets(Kind::Publish).is_empty());
    metrics.wait_for(
        "tidegate_authz_allows_outdated_total",
        &[("hook", "publish")],
        1,
    );
}
