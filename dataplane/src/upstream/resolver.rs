//! The addresses of the broker's name: one look-up for all dials.
//!
//! A look-up of the system takes a thread for as long as it lasts, and giving it up does not free that. So there is
//! never more than one, however many clients come and however long name servers are silent.

use std::{
    fmt, io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use tokio::{
    net::lookup_host,
    sync::watch,
    time::{Instant, timeout},
};

/// How long addresses are used without another look.
const KEEP: Duration = Duration::from_secs(5);

/// The time from a look-up that failed to the next.
const RETRY: Duration = Duration::from_secs(1);

/// How long addresses are used at most, while the name cannot be looked up: by then somebody else may have them.
const STALE: Duration = Duration::from_secs(5 * 60);

/// The wait for a look-up, if there are addresses already.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long an address that beat those before it is tried first: theirs is to be found out again some day.
const PREFER: Duration = Duration::from_secs(60);

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 64;

/// Looks up a name with a port.
type LookUp =
    Box<dyn Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// Knows where a name leads.
pub(super) struct Resolver {
    host: String,
    port: u16,
    look_up: LookUp,
    state: watch::Sender<State>,
}

#[derive(Debug, Default)]
struct State {
    known: Option<(Vec<SocketAddr>, Instant)>,
    failure: Option<(io::ErrorKind, String, Instant)>,
    is_looking: bool,
    preferred: Option<(SocketAddr, Instant)>,
}

impl Resolver {
    pub(super) fn new(host: &str, port: u16) -> Self {
        Self::with(host, port, |host, port| {
            Box::pin(async move { Ok(lookup_host((host, port)).await?.collect()) })
        })
    }

    fn with(
        host: &str,
        port: u16,
        look_up: impl Fn(String, u16) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        Self {
            host: host.to_owned(),
            port,
            look_up: Box::new(look_up),
            state: watch::Sender::default(),
        }
    }

    /// The addresses, at least one, in the order of the look-up. To be bounded in time by the caller.
    ///
    /// # Errors
    ///
    /// The name leads nowhere, and did not a short while ago.
    pub(super) async fn addresses(self: &Arc<Self>) -> io::Result<Vec<SocketAddr>> {
        if let Ok(ip) = self.host.parse::<IpAddr>() {
            return Ok(vec![(ip, self.port).into()]);
        }
        if !self.state.borrow().is_settled() {
            self.look();
            let has_some = self.state.borrow().usable().is_some();
            let mut state = self.state.subscribe();
            let looked = async { drop(state.wait_for(|state| !state.is_looking).await) };
            if !has_some {
                looked.await;
            } else if timeout(PATIENCE, looked).await.is_err() {
                // It goes on, and whoever comes next may see its end.
            }
        }
        let state = self.state.borrow();
        match (state.usable(), &state.failure) {
            (Some(addresses), _) => Ok(addresses.clone()),
            (None, Some((kind, why, _))) => Err(self.cannot(*kind, why)),
            (None, None) => Err(self.cannot(io::ErrorKind::Other, "the look-up broke off")),
        }
    }

    /// The addresses as they are to be tried: whoever won last comes first, for a while.
    pub(super) fn in_turn(&self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let preferred = self.state.borrow().preferred;
        let preferred = preferred.filter(|(_, since)| since.elapsed() < PREFER);
        let place = preferred.and_then(|(wanted, _)| addresses.iter().position(|it| *it == wanted));
        if let Some(place) = place {
            addresses[..=place].rotate_right(1);
        }
        addresses
    }

    /// Somebody was connected to, although others had been tried before.
    pub(super) fn prefer(&self, address: SocketAddr) {
        self.state
            .send_modify(|state| state.preferred = Some((address, Instant::now())));
    }

    /// Looks, unless somebody does.
    fn look(self: &Arc<Self>) {
        let is_first = self
            .state
            .send_if_modified(|state| !std::mem::replace(&mut state.is_looking, true));
        if !is_first {
            return;
        }
        let looking = Looking(Arc::clone(self));
        tokio::spawn(async move {
            let resolver = &looking.0;
            let found = (resolver.look_up)(resolver.host.clone(), resolver.port).await;
            resolver.note(found);
        });
    }

    fn note(&self, found: io::Result<Vec<SocketAddr>>) {
        let found = found.and_then(|mut found| {
            found.truncate(MAX_ADDRESSES);
            let none = || io::Error::new(io::ErrorKind::NotFound, "the name has no addresses");
            (!found.is_empty()).then_some(found).ok_or_else(none)
        });
        let now = Instant::now();
        self.state.send_modify(|state| match found {
            Ok(found) => {
                state.known = Some((found, now));
                state.failure = None;
            }
            Err(error) => state.failure = Some((error.kind(), error.to_string(), now)),
        });
    }

    fn cannot(&self, kind: io::ErrorKind, why: &str) -> io::Error {
        io::Error::new(kind, format!("cannot look up {}: {why}", self.host))
    }
}

impl State {
    /// Whether there is no need to look.
    fn is_settled(&self) -> bool {
        let is_new = |at: &Instant, within| at.elapsed() < within;
        self.known.as_ref().is_some_and(|(_, at)| is_new(at, KEEP))
            || self
                .failure
                .as_ref()
                .is_some_and(|(_, _, at)| is_new(at, RETRY))
    }

    fn usable(&self) -> Option<&Vec<SocketAddr>> {
        let (known, at) = self.known.as_ref()?;
        (at.elapsed() < STALE).then_some(known)
    }
}

/// A look-up that goes on. It ends in any case.
struct Looking(Arc<Resolver>);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.is_looking = false);
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.borrow();
        write!(f, "Resolver({}:{}, {state:?})", self.host, self.port)
    }
}

#[cfg(test)]
pub(super) mod tests;
