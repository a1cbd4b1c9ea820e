//! A session ends for a cause that is there, and the client hears the code that goes with it, if
//! its version has a word for it (invariant 9, reason-code tables).

use gatekeeper::{
    CloseReason, ReasonCode, Side, Ticket, Verdict, Version, Why,
    reason::{Place, Sender},
};

use crate::{
    fault::{Checked, ensure},
    packet,
};

use super::{Input, Shadow, table::Code};

/// What the client hears last.
#[derive(Debug, PartialEq)]
enum Farewell {
    Nothing,
    /// Its reason code on MQTT 5.0, its return code on MQTT 3.x.
    Connack(Code, Option<u8>),
    Disconnect(Code),
    /// What the broker said.
    Passed,
    /// A CONNACK, in whatever form, or nothing: the CONNECT was not understood.
    Any,
}

impl Shadow {
    /// Checks the end.
    pub(super) fn ended(&self, reason: CloseReason, input: &Input) -> Checked {
        ensure!(
            self.is_justified(reason, input),
            "{reason:?} without a cause"
        );
        let expected = match self.live {
            true => self.farewell_live(reason, input),
            false => self.farewell_opening(reason, input),
        };
        // The one that began a session does not end it.
        let connack = self.handshake.connack.as_deref().filter(|_| !self.live);
        let connack = connack.and_then(packet::body);
        let disconnect = self.goodbye;
        let right = match (&expected, connack, disconnect) {
            (Farewell::Nothing, None, None) => true,
            (Farewell::Connack(v5, v3), Some(body), None) => match (self.version, body) {
                (Version::V5, [0, code, _, ..]) => v5.admits(*code, Place::Connack),
                (Version::V31 | Version::V311, [0, code @ 1..=5]) => {
                    v3.is_none_or(|v3| v3 == *code)
                }
                _ => false,
            },
            (Farewell::Disconnect(code), None, Some(says)) => {
                self.version == Version::V5 && code.admits(says, Place::Disconnect)
            }
            (Farewell::Disconnect(_), None, None) => self.version.is_v3(),
            (Farewell::Passed, ..) => true,
            (Farewell::Any, None, None) => true,
            (Farewell::Any, Some([0, 1..=5]), None) => true,
            (Farewell::Any, Some([0, code, _, ..]), None) => {
                let code = ReasonCode::new(*code);
                code.is_refusal() && code.is_legal(Place::Connack, Sender::Server)
            }
            _ => false,
        };
        ensure!(
            right,
            "{reason:?}: {expected:?} is to be said, CONNACK {connack:02x?} or DISCONNECT \
             {disconnect:02x?} was"
        );
        Ok(())
    }

    fn farewell_live(&self, reason: CloseReason, input: &Input) -> Farewell {
        let code = match reason {
            CloseReason::ClientDisconnect | CloseReason::ClientGone | CloseReason::BrokerGone => {
                return Farewell::Nothing;
            }
            CloseReason::BrokerDisconnect => return Farewell::Passed,
            CloseReason::ClientViolation(violation) => Code::Exactly(violation.code.get()),
            CloseReason::KeepAliveTimeout => Code::Exactly(0x8D),
            CloseReason::Expired => Code::Exactly(0xA0),
            CloseReason::Drain => Code::Exactly(0x8B),
            CloseReason::ClientStalled => Code::Exactly(0x97),
            CloseReason::BrokerUnresponsive | CloseReason::BrokerViolation(_) => {
                Code::Exactly(0x80)
            }
            CloseReason::Revoked => Code::Exactly(revoked(input, 0x98, Place::Disconnect)),
            _ => match self.fatal {
                Some((_, code)) => code,
                None => Code::AnyRefusal,
            },
        };
        Farewell::Disconnect(code)
    }

