//! The gRPC server: connections, and how long they last.
//!
//! Tonic's own server can neither renew its certificate nor end old connections in good order, and its TLS waits for
//! each handshake without a bound. So the connections are taken here, and Tonic has the calls.
//!
//! ```text
//!   accept ─► arrival (TLS; preface) ─► HTTP/2 ─► calls
//!   never     10 s, the oldest of too   until it is old (GOAWAY), or the end of
//!   waits     many goes                 the program
//! ```

mod arrivals;
mod connection;
mod lifetime;
mod preface;
mod seldom;
mod socket;
pub(crate) mod tls;

use std::{sync::Arc, time::Duration};

use tokio::{sync::Semaphore, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use tracing::warn;

use self::{arrivals::Arrivals, connection::Connection, seldom::Seldom, tls::Tls};
pub(crate) use self::{
    lifetime::{Lifetime, OpenWatch},
    socket::Socket,
};
use crate::config::ServerConfig;

/// Connections at the same time. A data plane has a handful.
const MAX_CONNECTIONS: usize = 4_096;
/// After a failed accept. With no file descriptors left it would fail again at once, for ever.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A server that has its socket.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) socket: Socket,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) routes: Routes,
    pub(crate) settings: ServerConfig,
}

impl Server {
    /// Serves until `stop`; then no more connections are taken, those that are open are told to go, and this ends with
    /// the last one. Whoever has no patience drops it: that ends all at once.
    pub(crate) async fn serve(self, stop: CancellationToken) {
        // Ends what is open when this is dropped.
        let dropped = CancellationToken::new();
        let _guard = dropped.clone().drop_guard();
        let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let connections = TaskTracker::new();
        let mut arrivals = Arrivals::default();
        let told = Arc::new(Seldom::default());
        while let Some(accepted) = stop.run_until_cancelled(self.socket.accept()).await {
            let stream = match accepted {
                Ok(stream) => stream,
                Err(error) => {
                    warn!(%error, "cannot accept a connection");
                    let _ = stop.run_until_cancelled(sleep(ACCEPT_PAUSE)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                if let Some(left_out) = told.turn() {
                    warn!(
                        left_out,
                        "{MAX_CONNECTIONS} connections are open; refusing more"
                    );
                }
                continue;
            };
            let connection = Connection {
                tls: self.tls.clone(),
                routes: self.routes.clone(),
                settings: self.settings.clone(),
                lifetime: Lifetime::new(stop.clone()),
                arrived: arrivals.add(),
                told: Arc::clone(&told),
            };
            let dropped = dropped.clone();
            connections.spawn(async move {
                let _place = place;
                let _ = dropped.run_until_cancelled(connection.run(stream)).await;
            });
        }
        drop(self.socket);
        connections.close();
        connections.wait().await;
    }
}
