use std::{
    collections::VecDeque,
    future::{Ready, ready},
    sync::Mutex,
    time::Duration,
};

use tidegate_proto::v1::FailureCode;
use tokio::time::{advance, timeout};
use tokio_test::{assert_pending, assert_ready, task};
use tonic::Code;

use super::*;
use crate::authz::{
    HookKind,
    counters::Counters,
    failure::Cause,
    hook,
    testing::{allowed, publish},
};

/// A service that says what it was told to say, and the last of it again and again.
#[derive(Clone)]
struct Script {
    script: Arc<Mutex<VecDeque<Result<(), Cause>>>>,
    /// When it was asked, and until when.
    asked: Arc<Mutex<Vec<(Instant, Instant)>>>,
}

impl Service<Check<hook::Publish>> for Script {
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = Ready<Outcome>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, check: Check<hook::Publish>) -> Self::Future {
        let asked = (Instant::now(), check.context.deadline);
        self.asked.lock().unwrap().push(asked);
        let mut script = self.script.lock().unwrap();
        let answer = match script.len() {
            1 => script.front().cloned(),
            _ => script.pop_front(),
        };
        ready(match answer.unwrap() {
            Ok(()) => Ok(allowed()),
            Err(cause) => Err(cause.into()),
        })
    }
}

struct Scene {
    stack: Ladder<Script>,
    service: Script,
    counters: Arc<Counters>,
    room: Arc<HoldRoom>,
}

const SECOND: Duration = Duration::from_secs(1);

fn scene(
    steps: &[Step],
    hold_max: Duration,
    script: impl IntoIterator<Item = Result<(), Cause>>,
) -> Scene {
    let counters = Arc::<Counters>::default();
    let room = Arc::new(HoldRoom::new(1000));
    let policy = FailurePolicy {
        steps: steps.to_vec(),
        hold_max,
    };
    let policy = Policy::new(
        HookKind::Publish,
        SECOND,
        &policy,
        Arc::clone(&room),
        None,
        Arc::clone(&counters),
    );
    let service = Script {
        script: Arc::new(Mutex::new(script.into_iter().collect())),
        asked: Arc::default(),
    };
    Scene {
        stack: Ladder::new(service.clone(), Arc::new(policy)),
        service,
        counters,
        room,
    }
}

impl Scene {
    fn asked(&self) -> usize {
        self.service.asked.lock().unwrap().len()
    }

    fn count(&self, step: Step) -> u64 {
        self.counters
            .hook(HookKind::Publish)
            .failure_action(step)
            .get()
    }
}

fn away() -> Cause {
    Cause::Unreachable("refused".to_owned())
}

fn is_allow(decision: &Decision) -> bool {
    matches!(decision.verdict, Verdict::Allow(_))
}

