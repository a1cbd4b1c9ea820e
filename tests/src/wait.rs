//! Waiting for something to happen.

use std::{
    thread,
    time::{Duration, Instant},
};

/// How long a test waits for what must happen. Generous: it only decides how soon a failing test
/// gives up, never whether a working program passes.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Asks `probe` until it has an answer, or `patience` is at an end.
pub fn poll_for<T>(patience: Duration, mut probe: impl FnMut() -> Option<T>) -> Option<T> {
    let give_up = Instant::now() + patience;
    loop {
        if let Some(found) = probe() {
            return Some(found);
        }
        if Instant::now() >= give_up {
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Asks `probe` until it has an answer; panics with `what` when it never has.
#[track_caller]
pub fn eventually<T>(what: &str, probe: impl FnMut() -> Option<T>) -> T {
    match poll_for(PATIENCE, probe) {
        Some(found) => found,
        None => panic!("waited {PATIENCE:?} in vain: {what}"),
    }
}

/// Asserts that a condition becomes true.
///
/// The optional rest is a message as for `assert!`, made when the wait was in vain.
#[macro_export]
macro_rules! assert_eventually {
    ($condition:expr $(,)?) => {
        $crate::assert_eventually!($condition, "{}", stringify!($condition))
    };
    ($condition:expr, $($message:tt)+) => {
        if $crate::wait::poll_for($crate::wait::PATIENCE, || $condition.then_some(())).is_none() {
            panic!(
                "waited {:?} in vain: {}",
                $crate::wait::PATIENCE,
                format_args!($($message)+)
            );
        }
    };
}
