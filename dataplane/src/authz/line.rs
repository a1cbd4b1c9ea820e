//! A connection that is given up when it has fallen silent.
//!
//! A channel dials again when its connection is closed. But a peer can die without closing anything,
//! or a middlebox can go on acknowledging bytes for it; then the channel would send call after call
//! into the void for as long as TCP likes to believe. So a call that heard nothing at all until its
//! deadline, while no other call did either, takes the connection with it, and the next call dials.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tonic::transport::Channel;
use tracing::debug;

/// Longest life of a connection on which nothing is heard. A frozen service wakes up to the
/// connections that were made in vain meanwhile; there should be few.
const MAX_PATIENCE: Duration = Duration::from_secs(30);
const MIN_PATIENCE: Duration = Duration::from_secs(1);

/// The current connection to the service.
pub(super) struct Line {
    dial: Box<dyn Fn() -> Channel + Send + Sync>,
    current: Mutex<Current>,
}

struct Current {
    channel: Channel,
    number: u64,
    since: Instant,
    heard_at: Option<Instant>,
    patience: Duration,
}

/// The connection that a call uses.
#[derive(Debug, Clone)]
pub(super) struct Connection {
    pub(super) channel: Channel,
    number: u64,
    taken_at: Instant,
}

impl Line {
    /// A line over lazy channels as `dial` makes them.
    pub(super) fn new(dial: impl Fn() -> Channel + Send + Sync + 'static) -> Self {
        let current = Current {
            channel: dial(),
            number: 0,
            since: Instant::now(),
            heard_at: None,
            patience: MIN_PATIENCE,
        };
        Self {
            dial: Box::new(dial),
            current: Mutex::new(current),
        }
    }

    /// The connection for a call that departs now.
    pub(super) fn connection(&self) -> Connection {
        let current = self.lock();
        Connection {
            channel: current.channel.clone(),
            number: current.number,
            taken_at: Instant::now(),
        }
    }

    /// The peer has said something in a call.
    pub(super) fn heard(&self, connection: &Connection) {
        let mut current = self.lock();
        if current.number == connection.number {
            current.heard_at = Some(Instant::now());
            current.patience = MIN_PATIENCE;
        }
    }

    /// The peer has said nothing in a call until its deadline.
    pub(super) fn silent(&self, connection: &Connection) {
        let mut current = self.lock();
        let now = Instant::now();
        let is_another = current.number != connection.number;
        let was_heard = current.heard_at > Some(connection.taken_at);
        if is_another || was_heard || now < current.since + current.patience {
            return;
        }
        debug!("nothing was heard of the service on a connection: it is given up");
        *current = Current {
            channel: (self.dial)(),
            number: current.number + 1,
            since: now,
            heard_at: None,
            patience: (current.patience * 2).min(MAX_PATIENCE),
        };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Current> {
        // Replaced as a whole: there is no half-made state behind a poisoned lock.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Line").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;
    use tonic::transport::Endpoint;

    use super::*;

    fn line() -> Line {
        Line::new(|| Endpoint::from_static("http://127.0.0.1:1").connect_lazy())
    }

    async fn fall_silent(line: &Line, after: Duration) -> u64 {
        let connection = line.connection();
        advance(after).await;
        line.silent(&connection);
        line.lock().number
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_connection_is_given_up_with_growing_patience() {
        let line = line();
        let second = Duration::from_secs(1);
        assert_eq!(fall_silent(&line, second).await, 1);
        assert_eq!(fall_silent(&line, second).await, 1, "two seconds now");
        assert_eq!(fall_silent(&line, second).await, 2);
        line.heard(&line.connection());
        assert_eq!(fall_silent(&line, second).await, 3, "patience is as new");
    }

    #[tokio::test(start_paused = true)]
    async fn one_slow_call_among_others_says_nothing() {
        let line = line();
        let slow = line.connection();
        advance(Duration::from_secs(5)).await;
        line.heard(&line.connection());
        line.silent(&slow);
        assert_eq!(line.lock().number, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_on_an_older_connection_says_nothing() {
        let line = line();
        let old = line.connection();
        assert_eq!(fall_silent(&line, Duration::from_secs(5)).await, 1);
        advance(Duration::from_secs(5)).await;
        line.silent(&old);
        assert_eq!(line.lock().number, 1);
    }
}