    fn farewell_opening(&self, reason: CloseReason, input: &Input) -> Farewell {
        let unavailable = Farewell::Connack(Code::Exactly(0x88), Some(3));
        let heard = self.handshake.is_heard();
        match reason {
            CloseReason::ClientGone | CloseReason::HandshakeTimeout | CloseReason::NotMqtt => {
                Farewell::Nothing
            }
            CloseReason::Drain | CloseReason::ClientStalled | CloseReason::BrokerUnresponsive
                if !heard =>
            {
                Farewell::Nothing
            }
            CloseReason::ClientViolation(violation) if heard => match self.version {
                Version::V5 => Farewell::Connack(Code::Exactly(violation.code.get()), None),
                Version::V31 | Version::V311 => Farewell::Nothing,
            },
            CloseReason::ClientViolation(_) | CloseReason::UnsupportedVersion => Farewell::Any,
            CloseReason::BadAuthenticationMethod => Farewell::Connack(Code::Exactly(0x8C), Some(5)),
            CloseReason::ClientIdentifierRejected => {
                Farewell::Connack(Code::Exactly(0x85), Some(2))
            }
            CloseReason::ConnectDenied => self.farewell_denied(self.handshake.connect_ticket),
            CloseReason::WillDenied => self.farewell_denied(self.handshake.will_ticket),
            CloseReason::ConnectUndecided(why) | CloseReason::WillUndecided(why) => match why {
                why if why.is_permanent() => Farewell::Connack(Code::Exactly(0x87), Some(5)),
                why if why.is_overload() => Farewell::Connack(Code::Exactly(0x89), Some(3)),
                _ => unavailable,
            },
            CloseReason::BrokerRefused => Farewell::Passed,
            CloseReason::Revoked if !heard => Farewell::Nothing,
            CloseReason::Revoked => {
                Farewell::Connack(Code::Exactly(revoked(input, 0x87, Place::Connack)), None)
            }
            _ => unavailable,
        }
    }

    fn farewell_denied(&self, ticket: Option<Ticket>) -> Farewell {
        let Some(Verdict::Deny(deny)) = self.outcome(ticket) else {
            return Farewell::Nothing;
        };
        let v3 = match deny.code.map(ReasonCode::get) {
            None | Some(0x87) => Some(5),
            Some(0x85) => Some(2),
            Some(0x86) => Some(4),
            _ => None,
        };
        Farewell::Connack(Code::asked_for(deny.code, Place::Connack), v3)
    }

