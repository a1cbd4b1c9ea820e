//! A broken invariant is an error and not a panic, so that shrinking stays quiet.

/// What is wrong, for whoever reads the failed case.
pub(crate) type Fault = String;

/// The outcome of a check.
pub(crate) type Checked = Result<(), Fault>;

/// Checks a condition.
macro_rules! ensure {
    ($condition:expr, $($message:tt)+) => {
        if !$condition {
            return Err(format!($($message)+));
        }
    };
}

pub(crate) use ensure;
