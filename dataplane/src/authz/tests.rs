//! The whole stack against services that live, die, hang and come back.

use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::atomic::Ordering,
    time::Duration,
};

use bytes::Bytes;
use gatekeeper::{Allow, Verdict, Why};
use tidegate_proto::v1;
use tokio::{
    net::{TcpListener, TcpStream},
    time::{Instant, timeout},
};

use super::{
    testing::{
        self, publish,
        server::Server,
        service::{Play, Scripted, allow_all, allow_first, framed},
    },
    *,
};

fn start(address: SocketAddr) -> Authz {
    start_with(address, |_| ())
}

fn start_with(address: SocketAddr, change: impl FnOnce(&mut AuthzOptions)) -> Authz {
    let mut options = testing::options([address]);
    change(&mut options);
    Authz::start(&options, v1::DataPlane::default())
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision.verdict, Verdict::Allow(_))
}

/// A port of its own choice.
const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

#[tokio::test]
async fn every_hook_is_decided_on_three_connections() {
    let server = Server::start(ANY);
    let authz = start(server.address);
    let context = || testing::context("t", Duration::from_secs(10));

    let connect = authz.ask(Check::<hook::Connect> {
        message: testing::message(&v1::ConnectCheck::default()),
        context: context(),
    });
    let connect = connect.await;
    assert!(is_allowed(&connect));
    assert_eq!(connect.identity.unwrap().session_state, "state");
    assert_eq!(connect.facts.policy, "permissive");

    let will = authz.ask(Check::<hook::Will> {
        message: testing::message(&v1::PublishCheck::default()),
        context: context(),
    });
    assert_eq!(will.await.verdict, Verdict::Allow(Allow::PUBLISH));
    let subscribe = authz.ask(Check::<hook::Subscribe> {
        message: testing::message(&v1::SubscribeCheck::default()),
        context: context(),
    });
    assert_eq!(subscribe.await.verdict, Verdict::Allow(Allow::SUBSCRIBE));
    let publish = [publish("yes"), publish("no")].map(|check| authz.ask(check));
    let [allowed, denied] = publish;
    assert_eq!(allowed.await.verdict, Verdict::Allow(Allow::PUBLISH));
    assert!(matches!(denied.await.verdict, Verdict::Deny(_)));

    assert_eq!(server.connections.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn every_check_has_exactly_one_outcome() {
    let server = Server::start(ANY);
    let authz = start_with(server.address, |options| options.max_check_bytes = 1000);
    let (mut allowed, mut denied, mut cancelled) = (0, 0, 0);
    let mut asked = Vec::new();
    for n in 0..300 {
        match n % 3 {
            0 => {
                allowed += 1;
                asked.push(authz.ask(publish("yes")));
            }
            1 => {
                denied += 1;
                asked.push(authz.ask(publish("no")));
            }
            _ => {
                cancelled += 1;
                drop(authz.ask(publish("cancelled")));
            }
        }
    }
    asked.push(authz.ask(publish(&"t".repeat(1001))));
    for answer in asked {
        answer.await;
    }
    let counts = authz.counters().hook(HookKind::Publish);
    assert_eq!(counts.asked.get(), 301);
    assert_eq!(counts.allowed.get(), allowed);
    assert_eq!(counts.denied.get(), denied);
    assert_eq!(counts.cancelled.get(), cancelled);
    assert_eq!(counts.failed(Why::TooLarge), 1);
    assert_eq!(counts.failures(), 1);
}

#[tokio::test]
async fn a_check_goes_its_way_without_being_polled() {
    let (asked, mut was_asked) = tokio::sync::mpsc::channel(1);
    let service = Scripted::each(move |seen| {
        asked.try_send(()).unwrap();
        allow_all(&seen)
    })
    .await;
    let authz = start(service.address);
    let answer = authz.ask(publish("t"));
    was_asked.recv().await.unwrap();
    assert!(is_allowed(&answer.await));
}

#[tokio::test]
async fn no_misbehaviour_allows() {
    let first = || framed(&allow_first());
    for play in [
        Play::Answer(Bytes::new(), 0),
        Play::Answer(first(), 14),
        Play::Answer(framed(&v1::AuthorizePublishResponse::default()), 0),
        Play::OnlyStatus(0),
        Play::OnlyStatus(7),
        Play::NoTrailers(first()),
        Play::EmptyTrailers(first()),
        Play::Http(200, "application/json"),
        Play::Http(404, "application/grpc"),
        Play::Reset(h2::Reason::NO_ERROR),
        Play::ResetMidway(h2::Reason::NO_ERROR),
        Play::BreakMidway,
        Play::GoAway,
    ] {
        let service = Scripted::start(play.clone()).await;
        let authz = start(service.address);
        let decision = authz.ask(publish("t")).await;
        assert!(
            matches!(decision.verdict, Verdict::Unavailable(_)),
            "{play:?}: {:?}",
            decision.verdict
        );
        let counts = authz.counters().hook(HookKind::Publish);
        assert_eq!((counts.allowed.get(), counts.failures()), (0, 1));
    }
}

#[tokio::test]
async fn a_service_that_restarts_is_found_by_the_next_check() {
    let address = Server::start(ANY).address;
    let authz = start(address);
    for _ in 0..3 {
        let server = Server::start(address);
        assert!(is_allowed(&authz.ask(publish("a")).await));
        drop(server);
        let decision = authz.ask(publish("a")).await;
        assert_eq!(decision.verdict, Verdict::Unavailable(Why::Unavailable));
    }
}

#[tokio::test]
async fn a_frozen_service_costs_deadlines_and_nothing_after_them() {
    let server = Server::start(ANY);
    let authz = start_with(server.address, |options| {
        options.publish.deadline = Duration::from_millis(200);
    });
    let check = || Check {
        context: testing::context("a", Duration::from_millis(200)),
        ..publish("a")
    };
    assert!(is_allowed(&authz.ask(check()).await));
    let thaw = server.freeze();
    for _ in 0..2 {
        let asked_at = Instant::now();
        let answers: Vec<_> = (0..5000).map(|_| authz.ask(check())).collect();
        for answer in answers {
            let decision = answer.await;
            assert!(matches!(
                decision.verdict,
                Verdict::Unavailable(Why::Timeout | Why::ExpiredInQueue | Why::Throttled)
            ));
            // Whoever awaits it last, it failed in time: the rest is this test's own time.
            let failed_after = decision.decided_at - asked_at;
            let is_throttled = decision.verdict == Verdict::Unavailable(Why::Throttled);
            assert!(is_throttled || failed_after >= Duration::from_millis(140));
        }
    }
    drop(thaw);
    // The service finds dozens of calls that were given up meanwhile, and HTTP/2 servers may close a
    // connection for that; then one more check fails before the next one dials.
    let allowed = async { while !is_allowed(&authz.ask(publish("a")).await) {} };
    timeout(Duration::from_secs(1), allowed).await.unwrap();
}

#[tokio::test]
async fn a_connection_into_the_void_is_replaced() {
    let server = Server::start(ANY);
    let gateway = TcpListener::bind(ANY).await.unwrap();
    let authz = start(gateway.local_addr().unwrap());
    // The first connection is acknowledged and led nowhere; those after it reach the service.
    let target = server.address;
    tokio::spawn(async move {
        let _void = gateway.accept().await.unwrap();
        loop {
            let (mut client, _) = gateway.accept().await.unwrap();
            tokio::spawn(async move {
                let mut service = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
            });
        }
    });
    let decision = authz.ask(publish("a")).await;
    assert_eq!(decision.verdict, Verdict::Unavailable(Why::Timeout));
    let decision = authz.ask(publish("a")).await;
    assert!(is_allowed(&decision), "{decision:?}");
}