#[tokio::test(start_paused = true)]
async fn a_held_check_is_asked_until_it_is_decided() {
    let script = [Err(away()), Err(Cause::Timeout), Err(away()), Ok(())];
    let mut scene = scene(&[Step::Hold, Step::Reject], SECOND, script);
    let asked_at = Instant::now();
    let decision = scene.stack.call(publish("t")).await.unwrap();
    assert!(is_allow(&decision));
    assert_eq!(decision.facts.failure_action, Some(Step::Hold));
    assert_eq!(scene.asked(), 4);
    // 20, 40 and 80 ms, give or take a fifth.
    let took = asked_at.elapsed();
    assert!((112..=170).contains(&took.as_millis()), "{took:?}");
    assert_eq!(scene.count(Step::Hold), 1);
    assert_eq!(scene.count(Step::Reject), 0);
    assert_eq!(scene.room.taken(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_check_is_not_held_for_longer_than_permitted() {
    let mut scene = scene(&[Step::Hold, Step::Reject], SECOND, [Err(away())]);
    let asked_at = Instant::now();
    let failure = scene.stack.call(publish("t")).await.unwrap_err();
    assert_eq!(failure.cause, away());
    assert!(asked_at.elapsed() <= SECOND);
    assert!(asked_at.elapsed() >= SECOND / 2);
    assert_eq!((scene.count(Step::Hold), scene.count(Step::Reject)), (1, 1));
    let end = asked_at + SECOND;
    let asked = scene.service.asked.lock().unwrap().clone();
    // The first one has the check's own time.
    assert!(asked[1..].iter().all(|(_, deadline)| *deadline <= end));
    assert!(asked.iter().all(|(at, deadline)| at < deadline));
}

#[tokio::test(start_paused = true)]
async fn the_keep_alive_bounds_the_hold() {
    let mut scene = scene(&[Step::Hold], SECOND * 60, [Err(away())]);
    let check = publish("t");
    check.context.seat.set_patience(SECOND * 10);
    let asked_at = Instant::now();
    scene.stack.call(check).await.unwrap_err();
    assert!(asked_at.elapsed() <= SECOND * 5);
    assert!(asked_at.elapsed() > SECOND * 4);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_nobody_polled_is_asked_again_at_once() {
    let mut scene = scene(&[Step::Hold], SECOND, [Err(away()), Ok(())]);
    let mut answer = task::spawn(scene.stack.call(publish("t")));
    advance(SECOND / 2).await;
    assert!(is_allow(&assert_ready!(answer.poll()).unwrap()));

    let mut scene = self::scene(&[Step::Hold], SECOND, [Err(away()), Ok(())]);
    let mut answer = task::spawn(scene.stack.call(publish("t")));
    advance(SECOND).await;
    assert_ready!(answer.poll()).unwrap_err();
    assert_eq!(scene.asked(), 1, "its time was over");
}

#[tokio::test(start_paused = true)]
async fn bytes_that_are_held_are_bounded() {
    let mut scene = scene(&[Step::Hold], SECOND, [Err(away())]);
    let large = || {
        let mut check = publish("t");
        check.context.packet_bytes = 600;
        check
    };
    let mut first = task::spawn(scene.stack.call(large()));
    assert_pending!(first.poll());
    let mut second = task::spawn(scene.stack.call(large()));
    assert_ready!(second.poll()).unwrap_err();
    drop(first);
    assert_eq!(scene.room.taken(), 0);
    let mut third = task::spawn(scene.stack.call(large()));
    assert_pending!(third.poll());
}

#[tokio::test(start_paused = true)]
async fn what_a_client_can_cause_takes_no_step() {
    let steps = [Step::ServeStale, Step::Hold, Step::Allow];
    for cause in [
        Cause::TooLarge { size: 2, limit: 1 },
        Cause::TooLargeForService { size: 2, limit: 1 },
        Cause::MutationNotPermitted("topic"),
        Cause::MissingResult,
        Cause::DuplicateResult,
        Cause::UnsetDecision,
        Cause::Service {
            code: FailureCode::InvalidCheck,
            message: String::new(),
        },
        Cause::Service {
            code: FailureCode::SessionStateInvalid,
            message: String::new(),
        },
    ] {
        let mut scene = scene(&steps, SECOND, [Err(cause.clone()), Ok(())]);
        let failure = scene.stack.call(publish("t")).await.unwrap_err();
        assert_eq!(failure.cause, cause);
        assert_eq!((scene.asked(), scene.count(Step::Reject)), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn only_a_service_that_cannot_be_reached_lets_pass() {
    let status = |code| Cause::Status {
        code,
        message: String::new(),
    };
    for (cause, passes) in [
        (away(), true),
        (Cause::Transport("reset".to_owned()), false),
        (status(Code::Unavailable), false),
        (status(Code::Internal), false),
        (Cause::Timeout, false),
        (Cause::QueueFull, false),
        (Cause::Throttled, false),
        (Cause::ExpiredInQueue, false),
        (Cause::Lost, false),
    ] {
        let mut scene = scene(&[Step::Allow], SECOND, [Err(cause.clone())]);
        let outcome = scene.stack.call(publish("t")).await;
        assert_eq!(outcome.is_ok(), passes, "{cause}");
        let (allows, rejects) = (scene.count(Step::Allow), scene.count(Step::Reject));
        assert_eq!((allows, rejects), (passes.into(), (!passes).into()));
        if let Ok(decision) = outcome {
            assert_eq!(decision.facts.failure_action, Some(Step::Allow));
            assert_eq!(decision.facts.failure, Some(cause.why()));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_steps_are_taken_in_their_order() {
    let mut scene = scene(&[Step::Hold, Step::Allow], SECOND, [Err(away())]);
    let asked_at = Instant::now();
    assert!(is_allow(&scene.stack.call(publish("t")).await.unwrap()));
    assert!(asked_at.elapsed() > SECOND / 2, "it was held first");

    let mut scene = self::scene(&[Step::Disconnect], SECOND, [Err(away())]);
    scene.stack.call(publish("t")).await.unwrap_err();
    assert_eq!(scene.count(Step::Disconnect), 1);
}

#[test]
fn nobody_comes_in_undecided_and_no_will() {
    let policy = FailurePolicy {
        steps: vec![Step::ServeStale, Step::Allow, Step::Hold],
        hold_max: SECOND,
    };
    for hook in [HookKind::Connect, HookKind::Will] {
        let policy = Policy::new(
            hook,
            SECOND,
            &policy,
            Arc::new(HoldRoom::new(0)),
            None,
            Arc::default(),
        );
        assert_eq!(policy.step(0), Some(Step::Hold));
        assert_eq!(policy.step(1), None);
        assert_eq!(policy.open(Facts::default()), None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_denial_is_no_failure() {
    let denied = Decision {
        verdict: Verdict::Deny(gatekeeper::Deny::default()),
        ..allowed()
    };
    let expected = denied.verdict.clone();
    let inner = tower::service_fn(move |_: Check<hook::Publish>| ready(Ok(denied.clone())));
    let policy = FailurePolicy {
        steps: vec![Step::Hold, Step::Allow],
        hold_max: SECOND,
    };
    let policy = Policy::new(
        HookKind::Publish,
        SECOND,
        &policy,
        Arc::new(HoldRoom::new(1000)),
        None,
        Arc::default(),
    );
    let mut stack = Ladder::new(inner, Arc::new(policy));
    let decision = timeout(SECOND, stack.call(publish("t"))).await.unwrap();
    assert_eq!(decision.unwrap().verdict, expected);
}
