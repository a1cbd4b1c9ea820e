//! One dial, from its beginning to its end, for those who look on.

use std::{fmt, io, time::Duration};

use tokio::time::Instant;
use tracing::info;

use super::Way;

/// A dial that is given up sooner is not worth a line: its client may simply have left.
const HUNG: Duration = Duration::from_secs(1);

/// A timer and a clock may differ by as much.
const SLACK: Duration = Duration::from_millis(50);

/// What a dial is about to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    LookUp,
    Connect,
    Tls,
    Upgrade,
}

impl Step {
    /// The word for it in metrics.
    fn as_str(self) -> &'static str {
        match self {
            Self::LookUp => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Upgrade => "upgrade",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LookUp => "the look-up of the name",
            Self::Connect => "connecting",
            Self::Tls => "the TLS handshake",
            Self::Upgrade => "the WebSocket upgrade",
        })
    }
}

/// A dial that goes on. Whoever gives it up does not know where it hung: this tells.
pub(super) struct Attempt<'a> {
    way: &'a Way,
    began: Instant,
    until: Instant,
    pub(super) step: Step,
    has_ended: bool,
}

impl<'a> Attempt<'a> {
    /// `until`: when it will be given up.
    pub(super) fn begin(way: &'a Way, until: Instant) -> Self {
        Self {
            way,
            began: Instant::now(),
            until,
            step: Step::Connect,
            has_ended: false,
        }
    }

    /// It has come to this.
    pub(super) fn end<T>(mut self, outcome: io::Result<T>) -> io::Result<T> {
        self.has_ended = true;
        let metrics = &self.way.metrics;
        match &outcome {
            Ok(_) => metrics.ready(self.began.elapsed()),
            Err(_) => metrics.failed(self.step.as_str()),
        }
        outcome
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        let is_late = Instant::now() + SLACK >= self.until;
        let why = match is_late {
            true => "timeout",
            false => "dropped",
        };
        self.way.metrics.failed(why);
        let after = self.began.elapsed();
        if after >= HUNG
            && let Some(suppressed) = self.way.hung.permit()
        {
            let (broker, step) = (&self.way.target, self.step);
            match is_late {
                true => {
                    info!(%broker, %step, ?after, suppressed, "the broker did not answer and was given up");
                }
                false => {
                    info!(%broker, %step, ?after, suppressed, "the broker had not answered when the client's session ended");
                }
            }
        }
    }
}
