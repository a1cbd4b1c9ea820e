//! The short way, end to end: what it leaves to the layers, it leaves to them whole.

use std::{
    future::poll_fn,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use gatekeeper::{Verdict, Why};
use tidegate_proto::v1;
use tokio::time::Instant;

use crate::authz::{
    Ask, Asker, Authz, AuthzOptions, Check, Decision, Epochs, HookKind, Seat, Way, hook,
    testing::{
        self,
        server::Server,
        service::{Play, Scripted, allow_all},
    },
};

const ANY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// A session that publishes.
struct Session {
    authz: Authz,
    asker: Asker,
    seat: Arc<Seat>,
    asked: u64,
}

impl Session {
    fn of(address: SocketAddr, epochs: &Arc<Epochs>) -> Self {
        let options = testing::options([address]);
        Self::with(&options, epochs)
    }

    fn with(options: &AuthzOptions, epochs: &Arc<Epochs>) -> Self {
        let authz = Authz::start_with(options, v1::DataPlane::default(), epochs);
        Self {
            asker: authz.asker(),
            authz,
            seat: Arc::new(Seat::new(Ipv4Addr::LOCALHOST.into())),
            asked: 0,
        }
    }

    fn ask(&mut self, topic: &str) -> Ask {
        self.ask_within(topic, Duration::from_secs(5))
    }

    fn ask_within(&mut self, topic: &str, time: Duration) -> Ask {
        self.asked += 1;
        let mut context = testing::context(topic, time);
        context.seat = Arc::clone(&self.seat);
        let message = testing::numbered(self.asked, topic);
        let ask = self.asker.ask(Check::<hook::Publish> { message, context });
        assert!(matches!(ask.0, Way::Short(_)), "{ask:?}");
        ask
    }

    async fn decision(&mut self, mut ask: Ask) -> Decision {
        poll_fn(|cx| self.asker.poll(&mut ask, cx)).await
    }

    /// Asked, allowed, denied, failed and cancelled.
    fn counts(&mut self) -> [u64; 5] {
        self.asker.settle();
        let counts = self.authz.counters().hook(HookKind::Publish);
        [
            counts.asked.get(),
            counts.allowed.get(),
            counts.denied.get(),
            counts.failures(),
            counts.cancelled.get(),
        ]
    }
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision.verdict, Verdict::Allow(_))
}

#[tokio::test]
async fn each_check_has_one_outcome_whichever_way_it_goes() {
    let server = Server::start(ANY);
    let mut session = Session::of(server.address, &Arc::default());
    let mut asks = Vec::new();
    for _ in 0..100 {
        asks.push((session.ask("yes"), true));
        asks.push((session.ask("no"), false));
    }
    let given_up = session.ask("yes");
    session.asker.cancel(given_up);
    for (ask, expected) in asks {
        let decision = session.decision(ask).await;
        assert_eq!(is_allowed(&decision), expected);
        assert!(expected || matches!(decision.verdict, Verdict::Deny(_)));
    }
    assert_eq!(session.counts(), [201, 100, 100, 0, 1]);
}

#[tokio::test]
async fn a_failure_is_one_of_the_layers() {
    let service = Scripted::start(Play::Answer(bytes::Bytes::new(), 2)).await;
    let mut session = Session::of(service.address, &Arc::default());
    let ask = session.ask("t");
    let decision = session.decision(ask).await;
    assert_eq!(decision.verdict, Verdict::Unavailable(Why::GrpcStatus));
    assert_eq!(session.counts(), [1, 0, 0, 1, 0]);
}

#[tokio::test]
async fn what_is_not_answered_in_time_has_failed() {
    let service = Scripted::start(Play::Hang).await;
    let mut session = Session::of(service.address, &Arc::default());
    let mut ask = session.ask_within("t", Duration::from_millis(50));
    let decision = loop {
        // The session has a timer for its oldest packet; this stands for it.
        let polled = poll_fn(|cx| std::task::Poll::Ready(session.asker.poll(&mut ask, cx))).await;
        match polled {
            std::task::Poll::Ready(decision) => break decision,
            std::task::Poll::Pending => tokio::task::yield_now().await,
        }
    };
    assert_eq!(decision.verdict, Verdict::Unavailable(Why::Timeout));
    assert_eq!(session.counts(), [1, 0, 0, 1, 0]);
}

#[tokio::test]
async fn an_allow_that_a_directive_has_overtaken_is_asked_for_again() {
    let (seen, mut was_seen) = tokio::sync::mpsc::unbounded_channel();
    let service = Scripted::each(move |call| {
        let numbers = call.request.checks.iter();
        let numbers = numbers.filter_map(|check| check.metadata.as_ref());
        numbers.for_each(|metadata| seen.send(metadata.sequence).unwrap());
        allow_all(&call)
    })
    .await;
    let epochs = Arc::new(Epochs::watched(Duration::from_secs(60)));
    epochs.heard();
    let mut session = Session::of(service.address, &epochs);
    let ask = session.ask("t");
    assert_eq!(was_seen.recv().await, Some(1));
    session.seat.stamp().touch(epochs.advance(None));
    assert!(is_allowed(&session.decision(ask).await));
    assert_eq!(was_seen.recv().await, Some(1 + (1 << 40)));
    assert_eq!(session.counts(), [1, 1, 0, 0, 0]);
}

#[tokio::test]
async fn who_looks_finds_what_has_come_in_any_order() {
    let server = Server::start(ANY);
    let mut session = Session::of(server.address, &Arc::default());
    let mut asks: Vec<_> = (0..5).map(|_| session.ask("yes")).collect();
    let until = Instant::now() + Duration::from_secs(5);
    while !asks.is_empty() && Instant::now() < until {
        session.asker.fetch();
        asks.retain_mut(|ask| session.asker.look(ask).is_none());
        tokio::task::yield_now().await;
    }
    assert!(asks.is_empty());
    assert_eq!(session.counts(), [5, 5, 0, 0, 0]);
}

#[tokio::test]
async fn a_session_that_has_left_costs_no_call() {
    let (seen, mut was_seen) = tokio::sync::mpsc::unbounded_channel();
    let service = Scripted::each(move |call| {
        seen.send(call.request.checks.len()).unwrap();
        Play::Hang
    })
    .await;
    let mut session = Session::of(service.address, &Arc::default());
    let ask = session.ask("t");
    assert_eq!(was_seen.recv().await, Some(1));
    session.asker.cancel(ask);
    session.asker.leave();
    let counts = Arc::clone(session.authz.counters());
    let calls = || counts.hook(HookKind::Publish).calls_ended.get();
    while calls() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(session.counts(), [1, 0, 0, 0, 1]);
}
