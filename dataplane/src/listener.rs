//! Room 1: where clients come in. Nothing that waits stands between accept and spawn.

mod entrance;
mod renewal;

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use gatekeeper::Rules;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{debug, error};

use crate::{
    admission::{AcceptRate, ConnectRate, PerAddress},
    config,
    drain::Waves,
    in_force::InForce,
    live::Live,
    metrics::{Metrics, Open, Refusal},
    mount::Template,
    session::Shared,
    socket,
    transport::{Doorway, Route},
    upstream::Dial,
};

use self::entrance::{Arrival, Entrance, Places};

/// The wait after the first failed accept, and the longest. Out of descriptors is the usual cause;
/// trying again at once would burn a core and change nothing.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// A bound listener.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    /// Among the listeners of the configuration.
    place: usize,
    permits: Arc<Semaphore>,
    accept_rate: Option<AcceptRate>,
    entrance: Arc<Entrance>,
}

/// What holds for those who come in at a listener; a reload replaces it for those who come later.
#[derive(Debug)]
pub(crate) struct Terms {
    attributes: Arc<HashMap<String, String>>,
    rules: Arc<Rules>,
    mount: Option<Arc<Template>>,
    doorway: Arc<Doorway>,
}

impl Terms {
    pub(crate) fn new(
        config: &config::Listener,
        rules: Rules,
        mount: Option<Template>,
        doorway: Arc<Doorway>,
    ) -> Self {
        Self {
            doorway,
            attributes: Arc::new(config.attributes.clone().into_iter().collect()),
            rules: Arc::new(rules),
            mount: mount.map(Arc::new),
        }
    }

    /// How connections become streams of MQTT.
    pub(crate) fn doorway(&self) -> &Arc<Doorway> {
        &self.doorway
    }
}

/// What bounds and ends the connections of all listeners.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    /// Connections at once, over all listeners.
    pub(crate) permits: Arc<Semaphore>,
    /// Connections per address in a time. `None`: no bound.
    pub(crate) connect_rate: Option<ConnectRate>,
    /// Connections per address.
    pub(crate) per_address: PerAddress,
    /// Connections per address whose CONNECT is not decided yet.
    pub(crate) undecided: PerAddress,
    /// The sessions.
    pub(crate) sessions: TaskTracker,
    /// Cancelled when nobody is to come in any more.
    pub(crate) drain: CancellationToken,
    /// What tells the sessions to go.
    pub(crate) waves: Waves,
}

