//! The client's DISCONNECT on its way to the broker.

use bytes::Bytes;

use crate::{
    frame::Frame,
    gatekeeper::Context,
    violation::Violation,
    wire::{
        connect::Connect,
        disconnect::{self, Disconnect},
    },
};

use super::{Live, uplink::check_user_properties};

/// What was said about the length of the session, in seconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionExpiry {
    /// By the client, in its CONNECT.
    asked: u32,
    /// To the broker, in the same.
    sent: u32,
    /// The most that the broker may be asked for.
    bound: u32,
}

impl SessionExpiry {
    pub(super) fn new(asked: &Connect, sent: &Connect, bound: u32) -> Self {
        let of = |connect: &Connect| connect.properties.session_expiry.unwrap_or(0);
        Self {
            asked: of(asked),
            sent: of(sent),
            bound,
        }
    }
}

impl Live {
    /// The DISCONNECT for the broker. What the client may say in it hangs on what the client said
    /// before; what the broker may hear, on what the broker was told.
    pub(super) fn goodbye(&self, frame: Frame, cx: &Context<'_>) -> Result<Bytes, Violation> {
        const TOO_LARGE: Violation =
            Violation::too_large("DISCONNECT beyond all bounds", "§3.14.2.2");

        let goodbye = disconnect::read(&frame, self.version)?;
        check_user_properties(&goodbye.raw_properties, cx)?;
        let SessionExpiry { asked, sent, bound } = self.expiry;
        let expiry = match goodbye.session_expiry {
            Some(1..) if asked == 0 => {
                return Err(Violation::protocol(
                    "DISCONNECT raises the session expiry interval from 0",
                    "§3.14.2.2.2",
                ));
            }
            // The broker believes that there is no session to keep, and would take any value for a
            // raise from 0.
            Some(_) if asked > 0 && sent == 0 => None,
            Some(seconds) => Some(seconds.min(bound)),
            None => None,
        };
        if self.has_will && goodbye.code.is_refusal() {
            // [MQTT-3.1.2-8], and there are brokers that drop the will after any code but 0x04.
            return Disconnect::with_will(expiry).map_err(|_| TOO_LARGE);
        }
        match (goodbye.session_expiry, expiry) {
            (before, after) if before == after => Ok(frame.into_canonical()),
            (_, None) => Ok(goodbye.without_session_expiry()),
            (_, Some(seconds)) => goodbye.with_session_expiry(seconds).map_err(|_| TOO_LARGE),
        }
    }
}
