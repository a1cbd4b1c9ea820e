//! What the gatekeeper wants done. The driver does it, in order, and decides nothing.

use std::collections::VecDeque;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    close::CloseReason,
    question::{QoS, Question, Ticket},
    reason::ReasonCode,
    unasked::Unasked,
};

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Ask the authorization service, and bring the answer to
    /// [`Gatekeeper::handle_verdict`](crate::Gatekeeper::handle_verdict). A
    /// [`Question::Subscribe`] with n filters uses n tickets, from this one on.
    Ask(Ticket, Question),
    /// The answer to this ticket is no longer wanted.
    Cancel(Ticket),
    /// Open the broker connection, and tell
    /// [`Gatekeeper::handle_upstream`](crate::Gatekeeper::handle_upstream).
    Dial {
        /// Who the broker will take the client for; empty if the broker is to choose. It shares the
        /// memory of the CONNECT.
        client_id: ByteString,
    },
    /// Write to the broker.
    ToBroker(Admitted),
    /// Write to the client.
    ToClient(Bytes),
    /// The session is to end because nobody decided, or as one of many that the service ends. Bring
    /// [`Gatekeeper::handle_permit`](crate::Gatekeeper::handle_permit) when there is room for one
    /// more such end, so that an outage of the service does not become a storm of reconnects. Until
    /// then nothing more is taken from the client, nothing of it leaves, and nothing is delivered to
    /// it; any other end of the session needs no permit. At most once in a session.
    FailureClose(CloseReason),
    /// Something worth recording.
    Note(Event),
    /// Write what was to be written, then close both connections. The last action of a session.
    Close(CloseReason),
}

/// Something worth recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The broker accepted the session.
    Connected {
        /// Whether the broker holds state of an earlier connection.
        session_present: bool,
    },
    /// The fate of a packet or will that was asked about, given under the ticket of its (first)
    /// question. An allowed CONNECT has none but [`Connected`](Self::Connected), or the close.
    Settled(Ticket, Fate),
    /// The broker delivered a message that the client can't take: one for which a client with a mount
    /// has no name or whose name makes it larger than its Maximum Packet Size, or one with QoS 0 behind
    /// too many that wait for its acknowledgements. It went nowhere; with QoS above 0 the gate acknowledged it.
    Undeliverable,
    /// A PUBLISH of the client, or one filter of its SUBSCRIBE, went nowhere, and nobody was asked.
    Unasked(Unasked),
    /// The broker has granted a subscription. Only if
    /// [`Rules::report_subscriptions`](crate::Rules::report_subscriptions) is set.
    Subscribed {
        /// The whole filter, as the client knows it.
        filter: ByteString,
        /// The QoS that was granted.
        qos: QoS,
    },
    /// A subscription that was granted is left: by the client, or because it is no longer allowed.
    /// Only if [`Rules::report_subscriptions`](crate::Rules::report_subscriptions) is set.
    Unsubscribed {
        /// The whole filter, as the client knows it.
        filter: ByteString,
    },
}

/// What became of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It went to the broker, all of it.
    Forwarded,
    /// A part of it went to the broker: a SUBSCRIBE with refused filters.
    ForwardedInPart,
    /// It went nowhere, and the client heard this code.
    Refused(ReasonCode),
    /// It went nowhere, and the client was told nothing, or a success.
    Dropped,
    /// It went nowhere, because its Message Expiry Interval passed while it waited; the client was
    /// told a success.
    Expired,
    /// It went nowhere, because it ended the connection.
    Closed,
}

/// Bytes that may go to the broker.
///
/// Only this crate can make one, and only from an allow, or for a packet kind that is exempt by a
/// rule with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admitted {
    bytes: Bytes,
    basis: Basis,
}

/// Why bytes may go to the broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// An allow, given under the ticket of the packet's (first) question.
    Allowed(Ticket),
    /// The packet kind needs no verdict.
    Exempt(Exempt),
}

/// Packet kinds that need no verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Exempt {
    /// PUBACK, PUBREC, PUBCOMP: answers to what the broker sent.
    Acknowledgement,
    /// PUBREL: the second half of a PUBLISH that was decided about.
    Release,
    /// PUBREL of the gate's own: the client's message is refused now, and the broker may hold it from
    /// a former connection.
    Purge,
    /// UNSUBSCRIBE: no permission may block leaving [MQTT-3.10.4-1].
    Unsubscribe,
    /// UNSUBSCRIBE of the gate's own: what was allowed is no longer.
    Withdraw,
    /// PINGREQ, the client's or the gate's own.
    Ping,
    /// DISCONNECT.
    Disconnect,
    /// DISCONNECT of the gate's own, for a client that said none: the operator does not want its
    /// will to be published.
    SuppressWill,
}

impl Admitted {
    pub(crate) fn allowed(ticket: Ticket, bytes: Bytes) -> Self {
        Self {
            bytes,
            basis: Basis::Allowed(ticket),
        }
    }

    pub(crate) fn exempt(rule: Exempt, bytes: Bytes) -> Self {
        Self {
            bytes,
            basis: Basis::Exempt(rule),
        }
    }

    /// Why these bytes may pass.
    #[must_use]
    pub fn basis(&self) -> Basis {
        self.basis
    }

    /// The bytes, one whole packet.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

/// The queue of actions that [`Gatekeeper::poll_action`](crate::Gatekeeper::poll_action) drains.
#[derive(Debug, Default)]
pub(crate) struct Actions(VecDeque<Action>);

impl Actions {
    pub(crate) fn pop(&mut self) -> Option<Action> {
        self.0.pop_front()
    }

    /// Gives back the room of actions that are done.
    pub(crate) fn rest(&mut self) {
        if self.0.is_empty() {
            self.0 = VecDeque::new();
        }
    }

    pub(crate) fn ask(&mut self, ticket: Ticket, question: Question) {
        self.0.push_back(Action::Ask(ticket, question));
    }

    pub(crate) fn cancel(&mut self, ticket: Ticket) {
        self.0.push_back(Action::Cancel(ticket));
    }

    pub(crate) fn dial(&mut self, client_id: ByteString) {
        self.0.push_back(Action::Dial { client_id });
    }

    pub(crate) fn write_broker(&mut self, admitted: Admitted) {
        self.0.push_back(Action::ToBroker(admitted));
    }

    pub(crate) fn write_client(&mut self, bytes: Bytes) {
        self.0.push_back(Action::ToClient(bytes));
    }

    pub(crate) fn settled(&mut self, ticket: Ticket, fate: Fate) {
        self.note(Event::Settled(ticket, fate));
    }

    pub(crate) fn note(&mut self, event: Event) {
        self.0.push_back(Action::Note(event));
    }

    pub(crate) fn failure_close(&mut self, reason: CloseReason) {
        self.0.push_back(Action::FailureClose(reason));
    }

    pub(crate) fn close(&mut self, reason: CloseReason) {
        self.0.push_back(Action::Close(reason));
    }
}