    fn is_justified(&self, reason: CloseReason, input: &Input) -> bool {
        let deadlines = &self.rules.deadlines;
        match reason {
            CloseReason::ClientDisconnect => self.said_goodbye,
            CloseReason::ClientGone => self.told.client_end && self.has_lingered(),
            CloseReason::BrokerGone => self.told.broker_end,
            CloseReason::Drain => self.told.drain && self.has_lingered(),
            CloseReason::ClientStalled => matches!(input, Input::Stall(Side::Client)),
            // The driver says so, and these stories do not.
            CloseReason::PacketTimeout | CloseReason::WebSocketViolation(_) => false,
            CloseReason::Revoked => match input {
                Input::Terminate(_) => true,
                Input::Permit => self.waits_for_permit == Some(reason),
                _ => self.told.recheck && self.resumed && self.leaves_anyway(),
            },
            CloseReason::KeepAliveTimeout => self.keep_alive.client_is_silent(self.now),
            CloseReason::BrokerUnresponsive => {
                let patience = deadlines.broker_ping;
                matches!(input, Input::Stall(Side::Broker))
                    || self.keep_alive.broker_is_silent(self.now, patience)
                    || self
                        .withdrawals
                        .first()
                        .is_some_and(|(_, sent)| self.now >= sent + millis(patience))
            }
            CloseReason::HandshakeTimeout => {
                !self.handshake.is_heard() && self.now >= millis(deadlines.handshake)
            }
            CloseReason::NotMqtt
            | CloseReason::UnsupportedVersion
            | CloseReason::BadAuthenticationMethod
            | CloseReason::ClientIdentifierRejected => self.client_illegal,
            // A CONNACK of the gate has more properties than that has room for.
            CloseReason::ClientViolation(violation)
                if !self.live && violation.code == ReasonCode::PACKET_TOO_LARGE =>
            {
                self.client_illegal || self.client_takes < 45
            }
            CloseReason::ClientViolation(_) => self.client_illegal || self.step.misuse.is_some(),
            CloseReason::BrokerViolation(_) => self.broker_illegal || self.step.overrun,
            CloseReason::BrokerUnreachable => matches!(input, Input::Upstream(false)),
            CloseReason::BrokerTimeout => self
                .handshake
                .dialled_at
                .is_some_and(|at| !self.live && self.now >= at + millis(deadlines.broker_connect)),
            CloseReason::BrokerRefused => {
                !self.live && matches!(input, Input::BrokerFrame(bytes) if bytes[0] == 0x20)
            }
            CloseReason::BrokerDisconnect => {
                matches!(input, Input::BrokerFrame(bytes) if bytes[0] == 0xE0)
            }
            CloseReason::ConnectDenied => self.is_denied(self.handshake.connect_ticket),
            CloseReason::WillDenied => self.is_denied(self.handshake.will_ticket),
            CloseReason::ConnectUndecided(Why::InvalidMutation) => true,
            CloseReason::ConnectUndecided(why) => {
                self.is_undecided(self.handshake.connect_ticket, why)
            }
            CloseReason::WillUndecided(why) => self.is_undecided(self.handshake.will_ticket, why),
            CloseReason::Expired => self.expires_at().is_some_and(|at| self.instant() >= at),
            CloseReason::PublishDenied
            | CloseReason::SubscribeDenied
            | CloseReason::PublishUndecided(_)
            | CloseReason::SubscribeUndecided(_)
            | CloseReason::SessionStateInvalid => {
                let denied = matches!(
                    reason,
                    CloseReason::PublishDenied | CloseReason::SubscribeDenied
                );
                let permitted = match self.waits_for_permit {
                    Some(waits) => waits == reason && matches!(input, Input::Permit),
                    None => denied || self.leaves_anyway(),
                };
                permitted && self.fatal.is_some_and(|(cause, _)| cause == reason)
            }
        }
    }

    /// Whether what was read before the end had its time to be decided.
    fn has_lingered(&self) -> bool {
        let linger = millis(self.rules.deadlines.linger);
        let is_over = |since| self.now >= since + linger;
        !self.live || !self.step.gave_up || self.told.ending_since.is_some_and(is_over)
    }

    fn is_denied(&self, ticket: Option<Ticket>) -> bool {
        matches!(self.outcome(ticket), Some(Verdict::Deny(_)))
    }

    fn is_undecided(&self, ticket: Option<Ticket>, why: Why) -> bool {
        self.outcome(ticket) == Some(&Verdict::Unavailable(why))
    }

    fn outcome(&self, ticket: Option<Ticket>) -> Option<&Verdict> {
        self.asks.outcome(ticket?)
    }
}

/// The code of the service, or another one where it may not stand or tells of a success.
fn revoked(input: &Input, instead: u8, place: Place) -> u8 {
    match *input {
        Input::Terminate(code @ 0x80..)
            if ReasonCode::new(code).is_legal(place, Sender::Server) =>
        {
            code
        }
        _ => instead,
    }
}

/// A packet of the gate's own explains itself only to those who want it, and within their size.
pub(super) fn explained(
    bytes: &[u8],
    properties: &packet::Properties,
    wanted: bool,
    client_takes: usize,
) -> Checked {
    ensure!(
        properties.is_empty() || wanted,
        "an explanation that nobody asked for"
    );
    ensure!(
        properties.is_empty() || bytes.len() <= client_takes,
        "an explanation that makes the packet too large"
    );
    Ok(())
}

/// Reads a code as what a DISCONNECT of a server may say.
pub(super) fn may_say(code: u8) -> bool {
    ReasonCode::new(code).is_legal(Place::Disconnect, Sender::Server)
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