/// Like `TcpListener::bind`, which has room for 128 only: a fleet that reconnects is larger.
fn listen(address: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Else the address could not be had again for a minute after a restart.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

impl Listener {
    /// Binds the address, unless there is a socket already. `place`: where its terms are in [`InForce`].
    pub(crate) async fn bind(
        config: &config::Listener,
        place: usize,
        inherited: Option<TcpListener>,
        metrics: &Metrics,
    ) -> io::Result<Self> {
        let rate = |per_second| AcceptRate::new(per_second, Instant::now());
        Ok(Self {
            socket: match inherited {
                Some(socket) => socket,
                None => listen(config.bind, config.backlog)?,
            },
            place,
            permits: Arc::new(Semaphore::new(config.max_connections)),
            accept_rate: config.accept_rate.map(rate),
            entrance: Arc::new(Entrance::new(config, metrics)),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.entrance.name
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Accepts until the drain begins.
    pub(crate) async fn serve<D: Dial>(mut self, gate: Gate, in_force: Live<InForce<D>>) {
        // Whether there is TLS stays as it is.
        if in_force.get().terms[self.place].doorway.tls().is_some() {
            let renewal = renewal::watch(in_force.clone(), self.place, Arc::clone(&self.entrance));
            tokio::spawn(gate.drain.clone().run_until_cancelled_owned(renewal));
        }
        let mut back_off = BACK_OFF.0;
        loop {
            let accepted = tokio::select! {
                biased;
                () = gate.drain.cancelled() => return,
                accepted = self.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    back_off = BACK_OFF.0;
                    self.admit(stream, peer, &gate, &in_force.get());
                }
                // The connection was gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    let listener = self.name();
                    error!(listener, %error, wait = ?back_off, "cannot accept");
                    tokio::select! {
                        () = gate.drain.cancelled() => return,
                        () = sleep(back_off) => {}
                    }
                    back_off = (back_off * 2).min(BACK_OFF.1);
                }
            }
        }
    }

    /// The next connection, when it is its turn.
    async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        if let Some(rate) = &mut self.accept_rate
            && let Some(wait) = rate.wait(Instant::now())
        {
            self.entrance.metrics.accept_paused();
            sleep(wait).await;
            // The timer may have been late, never early: there is a token.
            rate.wait(Instant::now());
        }
        let accepted = self.socket.accept().await;
        if let Some(rate) = &mut self.accept_rate {
            rate.take();
        }
        accepted
    }

    /// Starts a session, or closes the connection if there are too many.
    fn admit<D: Dial>(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        gate: &Gate,
        in_force: &InForce<D>,
    ) {
        let accepted_at = Instant::now();
        let entrance = &self.entrance;
        let shared = Arc::clone(&in_force.shared);
        // A reload that adds or removes a listener is refused: there always are some.
        let Some(terms) = in_force.terms.get(self.place).map(Arc::clone) else {
            return;
        };
        let Ok(own) = Arc::clone(&self.permits).try_acquire_owned() else {
            return entrance.refuse(peer, Refusal::ListenerConnections);
        };
        let Ok(all) = Arc::clone(&gate.permits).try_acquire_owned() else {
            return entrance.refuse(peer, Refusal::Connections);
        };
        let is_proxied = terms.doorway.is_proxied();
        if is_proxied && !terms.doorway.trusts(peer.ip()) {
            return entrance.refuse(peer, Refusal::UntrustedProxy);
        }
        // Behind a load balancer, it is not known yet whose connection it is.
        let places = match is_proxied {
            true => None,
            false => match entrance.enter(peer, gate) {
                Some(places) => Some(places),
                None => return,
            },
        };
        let open = entrance.metrics.accepted();
        let local = match socket::tune(&stream).and_then(|()| stream.local_addr()) {
            Ok(local) => local,
            Err(error) => {
                debug!(listener = self.name(), %peer, %error, "the connection ended at once");
                return;
            }
        };
        let arrival = Arrival {
            route: Route {
                peer,
                local: Some(local),
            },
            accepted_at,
            terms,
            wave: gate.waves.next(),
        };
        match places {
            Some(places) if arrival.terms.doorway.is_open() => {
                let session = entrance.begin_at_once(stream, arrival, places, shared);
                gate.sessions.spawn(at_once(session, (own, all, open)));
            }
            places => {
                let (entrance, gate_) = (Arc::clone(entrance), gate.clone());
                gate.sessions.spawn(after_handshakes(
                    entrance,
                    stream,
                    arrival,
                    places,
                    gate_,
                    shared,
                    (own, all, open),
                ));
            }
        }
    }
}

/// What a connection holds to its end.
type Held = (OwnedSemaphorePermit, OwnedSemaphorePermit, Open);

/// The task of a connection that needs no handshake.
#[expect(
    clippy::manual_async_fn,
    reason = "an `async fn` has room for what it is given twice"
)]
fn at_once<F: Future<Output = ()> + Send>(
    session: F,
    held: Held,
) -> impl Future<Output = ()> + Send + use<F> {
    async move {
        session.await;
        drop(held);
    }
}

/// The task of one that does.
#[expect(clippy::manual_async_fn, reason = "as above")]
fn after_handshakes<D: Dial>(
    entrance: Arc<Entrance>,
    stream: TcpStream,
    arrival: Arrival,
    places: Option<Places>,
    gate: Gate,
    shared: Arc<Shared<D>>,
    held: Held,
) -> impl Future<Output = ()> + Send + use<D> {
    async move {
        // Only the beginning needs the room for it.
        let begun = entrance.begin(stream, arrival, places, gate, shared);
        if let Some(session) = Box::pin(begun).await {
            session.await;
        }
        drop(held);
    }
}

#[cfg(test)]
mod sizes;
