//! What is refused when, in virtual time.

use std::time::Duration;

use tokio::time::advance;
use tower::service_fn;

use super::*;
use crate::authz::{
    hook,
    testing::{allowed, publish},
};

const PUBLISH: HookKind = HookKind::Publish;

fn load() -> Load {
    Load::new(Arc::default())
}

impl Load {
    fn note(&self, hook: HookKind, decided: usize, overloaded: usize) {
        let now = Instant::now();
        (0..decided).for_each(|_| self.decided(hook, 1, now));
        (0..overloaded).for_each(|_| self.overloaded(hook, now));
    }

    /// How many of a thousand checks are refused at this moment, without being counted as such.
    fn refused_of_1000(&self, hook: HookKind) -> usize {
        self.weigh(hook, 0.0);
        let probability = self.counters.hook(hook).throttle_probability.get();
        (probability * 1000.0).round() as usize
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_decides_is_never_spared() {
    let load = load();
    load.note(PUBLISH, 100, 9);
    advance(Duration::from_secs(1)).await;
    assert!(!load.weigh(PUBLISH, 0.0));
    // Half of them: that is what the factor of two is for.
    load.note(PUBLISH, 0, 91);
    advance(Duration::from_secs(1)).await;
    assert_eq!(load.refused_of_1000(PUBLISH), 0);
    assert_eq!(load.refused_of_1000(HookKind::Connect), 0);
}

#[tokio::test(start_paused = true)]
async fn new_connects_are_refused_first() {
    let load = load();
    load.note(PUBLISH, 100, 150);
    assert_eq!(load.refused_of_1000(PUBLISH), 0);
    assert_eq!(load.refused_of_1000(HookKind::Subscribe), 0);
    let refused = load.refused_of_1000(HookKind::Connect);
    assert!((150..=200).contains(&refused), "{refused}");
    load.note(PUBLISH, 0, 250);
    let refused = load.refused_of_1000(PUBLISH);
    assert!((350..=400).contains(&refused), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn connects_are_spared_the_past_of_other_hooks() {
    let load = load();
    load.note(PUBLISH, 0, 100);
    assert_eq!(load.refused_of_1000(HookKind::Connect), 900);
    advance(Duration::from_secs(2)).await;
    assert_eq!(load.refused_of_1000(HookKind::Connect), 0);
}

#[tokio::test(start_paused = true)]
async fn one_in_a_tenth_of_a_second_passes_and_the_first_decision_ends_it() {
    let load = load();
    load.note(PUBLISH, 1000, 0);
    advance(Duration::from_secs(2)).await;
    load.note(PUBLISH, 0, 100_000);
    let mut passed = 0;
    for _ in 0..10_000 {
        advance(Duration::from_micros(100)).await;
        passed += usize::from(!load.weigh(PUBLISH, 0.0));
    }
    assert!((9..=11).contains(&passed), "{passed}");
    load.note(PUBLISH, 1, 0);
    assert!(!load.weigh(PUBLISH, 0.0));
    assert_eq!(load.refused_of_1000(PUBLISH), 0);
}

#[tokio::test(start_paused = true)]
async fn it_is_forgotten_after_half_a_minute() {
    let load = load();
    load.note(PUBLISH, 0, 100);
    assert_eq!(load.refused_of_1000(PUBLISH), 900);
    advance(Duration::from_secs(31)).await;
    assert!(!load.weigh(PUBLISH, 0.0));
    assert!(!load.is_alarmed.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn only_signs_of_overload_count() {
    let status = |code| Cause::Status {
        code,
        message: String::new(),
    };
    let service = |code| Cause::Service {
        code,
        message: String::new(),
    };
    for (cause, counts) in [
        (Cause::Timeout, true),
        (status(Code::ResourceExhausted), true),
        (status(Code::DeadlineExceeded), true),
        (service(FailureCode::Overloaded), true),
        (status(Code::Unavailable), false),
        (status(Code::Internal), false),
        (status(Code::Unknown), false),
        (service(FailureCode::Internal), false),
        (Cause::Transport(String::new()), false),
        (Cause::ExpiredInQueue, false),
        (Cause::MissingResult, false),
    ] {
        let load = Arc::new(load());
        let inner = service_fn(|_: Check<hook::Publish>| {
            std::future::ready(Err::<Decision, _>(cause.clone().into()))
        });
        let mut throttle = Throttle::new(inner, Arc::clone(&load));
        for _ in 0..20 {
            let failure = throttle.call(publish("t")).await.unwrap_err();
            assert!(failure.cause == cause || failure.cause == Cause::Throttled);
        }
        assert_eq!(load.is_alarmed.load(Ordering::Relaxed), counts, "{cause:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_is_not_asked() {
    let mut refused = 0;
    for _ in 0..50 {
        let load = Arc::new(load());
        load.note(PUBLISH, 0, 100);
        load.window(PUBLISH).passed(Instant::now());
        let asked = AtomicBool::new(false);
        let inner = service_fn(|_: Check<hook::Publish>| {
            asked.store(true, Ordering::Relaxed);
            std::future::ready(Ok::<_, Box<Failure>>(allowed()))
        });
        let outcome = Throttle::new(inner, load).call(publish("t")).await;
        let is_refused = outcome.is_err_and(|failure| failure.cause == Cause::Throttled);
        assert_ne!(is_refused, asked.load(Ordering::Relaxed));
        refused += usize::from(is_refused);
    }
    assert!((1..50).contains(&refused), "{refused} of 50 at 90 %");
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_a_session_that_travels_alone_counts_for_nobody_else() {
    let load = Arc::new(load());
    let inner = service_fn(|_: Check<hook::Publish>| {
        std::future::ready(Err::<Decision, _>(Cause::Timeout.into()))
    });
    let mut throttle = Throttle::new(inner, Arc::clone(&load));
    for is_apart in [true, false] {
        for _ in 0..20 {
            let check = publish("t");
            if is_apart {
                let mut standing = check.context.seat.standing(PUBLISH);
                standing.failed_alone();
                standing.failed_alone();
            }
            let _ = throttle.call(check).await.unwrap_err();
        }
        assert_eq!(load.is_alarmed(), !is_apart);
    }
}
