//! Certificates: how long they are good, and how they are read again.

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, counter::Counter, family::Family, gauge::ConstGauge},
    registry::Registry,
};

use crate::{app::BrokerLeg, in_force::InForce, live::Live};

/// Labels of what is counted for each listener with TLS, and for each connection of our own: whom it is shown to, the
/// listener (empty for our own), and the result.
type OfReload = [(&'static str, Arc<str>); 3];

/// What is counted of the files of TLS.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsMetrics {
    reloads: Family<OfReload, Counter>,
}

/// The same for one listener, or for one connection of our own.
#[derive(Debug, Clone, Default)]
pub(crate) struct TlsReloads {
    done: Counter,
    failed: Counter,
}

/// Whose files they are, by those to whom the certificate is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TlsSide {
    /// `broker.tls`.
    Broker,
    /// `authz.tls`.
    Authz,
}

impl TlsSide {
    fn as_str(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Authz => "authz",
        }
    }
}

impl TlsMetrics {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "tls_reloads",
            "Times that files of TLS had changed, by what came of reading them",
            self.reloads.clone(),
        );
    }

    /// For a listener.
    pub(crate) fn reloads_of_listener(&self, name: &Arc<str>) -> TlsReloads {
        self.reloads("client", name)
    }

    /// For connections of our own.
    pub(crate) fn reloads_of(&self, side: TlsSide) -> TlsReloads {
        self.reloads(side.as_str(), &"".into())
    }

    fn reloads(&self, side: &str, listener: &Arc<str>) -> TlsReloads {
        let by = |result: &str| {
            let labels = [
                ("side", side.into()),
                ("listener", Arc::clone(listener)),
                ("result", result.into()),
            ];
            self.reloads.get_or_create_owned(&labels)
        };
        TlsReloads {
            done: by("done"),
            failed: by("failed"),
        }
    }
}

impl TlsReloads {
    /// The files had changed, and count, or can't be used.
    pub(crate) fn count(&self, is_done: bool) {
        if is_done { &self.done } else { &self.failed }.inc();
    }
}

/// The certificates in use, looked at when somebody asks.
#[derive(Debug)]
pub(crate) struct Certificates {
    /// The names of the listeners.
    pub(crate) listeners: Vec<Arc<str>>,
    pub(crate) in_force: Live<InForce<BrokerLeg>>,
}

impl Collector for Certificates {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let in_force = self.in_force.get();
        let shared = &in_force.shared;
        let own = [
            (TlsSide::Broker, shared.upstream.not_after()),
            (TlsSide::Authz, shared.authz.not_after()),
        ];
        let own = own
            .into_iter()
            .map(|(side, not_after)| (side.as_str(), "", 0, not_after));
        let listeners = std::iter::zip(&self.listeners, &in_force.terms);
        let listeners = listeners.flat_map(|(name, terms)| {
            let all = terms.doorway().tls().map(|tls| tls.not_after());
            let all = all.unwrap_or_default().into_iter().enumerate();
            all.map(|(place, not_after)| ("client", &**name, place, not_after))
        });
        let known: Vec<_> = listeners
            .chain(own)
            .filter_map(|(side, listener, place, not_after)| {
                Some((side, listener, place, not_after?))
            })
            .collect();
        if known.is_empty() {
            return Ok(());
        }
        let mut metric = encoder.encode_descriptor(
            "tls_certificate_not_after_timestamp_seconds",
            "When the first certificate of a chain of the gate's own expires, in Unix time, by its place in the configuration.",
            None,
            MetricType::Gauge,
        )?;
        for (side, listener, place, not_after) in known {
            let place = place.to_string();
            let labels = [
                ("side", side),
                ("listener", listener),
                ("certificate", &*place),
            ];
            ConstGauge::new(not_after).encode(metric.encode_family(&labels)?)?;
        }
        Ok(())
    }
}
