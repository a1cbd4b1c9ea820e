//! All decisions of Tidegate about MQTT bytes, without IO and without a clock.
//!
//! A [`Gatekeeper`] stands between one client and its broker connection. The driver tells it what
//! happened (a packet, a verdict, an end, the time), then drains what is to be done:
//!
//! ```text
//!             handle_frame(Client, …)                       poll_action
//!  client ─────────────────────────►  ┌────────────┐  ToBroker(Admitted) ──► broker
//!                                     │            │  ToClient(Bytes) ─────► client
//!  broker ─────────────────────────►  │ Gatekeeper │  Ask(Ticket, Question) ► service
//!             handle_frame(Broker, …) │            │  Cancel, Dial, Note, …, Close
//!  service ────────────────────────►  └────────────┘
//!             handle_verdict          handle_timeout ◄── poll_timeout
//! ```
//!
//! # Contract
//!
//! * After every call of a `handle_…` method drain [`Gatekeeper::poll_action`], do the actions in
//!   their order, and set a timer for [`Gatekeeper::poll_timeout`].
//! * Scan a side only while [`Gatekeeper::wants_read`] says so, with
//!   [`Gatekeeper::max_packet_size`] as the bound.
//! * Every [`Action::Ask`] ends in exactly one verdict, [`Action::Cancel`] or expiry; a verdict that
//!   comes later, or twice, changes nothing.
//! * [`Action::Close`] is the last action. Write out what came before it, then close both sides.
//!
//! # What it promises
//!
//! * Nothing reaches the broker but an [`Admitted`], which is made from an allow, or for a packet
//!   kind that is exempt by a rule with a name ([`Exempt`]).
//! * What is allowed leaves in the order of arrival, byte for byte as it came unless something in it
//!   had to be replaced (by the service or the operator, or a topic alias, or a refused filter).
//! * No verdict in time is a failure, and a failure is neither an allow nor told as a denial.
//! * Everything that is held is bounded, no input panics, and work per byte is bounded.
//!
//! # Rooms, in walking order
//!
//! [`frame`] cuts packets, [`wire`] reads and writes them, [`topic`] knows names and filters,
//! [`reason`] which code may stand where. [`Gatekeeper`] takes what happens, `connect` leads from
//! the first byte to the CONNACK, `live` from there to the end; `queue`, `inflight`, `acks`, `alias`,
//! `subscriptions` and `keepalive` hold the state of a live session, `change` and `mount` judge what
//! the service puts in the place of the client's words, and `reply` is what the gate says itself.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod acks;
mod action;
mod alias;
mod change;
mod close;
mod connect;
pub mod frame;
mod gatekeeper;
mod inflight;
mod keepalive;
mod line;
mod live;
mod mount;
mod question;
mod queue;
mod rate;
pub mod reason;
mod reply;
mod revocation;
mod rules;
mod shelf;
mod subscriptions;
pub mod topic;
mod unasked;
mod verdict;
mod violation;
pub mod wire;

pub use self::{
    action::{Action, Admitted, Basis, Event, Exempt, Fate},
    close::{CloseReason, Detail, Party},
    frame::{Frame, Side},
    gatekeeper::{Gatekeeper, Upstream},
    question::{
        ConnectQuestion, FilterQuestion, PublishQuestion, QoS, Question, Secret, SubscribeQuestion,
        Ticket, UserProperty, Version,
    },
    reason::ReasonCode,
    rules::{Deadlines, Limits, OnDenied, OnDeniedV3, OnFailed, Resume, Rules},
    unasked::Unasked,
    verdict::{
        Allow, ConnectAllow, Deny, DenyAction, PublishChanges, SessionLimits, SubscribeChanges,
        Verdict, Why,
    },
    violation::Violation,
};
