//! From an accepted connection to a session: handshakes, within the time that they have.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use gatekeeper::Rules;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tracing::{info, warn};

use crate::{
    admission::Entry,
    config,
    log_limit::LogLimit,
    metrics::{ListenerMetrics, Metrics, Refusal},
    mount::Template,
    session::{self, Origin, Shared},
    transport::{Doorway, HandshakeError, Opened, Presented, Stream},
    upstream::Dial,
};

use super::Gate;

/// Log lines about connections that were refused, and about those that failed; those who cause them can cause
/// any number.
const COMPLAINTS_PER_SECOND: u32 = 5;

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) name: Arc<str>,
    attributes: Arc<HashMap<String, String>>,
    rules: Arc<Rules>,
    mount: Option<Arc<Template>>,
    pub(super) doorway: Doorway,
    refusals: LogLimit,
    failures: LogLimit,
    pub(super) metrics: ListenerMetrics,
}

/// A connection that was accepted.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) stream: TcpStream,
    /// The address of the socket.
    pub(super) peer: SocketAddr,
    pub(super) accepted_at: Instant,
}

/// The places of a connection among those of its address.
#[derive(Debug)]
pub(super) struct Places {
    /// To its end.
    address: Entry,
    /// Until its CONNECT is decided.
    undecided: Entry,
}

impl Entrance {
    pub(super) fn new(
        config: &config::Listener,
        rules: Rules,
        mount: Option<Template>,
        doorway: Doorway,
        metrics: &Metrics,
    ) -> Self {
        let name = config.name.as_str().into();
        Self {
            metrics: metrics.sessions.listener(&name),
            name,
            attributes: Arc::new(config.attributes.clone().into_iter().collect()),
            rules: Arc::new(rules),
            mount: mount.map(Arc::new),
            doorway,
            refusals: LogLimit::new(COMPLAINTS_PER_SECOND),
            failures: LogLimit::new(COMPLAINTS_PER_SECOND),
        }
    }

    /// Takes the places of a connection among those of its address.
    pub(super) fn enter(&self, peer: SocketAddr, gate: &Gate) -> Option<Places> {
        let Some(address) = gate.per_address.enter(peer.ip()) else {
            self.refuse(peer, Refusal::ConnectionsPerAddress);
            return None;
        };
        let Some(undecided) = gate.undecided.enter(peer.ip()) else {
            self.refuse(peer, Refusal::UndecidedPerAddress);
            return None;
        };
        Some(Places { address, undecided })
    }

    pub(super) fn refuse(&self, peer: SocketAddr, refusal: Refusal) {
        self.metrics.refused(refusal);
        if let Some(suppressed) = self.refusals.permit() {
            let limit = refusal.as_str();
            warn!(listener = &*self.name, %peer, limit, suppressed, "connection refused");
        }
    }

    /// A session on a connection that needs no handshake.
    pub(super) fn begin_at_once<D: Dial>(
        &self,
        arrival: Arrival,
        places: Places,
        gate: &Gate,
        shared: &Arc<Shared<D>>,
    ) -> impl Future<Output = ()> + Send + use<D> {
        let opened = Opened {
            stream: Stream::Tcp(arrival.stream),
            presented: Presented::default(),
        };
        let (peer, accepted_at) = (arrival.peer, arrival.accepted_at);
        self.session(opened, peer, accepted_at, places, gate, shared)
    }

    /// A session on a connection that comes through its handshakes in time. `None`: it does not.
    pub(super) async fn begin<D: Dial>(
        self: Arc<Self>,
        arrival: Arrival,
        places: Option<Places>,
        gate: Gate,
        shared: Arc<Shared<D>>,
    ) -> Option<impl Future<Output = ()> + Send + use<D>> {
        let Arrival {
            mut stream,
            mut peer,
            accepted_at,
        } = arrival;
        // From accept on, and the same as for the CONNECT: who is slow with one has less for the others.
        let deadline = accepted_at + self.rules.deadlines.handshake;
        let handshake = async {
            let places = match places {
                Some(places) => places,
                None => {
                    peer = self.doorway.origin(&mut stream, peer).await?;
                    match self.enter(peer, &gate) {
                        Some(places) => places,
                        None => return Ok(None),
                    }
                }
            };
            let opened = self.doorway.open(stream).await?;
            Ok(Some((opened, places)))
        };
        let done = tokio::select! {
            biased;
            () = gate.drain.cancelled() => Err(HandshakeError::Drain),
            done = timeout_at(deadline, handshake) => {
                done.unwrap_or(Err(HandshakeError::Timeout))
            }
        };
        match done {
            Ok(Some((opened, places))) => {
                Some(self.session(opened, peer, accepted_at, places, &gate, &shared))
            }
            Ok(None) => None,
            Err(error) => {
                self.complain(peer, &error);
                None
            }
        }
    }

    fn complain(&self, peer: SocketAddr, error: &HandshakeError) {
        self.metrics.handshake_failed(error);
        if matches!(error, HandshakeError::Gone(_) | HandshakeError::Drain) {
            return;
        }
        if let Some(suppressed) = self.failures.permit() {
            let reason = error.as_str();
            info!(listener = &*self.name, %peer, reason, %error, suppressed, "handshake failed");
        }
    }

    fn session<D: Dial>(
        &self,
        opened: Opened,
        peer: SocketAddr,
        accepted_at: Instant,
        places: Places,
        gate: &Gate,
        shared: &Arc<Shared<D>>,
    ) -> impl Future<Output = ()> + Send + use<D> {
        let origin = Origin {
            listener: Arc::clone(&self.name),
            attributes: Arc::clone(&self.attributes),
            transport: self.doorway.kind(),
            rules: Arc::clone(&self.rules),
            mount: self.mount.clone(),
            peer,
            accepted_at,
            presented: opened.presented,
        };
        let session = session::serve(
            opened.stream,
            origin,
            Arc::clone(shared),
            places.undecided,
            gate.drain.clone(),
        );
        let address = places.address;
        async move {
            session.await;
            drop(address);
        }
    }
}
