//! Room 4: one task per client. It moves bytes and carries messages; the
//! [`Gatekeeper`](gatekeeper::Gatekeeper) decides.

mod asks;
mod client;
mod driver;
mod trace;

use std::{sync::Arc, time::Duration};

use gatekeeper::CloseReason;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use crate::{authz::Authz, upstream::Dial};

use self::driver::Driver;

pub use self::{client::Origin, trace::Sampling};

/// What all sessions of a program share.
#[derive(Debug)]
pub struct Shared<D> {
    /// The way to the authorization service.
    pub authz: Authz,
    /// The way to the broker.
    pub upstream: D,
    /// How many packets are traced.
    pub sampling: Sampling,
    /// How long a peer may take nothing of what is written to it.
    pub write_stall: Duration,
}

/// Serves one client connection to its end.
///
/// `undecided` is dropped when the CONNECT is decided, or the connection ends before; it may hold a
/// permit. `drain` asks the session to end.
pub async fn serve<S, D, U>(
    stream: S,
    origin: Origin,
    shared: Arc<Shared<D>>,
    undecided: U,
    drain: CancellationToken,
) -> CloseReason
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    D: Dial,
    U: Send,
{
    let driver = Driver::new(stream, &origin, shared, undecided, drain);
    // Boxed: the set-up of a session is larger than what an idle one has to keep.
    Box::pin(driver.run(origin)).await
}
