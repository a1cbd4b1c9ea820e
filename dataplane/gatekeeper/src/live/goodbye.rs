//! The client's DISCONNECT on its way to the broker.

use bytes::Bytes;

use crate::{
    frame::Frame,
    gatekeeper::Context,
    violation::Violation,
    wire::{connect::Connect, disconnect},
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
        let goodbye = disconnect::read(&frame, self.version)?;
        check_user_properties(&goodbye.raw_properties, cx)?;
        let SessionExpiry { asked, sent, bound } = self.expiry;
        match goodbye.session_expiry {
            Some(1..) if asked == 0 => Err(Violation::protocol(
                "DISCONNECT raises the session expiry interval from 0",
                "§3.14.2.2.2",
            )),
            // The broker believes that there is no session to keep, and would take any value for a
            // raise from 0.
            Some(_) if asked > 0 && sent == 0 => Ok(goodbye.without_session_expiry()),
            Some(seconds) if seconds > bound => goodbye
                .with_session_expiry(bound)
                .map_err(|_| Violation::too_large("DISCONNECT beyond all bounds", "§3.14.2.2")),
            _ => Ok(frame.into_canonical()),
        }
    }
}
