//! The layer alone, over a service that is played by the test, in virtual time.

use std::sync::{Mutex, atomic::AtomicUsize, atomic::Ordering};

use tower::service_fn;

use super::*;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Request(&'static str, Instant);

impl Expires for Request {
    fn deadline(&self) -> Instant {
        self.1
    }
}

fn failed(cause: Cause) -> Failed {
    Failed {
        cause,
        address: None,
        advice: Advice::None,
    }
}

fn advised(cause: Cause, advice: Advice) -> Failed {
    Failed {
        advice,
        ..failed(cause)
    }
}

fn broken() -> Cause {
    Cause::Transport(String::new())
}

fn status(code: Code) -> Cause {
    Cause::Status {
        code,
        message: String::new(),
    }
}

/// What came of a call whose attempts end like this, how long after its start each attempt was made,
/// and what was counted.
async fn play(
    time: Duration,
    ends: Vec<Result<&'static str, Failed>>,
) -> (Result<&'static str, Cause>, Vec<Duration>, Arc<Counters>) {
    let start = Instant::now();
    let made = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&made);
    let service = service_fn(move |attempt: Attempt<Request>| {
        assert_eq!(attempt.request.0, "the same");
        let mut made = seen.lock().unwrap();
        made.push(start.elapsed());
        std::future::ready(ends[made.len() - 1].clone())
    });
    let counters = Arc::<Counters>::default();
    let mut retry = Retry::new(service, HookKind::Publish, Arc::clone(&counters));
    let result = retry.call(Request("the same", start + time)).await;
    let made = made.lock().unwrap().clone();
    (result, made, counters)
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn a_call_that_reached_nobody_is_made_once_more_after_a_pause() {
    for cause in [broken(), status(Code::Unavailable), Cause::NotGrpc(503)] {
        let (result, made, counters) = play(SECOND, vec![Err(failed(cause)), Ok("yes")]).await;
        assert_eq!(result, Ok("yes"));
        let pause = made[1] - made[0];
        assert!(pause >= PAUSE.mul_f64(0.8) && pause <= PAUSE.mul_f64(1.3));
        assert_eq!(counters.hook(HookKind::Publish).retries.get(), 1);
    }
    let twice = vec![
        Err(failed(broken())),
        Err(failed(status(Code::Unavailable))),
    ];
    let (result, made, _) = play(SECOND, twice).await;
    assert_eq!(result, Err(status(Code::Unavailable)));
    assert_eq!(made.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_else_is_tried_again() {
    let statuses = (1..=16).map(Code::from_i32);
    let statuses = statuses
        .filter(|code| *code != Code::Unavailable)
        .map(status);
    let others = [
        Cause::Timeout,
        Cause::NotGrpc(404),
        Cause::Unreadable(String::new()),
    ];
    for cause in statuses.chain(others) {
        let (result, made, counters) = play(SECOND, vec![Err(failed(cause.clone()))]).await;
        assert_eq!((result, made.len()), (Err(cause), 1));
        assert_eq!(counters.hook(HookKind::Publish).retries.get(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_service_says_when_to_come_back() {
    let after = |millis| Advice::After(Duration::from_millis(millis));
    let busy = || status(Code::ResourceExhausted);
    for cause in [busy(), status(Code::Unavailable)] {
        let ends = vec![Err(advised(cause.clone(), after(300))), Ok("yes")];
        let (result, made, _) = play(SECOND, ends).await;
        assert_eq!(result, Ok("yes"));
        assert_eq!((made[1] - made[0]).as_millis() / 10, 30);

        for advice in [after(996), after(u64::MAX), Advice::Never] {
            let ends = vec![Err(advised(cause.clone(), advice))];
            let (result, made, _) = play(SECOND, ends).await;
            assert_eq!((result, made.len()), (Err(cause.clone()), 1), "{advice:?}");
        }
    }
    let ends = vec![Err(advised(status(Code::Internal), after(1)))];
    assert_eq!(play(SECOND, ends).await.1.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn there_is_no_second_attempt_without_time() {
    let (result, made, _) = play(PAUSE, vec![Err(failed(broken()))]).await;
    assert_eq!((result, made.len()), (Err(broken()), 1));
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_no_attempt() {
    let unsent = || Err(advised(broken(), Advice::Unsent));
    let (result, made, counters) = play(SECOND, vec![unsent(), Ok("yes")]).await;
    assert_eq!((result, made[1]), (Ok("yes"), Duration::ZERO));
    assert_eq!(counters.hook(HookKind::Publish).retries.get(), 0);
    // But it must not go on for ever.
    let (result, made, _) = play(SECOND, vec![unsent(), unsent(), unsent()]).await;
    assert_eq!((result, made.len()), (Err(broken()), 3));
}

#[tokio::test(start_paused = true)]
async fn the_budget_bounds_the_share_of_second_attempts() {
    let made = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&made);
    let service = service_fn(move |_: Attempt<Request>| {
        seen.fetch_add(1, Ordering::Relaxed);
        std::future::ready(Err::<(), _>(failed(broken())))
    });
    let counters = Arc::<Counters>::default();
    let mut retry = Retry::new(service, HookKind::Publish, Arc::clone(&counters));
    let calls = (0..1000).map(|_| retry.call(Request("", Instant::now() + SECOND)));
    futures_util::future::join_all(calls.collect::<Vec<_>>()).await;
    let hook = counters.hook(HookKind::Publish);
    let retries = hook.retries.get();
    // A tenth, and three for each second of the window.
    assert!((100..=131).contains(&retries), "{retries}");
    assert_eq!(made.load(Ordering::Relaxed) as u64, 1000 + retries);
    assert_eq!(hook.retry_budget_exhausted.get(), 1000 - retries);
}
