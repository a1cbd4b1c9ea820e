//! Connections and sessions: how they come, how many there are, how they end.

use std::sync::Arc;

use gatekeeper::{CloseReason, Side};
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::Labels;
use crate::transport::HandshakeError;

/// Labels of what is counted for each listener.
type OfListener = [(&'static str, Arc<str>); 1];

/// Labels of what is counted for each listener, by something else.
type OfRefusal = [(&'static str, Arc<str>); 2];

/// Connections and sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sessions {
    accepted: Family<OfListener, Counter>,
    refused: Family<OfRefusal, Counter>,
    open: Family<OfListener, Gauge>,
    closed: Family<Labels<2>, Counter>,
    violations: Family<[(&'static str, String); 2], Counter>,
    websocket_violations: Family<[(&'static str, u16); 1], Counter>,
    handshakes_failed: Family<OfRefusal, Counter>,
    accept_pauses: Family<OfListener, Counter>,
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
    /// `limits.max_connections_per_address`.
    ConnectionsPerAddress,
    /// `limits.connect_rate_per_address`.
    ConnectRatePerAddress,
    /// `listeners[].proxy_protocol.trusted`.
    UntrustedProxy,
}

impl Refusal {
    const ALL: [Self; 6] = [
        Self::Connections,
        Self::ListenerConnections,
        Self::UndecidedPerAddress,
        Self::ConnectionsPerAddress,
        Self::ConnectRatePerAddress,
        Self::UntrustedProxy,
    ];

    /// The word for it in logs and metrics.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Connections => "max_connections",
            Self::ListenerConnections => "listener_max_connections",
            Self::UndecidedPerAddress => "max_undecided_per_address",
            Self::ConnectionsPerAddress => "max_connections_per_address",
            Self::ConnectRatePerAddress => "connect_rate_per_address",
            Self::UntrustedProxy => "untrusted_proxy",
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
        registry.register(
            "websocket_violations",
            "Breaches of WebSocket that ended a client's connection, by the code of the Close",
            self.websocket_violations.clone(),
        );
        registry.register(
            "handshakes_failed",
            "Connections that ended before MQTT began, by the part of the handshake that failed",
            self.handshakes_failed.clone(),
        );
        registry.register(
            "accept_pauses",
            "Times that a listener waited because of its accept_rate",
            self.accept_pauses.clone(),
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
        let by = |family: &Family<OfRefusal, Counter>, label, value: &'static str| {
            let [listener] = labels.clone();
            family.get_or_create_owned(&[listener, (label, value.into())])
        };
        ListenerMetrics {
            handshakes_failed: HandshakeError::NAMES
                .map(|reason| (reason, by(&self.handshakes_failed, "reason", reason))),
            accept_pauses: self.accept_pauses.get_or_create_owned(&labels),
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
            CloseReason::WebSocketViolation(code) => {
                let labels = [("code", code)];
                self.websocket_violations.get_or_create(&labels).inc();
                return;
            }
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
    handshakes_failed: [(&'static str, Counter); HandshakeError::NAMES.len()],
    accept_pauses: Counter,
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

    /// A connection ended before MQTT began.
    pub(crate) fn handshake_failed(&self, error: &HandshakeError) {
        let mut all = self.handshakes_failed.iter();
        if let Some((_, counter)) = all.find(|(reason, _)| *reason == error.as_str()) {
            counter.inc();
        }
    }

    /// No connection is accepted for a while.
    pub(crate) fn accept_paused(&self) {
        self.accept_pauses.inc();
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
