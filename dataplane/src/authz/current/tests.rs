use std::{sync::Mutex, time::Duration};

use futures_util::future::{BoxFuture, FutureExt};
use gatekeeper::{Allow, Deny, Why};
use tidegate_proto::v1;
use tokio::{sync::oneshot, time::advance};
use tokio_test::{assert_pending, assert_ready, task};

use super::*;
use crate::authz::{Identity, hook, testing};

/// Questions, and whom to tell.
type Open<H> = Vec<(Check<H>, oneshot::Sender<Outcome>)>;

/// A service that is answered by hand.
struct Desk<H: Hook>(Arc<Mutex<Open<H>>>);

impl<H: Hook> Clone for Desk<H> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<H: Hook> Service<Check<H>> for Desk<H> {
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = BoxFuture<'static, Outcome>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, check: Check<H>) -> Self::Future {
        let (reply, answer) = oneshot::channel();
        self.0.lock().unwrap().push((check, reply));
        answer.map(|answer| answer.unwrap()).boxed()
    }
}

/// One check under way, and the directives.
struct Rig<H: Hook> {
    epochs: Arc<Epochs>,
    counters: Arc<Counters>,
    desk: Desk<H>,
    check: Check<H>,
    answer: task::Spawn<ResponseFuture<BoxFuture<'static, Outcome>>>,
}

impl<H: Hook> Rig<H> {
    fn ask(epochs: Epochs, check: Check<H>) -> Self {
        let (epochs, counters) = (Arc::new(epochs), Arc::<Counters>::default());
        let desk = Desk(Arc::default());
        let mut current = Current::new(desk.clone(), Arc::clone(&epochs), Arc::clone(&counters));
        Self {
            answer: task::spawn(current.call(check.clone())),
            epochs,
            counters,
            desk,
            check,
        }
    }

    fn directive(&self, principal: Option<&str>, concerns: bool) {
        let epoch = self.epochs.advance(principal);
        if concerns {
            self.check.context.seat.stamp().touch(epoch);
        }
    }

    /// Answers the question that is open, and yields it.
    fn answers(&mut self, outcome: impl Into<Outcome>) -> (u64, Poll<Outcome>) {
        let (check, reply) = self.desk.0.lock().unwrap().pop().unwrap();
        reply.send(outcome.into()).unwrap();
        assert_eq!(check.message.body(), self.check.message.body());
        (check.message.sequence(), self.answer.poll())
    }

    fn is_answered(&self) -> bool {
        self.desk.0.lock().unwrap().is_empty()
    }

    fn outdated(&self) -> u64 {
        self.counters.hook(H::KIND).outdated.get()
    }
}

fn watched() -> Epochs {
    Epochs::watched(Duration::from_secs(75))
}

fn connect() -> Check<hook::Connect> {
    Check {
        message: testing::message(&v1::ConnectCheck::default()),
        context: testing::context("", Duration::from_secs(5)),
    }
}

fn decision(verdict: Verdict) -> Outcome {
    Ok(Decision {
        verdict,
        ..testing::allowed()
    })
}

fn allowed_as(principal: &str) -> Outcome {
    Ok(Decision {
        verdict: Verdict::Allow(Allow::Connect(Box::default())),
        identity: Some(Identity {
            principal: principal.to_owned(),
            ..Identity::default()
        }),
        ..testing::allowed()
    })
}

#[tokio::test(start_paused = true)]
async fn an_allow_that_a_directive_has_overtaken_is_asked_for_again_under_a_new_number() {
    let mut rig = Rig::ask(watched(), testing::publish("t"));
    rig.directive(None, true);
    let (first, answer) = rig.answers(Ok(testing::allowed()));
    assert_pending!(answer);
    let (second, answer) = rig.answers(Ok(testing::allowed()));
    assert!(assert_ready!(answer).is_ok());
    assert_ne!(first, second);
    assert_eq!(rig.outdated(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_allow_of_before_is_as_old_as_its_own_question() {
    let epochs = watched();
    let before = epochs.current();
    let epoch = epochs.advance(None);
    let mut rig = Rig::ask(epochs, testing::publish("t"));
    // The directive has its number, and reaches the session only now.
    rig.check.context.seat.stamp().touch(epoch);
    let mut kept = testing::allowed();
    kept.facts.cached = true;
    kept.facts.asked_in = before;
    assert_pending!(rig.answers(Ok(kept)).1);
    assert!(assert_ready!(rig.answers(Ok(testing::allowed())).1).is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_a_directive_does_not_concern_stands() {
    let mut rig = Rig::ask(watched(), testing::publish("t"));
    rig.directive(Some("somebody"), false);
    let (_, answer) = rig.answers(Ok(testing::allowed()));
    assert!(assert_ready!(answer).is_ok());
    assert!(rig.is_answered());
}

#[tokio::test(start_paused = true)]
async fn denials_and_failures_stand() {
    for outcome in [
        decision(Verdict::Deny(Deny::default())),
        decision(Verdict::Unavailable(Why::Timeout)),
        Err(Cause::QueueFull.into()),
    ] {
        let mut rig = Rig::ask(watched(), testing::publish("t"));
        rig.directive(None, true);
        let (_, answer) = rig.answers(outcome.clone());
        assert_eq!(assert_ready!(answer), outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_about_to_be_somebody_is_found_by_that_name() {
    for (named, is_asked_again) in [("alice", true), ("bob", false)] {
        let mut rig = Rig::ask(watched(), connect());
        rig.directive(Some(named), false);
        let (_, answer) = rig.answers(allowed_as("alice"));
        assert_eq!(answer.is_pending(), is_asked_again, "{named}");
        if is_asked_again {
            let (_, answer) = rig.answers(allowed_as("alice"));
            assert!(assert_ready!(answer).is_ok());
        }
        let verified = rig.check.context.seat.stamp().verified();
        assert_eq!(verified, rig.epochs.current());
        // What comes now, before the session has the name, is for the session to find.
        rig.directive(Some("alice"), false);
        assert!(rig.epochs.named_since(verified, "alice"));
    }
}

#[tokio::test(start_paused = true)]
async fn directives_that_are_faster_than_the_service_make_a_failure() {
    let mut rig = Rig::ask(watched(), testing::publish("t"));
    for _ in 1..MAX_ASKED {
        rig.directive(None, true);
        let (_, answer) = rig.answers(Ok(testing::allowed()));
        assert_pending!(answer);
    }
    rig.directive(None, true);
    let (_, answer) = rig.answers(Ok(testing::allowed()));
    let failure = assert_ready!(answer).unwrap_err();
    assert_eq!(failure.cause, Cause::Outdated);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_asking_after_the_deadline() {
    let mut rig = Rig::ask(watched(), testing::publish("t"));
    rig.directive(None, true);
    advance(Duration::from_secs(1)).await;
    let (_, answer) = rig.answers(Ok(testing::allowed()));
    let failure = assert_ready!(answer).unwrap_err();
    assert_eq!(failure.cause, Cause::Outdated);
}

#[tokio::test(start_paused = true)]
async fn who_watches_for_nothing_asks_once() {
    let mut rig = Rig::ask(Epochs::unwatched(), testing::publish("t"));
    rig.directive(None, true);
    let (_, answer) = rig.answers(Ok(testing::allowed()));
    assert!(assert_ready!(answer).is_ok());
}
