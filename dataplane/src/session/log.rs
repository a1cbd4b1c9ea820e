//! Log lines about sessions, at a bounded rate: whoever can cause one can cause any number.

use std::{io, sync::Arc};

use gatekeeper::{CloseReason, Unasked};
use tracing::{debug, info};

use crate::{authz::Who, log_limit::LogLimit};

use super::Origin;

/// Lines about endings that are worth one.
const ENDINGS_PER_SECOND: u32 = 100;

/// Lines about packets that were refused and nobody was asked about.
const UNASKED_PER_SECOND: u32 = 100;

/// Lines about brokers that can't be reached: all sessions see the same one.
const UNREACHABLE_PER_SECOND: u32 = 5;

/// What sessions have to tell the operator. Clones have their bounds in common.
#[derive(Debug, Clone, Default)]
pub struct SessionLog(Arc<Bounds>);

#[derive(Debug)]
struct Bounds {
    endings: LogLimit,
    unasked: LogLimit,
    unreachable: LogLimit,
    broken: LogLimit,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            endings: LogLimit::new(ENDINGS_PER_SECOND),
            unasked: LogLimit::new(UNASKED_PER_SECOND),
            unreachable: LogLimit::new(UNREACHABLE_PER_SECOND),
            broken: LogLimit::new(UNREACHABLE_PER_SECOND),
        }
    }
}

impl SessionLog {
    /// The broker could not be dialled.
    pub(super) fn broker_unreachable(&self, error: &io::Error) {
        if let Some(suppressed) = self.0.unreachable.permit() {
            info!(%error, suppressed, "the broker cannot be reached");
        }
    }

    /// A connection to the broker broke. TLS may tell by it that the broker does not believe us.
    pub(super) fn broker_broke(&self, error: &io::Error) {
        // Brokers often close without a last word of TLS. The end of a packet is MQTT's own business.
        if error.kind() != io::ErrorKind::UnexpectedEof
            && let Some(suppressed) = self.0.broken.permit()
        {
            info!(%error, suppressed, "a connection to the broker broke");
        }
    }

    /// A packet, or one filter of it, was refused. No decision tells of it.
    pub(super) fn unasked(&self, who: &Who, unasked: Unasked) {
        if let Some(suppressed) = self.0.unasked.permit() {
            info!(
                session = who.session_id,
                client_id = who.client_id,
                principal = who.principal,
                reason = unasked.as_str(),
                suppressed,
                "refused without asking"
            );
        }
    }

    /// A session has ended.
    pub(super) fn closed(&self, who: &Who, origin: &Origin, reason: CloseReason) {
        let detail = reason.detail().map(tracing::field::display);
        macro_rules! closed {
            ($level:ident, $($suppressed:ident)?) => {
                $level!(
                    session = who.session_id,
                    client_id = who.client_id,
                    principal = who.principal,
                    listener = &*origin.listener,
                    peer = %origin.peer,
                    reason = reason.as_str(),
                    party = reason.party().as_str(),
                    detail,
                    $($suppressed,)?
                    "session closed"
                )
            };
        }
        match reason {
            // The everyday endings, and those of peers that are no MQTT clients.
            CloseReason::ClientDisconnect
            | CloseReason::ClientGone
            | CloseReason::Drain
            | CloseReason::NotMqtt
            | CloseReason::HandshakeTimeout => closed!(debug,),
            _ => {
                if let Some(suppressed) = self.0.endings.permit() {
                    closed!(info, suppressed);
                }
            }
        }
    }
}
