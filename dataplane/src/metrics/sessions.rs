//! Connections and sessions: how they come, how many there are, how they end.

use std::sync::Arc;

use gatekeeper::{CloseReason, Side};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Labels;

/// Labels of what is counted for each listener.
type OfListener = [(&'static str, Arc<str>); 1];

/// Labels of a refused connection.
type OfRefusal = [(&'static str, Arc<str>); 2];

/// Connections and sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    accepted: Family<OfListener, Counter>,
    refused: Family<OfRefusal, Counter>,
    open: Family<OfListener, Gauge>,
    closed: Family<Labels<2>, Counter>,
    violations: Family<[(&'static str, String); 2], Counter>,
}

/// The limit by which a connection was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// `limits.max_connections`.
    Connections,
    /// `listeners[].max_connections`.
    ListenerConnections,
    /// `limits.max_undecided_per_address`.
    UndecidedPerAddress,
}

impl Refusal {
    const ALL: [Self; 3] = [
        Self::Connections,
        Self::ListenerConnections,
        Self::UndecidedPerAddress,
    ];

    /// The word for it in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::ListenerConnections => "listener_max_connections",
            Self::UndecidedPerAddress => "max_undecided_per_address",
        }
    }
}

impl Sessions {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "connections_accepted",
            "Connections that were accepted",
            self.accepted.clone(),
        );
        registry.register(
            "connections_refused",
            "Connections that were closed at once, by the limit that was reached",
            self.refused.clone(),
        );
        registry.register("sessions_open", "Connections at present", self.open.clone());
        registry.register(
            "sessions_closed",
            "Connections that ended, by reason and by whose doing it was",
            self.closed.clone(),
        );
        registry.register(
            "violations",
            "Breaches of the protocol that ended a connection, by side and MQTT 5 reason code",
            self.violations.clone(),
        );
    }

    /// The handles for one listener.
    pub(crate) fn listener(&self, name: &Arc<str>) -> ListenerMetrics {
        let labels = [("listener", Arc::clone(name))];
        let refused = Refusal::ALL.map(|refusal| {
            let [listener] = labels.clone();
            let labels = [listener, ("limit", refusal.as_str().into())];
            self.refused.get_or_create_owned(&labels)
        });
        ListenerMetrics {
            accepted: self.accepted.get_or_create_owned(&labels),
            refused,
            open: self.open.get_or_create_owned(&labels),
        }
    }

    /// A session has ended.
    pub(crate) fn closed(&self, reason: CloseReason) {
        let by = reason.party().as_str();
        let labels = [("reason", reason.as_str()), ("by", by)];
        self.closed.get_or_create(&labels).inc();
        let (side, violation) = match reason {
            CloseReason::ClientViolation(violation) => (Side::Client, violation),
            CloseReason::BrokerViolation(violation) => (Side::Broker, violation),
            _ => return,
        };
        let side = match side {
            Side::Client => "client",
            Side::Broker => "broker",
        };
        let code = format!("{:#04X}", violation.code.get());
        let labels = [("side", side.to_owned()), ("code", code)];
        self.violations.get_or_create(&labels).inc();
    }
}

/// What is counted for one listener.
#[derive(Debug, Clone)]
pub(crate) struct ListenerMetrics {
    accepted: Counter,
    refused: [Counter; Refusal::ALL.len()],
    open: Gauge,
}

impl ListenerMetrics {
    /// A connection was accepted. It counts as open until the guard is dropped.
    pub(crate) fn accepted(&self) -> Open {
        self.accepted.inc();
        self.open.inc();
        Open(self.open.clone())
    }

    /// A connection was refused.
    pub(crate) fn refused(&self, refusal: Refusal) {
        self.refused[refusal as usize].inc();
    }
}

/// An open connection.
#[derive(Debug)]
pub(crate) struct Open(Gauge);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}
