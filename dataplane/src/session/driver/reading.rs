//! What comes in: packets and ends, as far as there is room for what they may cause.

use gatekeeper::Side;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use crate::{framing::Leg, upstream::Dial};

use super::{Driver, now};

/// Frames of one side that are taken before the other side, and other tasks, get their turn.
const FRAMES_PER_TURN: usize = 64;

impl<S, D, U> Driver<S, D, U>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
    D: Dial,
    U: Send,
{
    /// Takes what both sides have sent, as far as it is wanted. Tells whether more is there.
    pub(super) fn take_frames(&mut self) -> bool {
        // The broker first: its CONNACK opens the way for what the client has sent already.
        let reads_broker = self.client_leg.takes_more();
        self.gate.handle_reading(Side::Broker, reads_broker, now());
        let broker_more = reads_broker && self.take_frames_of(Side::Broker);

        let reads_client = self.reads_client();
        self.gate.handle_reading(Side::Client, reads_client, now());
        let client_more = reads_client && self.take_frames_of(Side::Client);
        self.tell_ends();
        broker_more || client_more
    }

    /// Whether there is room for what a packet of the client may cause: bytes for the broker, an
    /// answer for the client, checks for the service.
    fn reads_client(&mut self) -> bool {
        self.has_room()
            && self.client_leg.takes_more()
            && self.broker_leg.as_ref().is_none_or(Leg::takes_more)
    }

    /// Whether there is room in the lanes to the service. A CONNECT has a lane of its own, which refuses it
    /// in words if it is full.
    fn has_room(&mut self) -> bool {
        let (authz, seat) = (&self.shared.authz, self.client.seat());
        if self.lane.is_none() && self.gate.is_live() && authz.must_wait(seat) {
            self.lane = Some(authz.wait(seat));
        }
        self.lane.is_none()
    }

    /// Takes what this side has sent, as far as there is room for what it may cause for the client.
    /// Tells whether more may be there.
    fn take_frames_of(&mut self, side: Side) -> bool {
        // What is there has come, whenever its turn is: its time begins now.
        let read_at = Instant::now();
        for _ in 0..FRAMES_PER_TURN {
            if !self.gate.wants_read(side) || !self.client_leg.takes_more() {
                return false;
            }
            if side == Side::Client && !self.has_room() {
                return false;
            }
            let max_size = self.gate.max_packet_size(side);
            let next = match (side, &mut self.broker_leg) {
                (Side::Client, _) => self.client_leg.next_frame(max_size),
                (Side::Broker, Some(broker_leg)) => broker_leg.next_frame(max_size),
                (Side::Broker, None) => return false,
            };
            match next {
                Ok(Some(frame)) => {
                    let at = self.tell(read_at);
                    self.gate.handle_frame(side, frame, at);
                }
                Ok(None) => return false,
                Err(violation) => {
                    self.gate.handle_violation(side, violation, now());
                    return false;
                }
            }
            self.perform();
        }
        true
    }

    /// Tells the gatekeeper of connections that have ended, once all that came before is taken: a
    /// client may send CONNECT, PUBLISH and DISCONNECT in one go, and leave.
    fn tell_ends(&mut self) {
        let wanted = self.gate.wants_read(Side::Client);
        if self.client_leg.take_end(wanted) {
            match self.client_leg.close_code() {
                Some(code) => self.gate.handle_websocket_violation(code, now()),
                None => self.gate.handle_eof(Side::Client, now()),
            }
        }
        let wanted = self.gate.wants_read(Side::Broker);
        if let Some(broker_leg) = &mut self.broker_leg
            && broker_leg.take_end(wanted)
        {
            self.gate.handle_eof(Side::Broker, now());
        }
    }
}
