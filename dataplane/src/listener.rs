//! Room 1: where clients come in. Nothing that waits stands between accept and spawn.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use gatekeeper::Rules;
use tidegate_proto::v1;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error, warn};

use crate::{
    admission::Undecided,
    config,
    drain::Waves,
    live::Live,
    log_limit::LogLimit,
    metrics::{ListenerMetrics, Metrics, Refusal},
    mount::Template,
    session,
    session::{Origin, Shared},
    socket,
    upstream::Dial,
};

/// The wait after the first failed accept, and the longest. Out of descriptors is the usual cause;
/// trying again at once would burn a core and change nothing.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// Log lines about refused connections; those who cause them can cause any number.
const COMPLAINTS_PER_SECOND: u32 = 5;

/// A bound listener.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    name: Arc<str>,
    terms: Live<Terms>,
    permits: Arc<Semaphore>,
    complaints: LogLimit,
    metrics: ListenerMetrics,
}

/// What holds for those who come in; a reload replaces it for those who come later.
#[derive(Debug)]
pub(crate) struct Terms {
    attributes: Arc<HashMap<String, String>>,
    rules: Arc<Rules>,
    mount: Option<Arc<Template>>,
}

impl Terms {
    pub(crate) fn new(config: &config::Listener, rules: Rules, mount: Option<Template>) -> Self {
        Self {
            attributes: Arc::new(config.attributes.clone().into_iter().collect()),
            rules: Arc::new(rules),
            mount: mount.map(Arc::new),
        }
    }
}

/// What bounds and ends the connections of all listeners.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// Connections at once, over all listeners.
    pub(crate) permits: Arc<Semaphore>,
    /// Connections per address whose CONNECT is not decided yet.
    pub(crate) undecided: Undecided,
    /// The sessions.
    pub(crate) sessions: TaskTracker,
    /// Cancelled when nobody is to come in any more.
    pub(crate) drain: CancellationToken,
    /// What tells the sessions to go.
    pub(crate) waves: Waves,
}

impl Listener {
    /// Binds the address, unless there is a socket already.
    pub(crate) async fn bind(
        config: &config::Listener,
        terms: Terms,
        inherited: Option<TcpListener>,
        metrics: &Metrics,
    ) -> io::Result<Self> {
        let name = config.name.as_str().into();
        Ok(Self {
            socket: match inherited {
                Some(socket) => socket,
                None => TcpListener::bind(config.bind).await?,
            },
            metrics: metrics.sessions.listener(&name),
            name,
            terms: Live::new(terms),
            permits: Arc::new(Semaphore::new(config.max_connections)),
            complaints: LogLimit::new(COMPLAINTS_PER_SECOND),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What holds for those who come in.
    pub(crate) fn terms(&self) -> &Live<Terms> {
        &self.terms
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until the drain begins.
    pub(crate) async fn serve<D: Dial>(self, gate: Gate, shared: Live<Shared<D>>) {
        let mut back_off = BACK_OFF.0;
        loop {
            let accepted = tokio::select! {
                biased;
                () = gate.drain.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    back_off = BACK_OFF.0;
                    self.admit(stream, peer, &gate, &shared);
                }
                // The connection was gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    error!(listener = &*self.name, %error, wait = ?back_off, "cannot accept");
                    tokio::select! {
                        () = gate.drain.cancelled() => return,
                        () = sleep(back_off) => {}
                    }
                    back_off = (back_off * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    /// Starts a session, or closes the connection if there are too many.
    fn admit<D: Dial>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        gate: &Gate,
        shared: &Live<Shared<D>>,
    ) {
        let Ok(own) = Arc::clone(&self.permits).try_acquire_owned() else {
            return self.refuse(peer, Refusal::ListenerConnections);
        };
        let Ok(all) = Arc::clone(&gate.permits).try_acquire_owned() else {
            return self.refuse(peer, Refusal::Connections);
        };
        let Some(undecided) = gate.undecided.enter(peer.ip()) else {
            return self.refuse(peer, Refusal::UndecidedPerAddress);
        };
        let open = self.metrics.accepted();
        let local = match socket::tune(&stream).and_then(|()| stream.local_addr()) {
            Ok(local) => local,
            Err(error) => {
                debug!(listener = &*self.name, %peer, %error, "the connection ended at once");
                return;
            }
        };
        let terms = self.terms.get();
        let origin = Origin {
            listener: Arc::clone(&self.name),
            attributes: Arc::clone(&terms.attributes),
            transport: v1::Transport::Tcp,
            rules: Arc::clone(&terms.rules),
            mount: terms.mount.clone(),
            peer,
            local,
        };
        let session = session::serve(stream, origin, shared.get(), undecided, gate.waves.next());
        gate.sessions.spawn(async move {
            session.await;
            drop((own, all, open));
        });
    }

    fn refuse(&self, peer: SocketAddr, refusal: Refusal) {
        self.metrics.refused(refusal);
        if let Some(suppressed) = self.complaints.permit() {
            let limit = refusal.as_str();
            warn!(listener = &*self.name, %peer, limit, suppressed, "connection refused");
        }
    }
}
