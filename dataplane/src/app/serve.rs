//! A gate that is bound: it serves, and ends.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::select;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::info;

use super::BrokerLeg;
use crate::{
    admin::Admin,
    authz::Counters,
    config,
    control::Control,
    drain::{Draining, Ending, Stop},
    events::Reporter,
    in_force::InForce,
    listener::{Gate, Listener},
    live::Live,
    probes::{Probes, Readiness},
    reload::Reloader,
    systemd::Notifier,
    web::{self, LAST_ANSWERS, Socket},
};

/// For the last events to be reported.
const LAST_REPORTS: Duration = Duration::from_secs(2);

/// A gate whose listeners are bound and not yet served.
#[derive(Debug)]
pub struct Bound {
    pub(super) listeners: Vec<Listener>,
    pub(super) addresses: Vec<(String, SocketAddr)>,
    pub(super) probes: Option<(Socket, Arc<Probes>)>,
    pub(super) admin: Option<(Socket, Arc<Admin>)>,
    pub(super) gate: Gate,
    pub(super) in_force: Live<InForce<BrokerLeg>>,
    pub(super) drain: Live<config::Drain>,
    pub(super) stop: Stop,
    pub(super) readiness: Readiness,
    pub(super) counters: Arc<Counters>,
    pub(super) reloader: Reloader,
    pub(super) notifier: Notifier,
    pub(super) watch: Option<Control>,
    pub(super) reporter: Option<Reporter>,
}

impl Bound {
    /// Name and address of each listener, with the port that was taken.
    #[must_use]
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// Address of `/metrics`, with the port that was taken. `None`: it is not served.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.probes.as_ref()?.0.tcp_address()
    }

    /// What takes a new configuration.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Where the end is asked for.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Serves until `stop` is done or somebody asks for the end, then drains and returns.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let accepting = TaskTracker::new();
        for listener in self.listeners {
            info!(
                listener = listener.name(),
                address = %listener.local_addr().map_or_else(|_| String::new(), |at| at.to_string()),
                "listening"
            );
            accepting.spawn(listener.serve(self.gate.clone(), self.in_force.clone()));
        }
        // They answer as long as there is something to be seen, the drain included.
        let is_asked = self.probes.is_some() || self.admin.is_some();
        let served = CancellationToken::new();
        let _served = served.clone().drop_guard();
        let serving = TaskTracker::new();
        if let Some((socket, probes)) = self.probes {
            info!(address = socket.address(), "serving probes and metrics");
            serving.spawn(web::serve(socket, probes, served.clone()));
        }
        if let Some((socket, admin)) = self.admin {
            info!(address = socket.address(), "serving the administrator");
            serving.spawn(web::serve(socket, admin, served.clone()));
        }
        let companions = CancellationToken::new();
        let _companions = companions.clone().drop_guard();
        if is_asked {
            let looking = self.readiness.watch(Arc::clone(&self.counters));
            tokio::spawn(companions.clone().run_until_cancelled_owned(looking));
        }
        let alive = self.notifier.clone().keep_alive();
        tokio::spawn(companions.run_until_cancelled_owned(alive));
        self.notifier.ready("serving");

        select! {
            () = stop => self.stop.ask(Ending::Drain),
            () = self.stop.reached(Ending::Drain) => {}
        }

        let times = (*self.drain.get()).clone();
        let whole = times.delay + times.duration + times.timeout + LAST_REPORTS + LAST_ANSWERS;
        self.notifier.stopping(whole);
        let draining = Draining {
            times,
            accept: self.gate.drain,
            accepting,
            waves: self.gate.waves,
            sessions: self.gate.sessions,
            stop: self.stop,
        };
        draining.run().await;
        // Directives count up to the end of the last session.
        drop(self.watch);
        if let Some(reporter) = self.reporter {
            reporter.finish(LAST_REPORTS).await;
        }
        // They take the files of their sockets with them.
        served.cancel();
        serving.close();
        serving.wait().await;
    }
}
