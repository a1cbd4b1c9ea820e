//! Metrics: what is counted, and the page that shows it.
//!
//! No label holds what a peer chose: no client, topic or user; and the names of roles are not labels either. The data
//! plane's own metrics of the same decisions begin with `tidegate_authz_`, these with `tidegate_authz_service_`.

mod checks;
mod observed;
mod page;
mod reload;
mod sources;
mod spans;

use prometheus_client::{metrics::info::Info, registry::Registry};

pub(crate) use self::{
    checks::{HookMetrics, Tally},
    observed::Observed,
    page::{CONTENT_TYPE, page},
    reload::ReloadMetrics,
    sources::{Metered, SourceMetrics},
    spans::Spans,
};

/// The handles. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub(crate) struct Metrics {
    pub(crate) connect: HookMetrics,
    pub(crate) publish: HookMetrics,
    pub(crate) subscribe: HookMetrics,
    pub(crate) sources: SourceMetrics,
    pub(crate) reload: ReloadMetrics,
}

impl Metrics {
    /// All metrics, and a registry to read them.
    pub(crate) fn registered() -> (Self, Registry) {
        let mut registry = Registry::with_prefix("tidegate_authz_service");
        registry.register(
            "build",
            "Version of the program",
            Info::new([("version", env!("CARGO_PKG_VERSION"))]),
        );
        let [connect, publish, subscribe] = checks::register(&mut registry);
        let metrics = Self {
            connect,
            publish,
            subscribe,
            sources: SourceMetrics::register(&mut registry),
            reload: ReloadMetrics::register(&mut registry),
        };
        (metrics, registry)
    }
}

/// Labels: their names, and their values of a closed vocabulary.
type Labels<const N: usize> = [(&'static str, &'static str); N];
