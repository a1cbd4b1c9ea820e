//! Room 4: one task per client. It moves bytes and carries messages; the
//! [`Gatekeeper`](gatekeeper::Gatekeeper) decides.

mod asks;
mod budget;
mod client;
mod driver;
mod duties;
mod log;
mod registry;
mod reports;
mod succession;
#[cfg(test)]
pub(crate) mod testing;
mod trace;
mod unsettled;

use std::{sync::Arc, time::Duration};

use gatekeeper::CloseReason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::{authz::Authz, events::Events, metrics::Metrics, upstream::Dial};

pub use crate::transport::Presented;

use self::driver::Driver;

pub(crate) use self::{
    budget::Budget,
    registry::{Farewell, Listed, Registry, Selector, Slot},
};
pub use self::{
    client::Origin, duties::Oversight, log::SessionLog, succession::Succession, trace::Sampling,
};

/// What all sessions of a program share.
#[derive(Debug)]
pub struct Shared<D> {
    /// The way to the authorization service.
    pub authz: Authz,
    /// The way to the broker.
    pub upstream: D,
    /// The sessions at the broker, by client.
    pub succession: Succession,
    /// What the service wants of sessions, and in which turns they end.
    pub oversight: Oversight,
    /// Who hears of what happened.
    pub events: Events,
    /// How many packets are traced.
    pub sampling: Sampling,
    /// How long a peer may take nothing of what is written to it.
    pub write_stall: Duration,
    /// From the first byte of a client's packet to its last, not counting what its size takes.
    pub packet_deadline: Duration,
    /// What is counted.
    pub metrics: Metrics,
    /// What is told.
    pub log: SessionLog,
}

/// Serves one client connection to its end.
///
/// `undecided` is dropped when the CONNECT is decided, or the connection ends before; it may hold a
/// permit. `drain` asks the session to end.
pub fn serve<S, D, U>(
    stream: S,
    origin: Origin,
    shared: Arc<Shared<D>>,
    undecided: U,
    drain: CancellationToken,
) -> impl Future<Output = CloseReason> + Send
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    D: Dial,
    U: Send,
{
    Box::new(Driver::new(stream, origin, shared, undecided, drain)).run()
}
