//! From an accepted connection to a session: handshakes, within the time that they have.

use std::{net::SocketAddr, sync::Arc};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    admission::Entry,
    config,
    log_limit::LogLimit,
    metrics::{ListenerMetrics, Metrics, Refusal, TlsReloads},
    session::{self, Origin, Shared},
    transport::{HandshakeError, Opened, Presented, Route, Stream},
    upstream::Dial,
};

use super::{Gate, Terms};

/// Log lines about connections that were refused, and about those that failed; those who cause them can cause
/// any number.
const COMPLAINTS_PER_SECOND: u32 = 5;

/// What all connections of a listener have in common.
#[derive(Debug)]
pub(super) struct Entrance {
    pub(super) name: Arc<str>,
    refusals: LogLimit,
    failures: LogLimit,
    pub(super) metrics: ListenerMetrics,
    pub(super) tls_reloads: TlsReloads,
}

/// What is known of a connection that was accepted.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) route: Route,
    pub(super) accepted_at: Instant,
    /// As they were when it was accepted.
    pub(super) terms: Arc<Terms>,
    /// What tells it to go.
    pub(super) wave: CancellationToken,
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
    pub(super) fn new(config: &config::Listener, metrics: &Metrics) -> Self {
        let name = config.name.as_str().into();
        Self {
            tls_reloads: match config.transport.is_tls() {
                true => metrics.tls.reloads_of_listener(&name),
                false => TlsReloads::default(),
            },
            metrics: metrics.sessions.listener(&name),
            name,
            refusals: LogLimit::new(COMPLAINTS_PER_SECOND),
            failures: LogLimit::new(COMPLAINTS_PER_SECOND),
        }
    }

    /// Takes the places of a connection among those of its address, if the address does not come too often.
    pub(super) fn enter(&self, peer: SocketAddr, gate: &Gate) -> Option<Places> {
        if let Some(rate) = &gate.connect_rate
            && !rate.admit(peer.ip(), Instant::now())
        {
            self.refuse(peer, Refusal::ConnectRatePerAddress);
            return None;
        }
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
        stream: TcpStream,
        arrival: Arrival,
        places: Places,
        shared: Arc<Shared<D>>,
    ) -> impl Future<Output = ()> + Send + use<D> {
        let opened = Opened {
            stream: Stream::Tcp(stream),
            presented: Presented::default(),
        };
        self.session(opened, arrival, places, shared)
    }

    /// A session on a connection that comes through its handshakes in time. `None`: it does not.
    pub(super) async fn begin<D: Dial>(
        self: Arc<Self>,
        mut stream: TcpStream,
        mut arrival: Arrival,
        places: Option<Places>,
        gate: Gate,
        shared: Arc<Shared<D>>,
    ) -> Option<impl Future<Output = ()> + Send + use<D>> {
        // From accept on, and the same as for the CONNECT: who is slow with one has less for the others.
        let deadline = arrival.accepted_at + arrival.terms.rules.deadlines.handshake;
        let route = &mut arrival.route;
        let handshake = async {
            let places = match places {
                Some(places) => places,
                None => {
                    *route = arrival.terms.doorway.route(&mut stream, *route).await?;
                    match self.enter(route.peer, &gate) {
                        Some(places) => places,
                        None => return Ok(None),
                    }
                }
            };
            let opened = arrival.terms.doorway.open(stream).await?;
            Ok(Some((opened, places)))
        };
        let done = tokio::select! {
            biased;
            () = arrival.wave.cancelled() => Err(HandshakeError::Drain),
            done = timeout_at(deadline, handshake) => {
                done.unwrap_or(Err(HandshakeError::Timeout))
            }
        };
        match done {
            Ok(Some((opened, places))) => Some(self.session(opened, arrival, places, shared)),
            Ok(None) => None,
            Err(error) => {
                self.complain(arrival.route.peer, &error);
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
        arrival: Arrival,
        places: Places,
        shared: Arc<Shared<D>>,
    ) -> impl Future<Output = ()> + Send + use<D> {
        let Arrival {
            route,
            accepted_at,
            terms,
            wave,
        } = arrival;
        let origin = Origin {
            listener: Arc::clone(&self.name),
            attributes: Arc::clone(&terms.attributes),
            transport: terms.doorway.kind(),
            rules: Arc::clone(&terms.rules),
            mount: terms.mount.clone(),
            peer: route.peer,
            local: route.local,
            accepted_at,
            presented: opened.presented,
        };
        let session = session::serve(opened.stream, origin, shared, places.undecided, wave);
        let address = places.address;
        async move {
            session.await;
            drop(address);
        }
    }
}
