//! Metrics: what is counted, and the handles by which it is counted.
//!
//! A handle costs a few nanoseconds, finding one by its labels ten times as much. So what happens for
//! every packet has its handles made beforehand; only what happens once per session is looked up. What
//! the decision pipeline counts for itself is read when somebody asks (`authz`).
//!
//! No label holds what a peer chose: no client, topic or user, or the number of series would be theirs
//! to choose. All values are of closed vocabularies, but the names of listeners, which are the
//! operator's.
//!
//! A new metric is a field of a struct in here, registered where it is made.

mod authz;
mod classic;
mod control;
mod dials;
mod packets;
mod page;
mod reload;
mod sessions;
mod spans;
mod tls;
mod unasked;

use std::sync::Arc;

use prometheus_client::{
    metrics::{counter::Counter, info::Info},
    registry::Registry,
};

use crate::authz::Counters;

pub use self::dials::DialMetrics;
pub(crate) use self::{
    control::{ControlMetrics, Overseen},
    packets::{Packets, fate_word},
    page::page,
    reload::ReloadMetrics,
    sessions::{ListenerMetrics, Open, Refusal, Sessions},
    tls::{Certificates, TlsMetrics, TlsReloads, TlsSide},
    unasked::RefusedUnasked,
};

/// The handles. Cheap to clone; clones count together.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    pub(crate) sessions: Sessions,
    pub(crate) packets: Arc<Packets>,
    pub(crate) unasked: Arc<RefusedUnasked>,
    /// Deliveries of the broker that did not reach the client, and were acknowledged all the same.
    pub(crate) deliveries_dropped: Counter,
    pub(crate) control: ControlMetrics,
    pub(crate) reload: ReloadMetrics,
    pub(crate) tls: TlsMetrics,
    pub(crate) dials: DialMetrics,
}

impl Metrics {
    /// All metrics of a gate, and a registry to read them. Some count from before they are registered.
    pub(crate) fn registered(
        authz: &Arc<Counters>,
        overseen: Overseen,
        tls: TlsMetrics,
        spans: tidegate_telemetry::Counters,
    ) -> (Self, Registry) {
        let metrics = Self {
            tls,
            ..Self::default()
        };
        let mut registry = Registry::with_prefix("tidegate");
        registry.register(
            "build",
            "Version of the program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        metrics.sessions.register(&mut registry);
        metrics.packets.register(&mut registry);
        metrics.unasked.register(&mut registry);
        registry.register(
            "deliveries_dropped",
            "Deliveries of the broker that the client did not get",
            metrics.deliveries_dropped.clone(),
        );
        metrics.control.register(&mut registry);
        metrics.reload.register(&mut registry);
        metrics.tls.register(&mut registry);
        metrics.dials.register(&mut registry);
        registry.register_collector(Box::new(authz::Collected(Arc::clone(authz))));
        registry.register_collector(Box::new(overseen));
        registry.register_collector(Box::new(spans::Spans(spans)));
        (metrics, registry)
    }
}

/// Labels: their names, and their values of a closed vocabulary.
type Labels<const N: usize> = [(&'static str, &'static str); N];
