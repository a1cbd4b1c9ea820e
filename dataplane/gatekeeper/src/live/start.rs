//! How a session begins.

use std::{collections::HashMap, num::NonZeroU32, time::Instant};

use bytestring::ByteString;

use crate::{
    acks::Acks,
    alias::AliasTable,
    gatekeeper::Context,
    inflight::{Inflight, Quota},
    keepalive::KeepAlive,
    question::Version,
    queue::Queue,
    rate::Rate,
    rules::Limits,
    shelf::Shelf,
    subscriptions::Subscriptions,
    verdict::SessionLimits,
    wire::{connack::Connack, connect::Connect},
};

use super::{
    Ending, Live, goodbye::SessionExpiry, namespace::Namespace, offer::Offer, window::Window,
    withdraw::Withdrawals, withheld::Withheld,
};

/// What a session begins with.
pub(crate) struct Start<'a> {
    /// The CONNECT as the client sent it.
    pub(crate) asked: &'a Connect,
    /// The CONNECT as the broker got it.
    pub(crate) sent: &'a Connect,
    pub(crate) connack: &'a Connack,
    /// Seconds; 0 is none. It holds on both legs.
    pub(crate) keep_alive: u16,
    /// Whether the broker may hold subscriptions and messages of an earlier connection.
    pub(crate) resumed: bool,
    /// The longest session that the broker may be asked for, in seconds.
    pub(crate) max_session_expiry: u32,
    /// When the session must end.
    pub(crate) expires_at: Option<Instant>,
    /// Where the session's topics begin at the broker.
    pub(crate) mount: Option<ByteString>,
    /// What the service lets the session use.
    pub(crate) limits: SessionLimits,
}

impl Live {
    pub(crate) fn new(start: Start<'_>, cx: &Context<'_>) -> Self {
        let Start {
            asked,
            sent,
            connack,
            keep_alive,
            resumed,
            max_session_expiry,
            expires_at,
            mount,
            limits,
        } = start;
        let size = |limit: Option<u32>| limit.map_or(usize::MAX, |limit| limit as usize);
        let client_takes = size(asked.properties.maximum_packet_size);
        let namespace = mount.and_then(|mount| Namespace::new(mount, resumed));
        let all_arrives = namespace.is_none();
        let takes_at_once =
            (asked.version == Version::V5).then_some(asked.properties.receive_maximum);
        Self {
            version: asked.version,
            explains: asked.properties.request_problem_information,
            names: asked.client_id.len() + asked.username.as_ref().map_or(0, |name| name.len()),
            client_takes,
            broker_takes: size(connack.maximum_packet_size),
            expiry: SessionExpiry::new(asked, sent, max_session_expiry),
            has_will: sent.will.is_some(),
            resumed,
            offer: Offer::new(connack),
            queue: Queue::default(),
            shelf: Shelf::default(),
            inflight: Inflight::new(quota(asked, connack, &cx.rules.limits)),
            acks: Acks::default(),
            aliases: AliasTable::new(cx.rules.limits.topic_alias_maximum),
            subscribes: HashMap::new(),
            unsubscribes: HashMap::new(),
            subscriptions: Subscriptions::default(),
            recheck: None,
            withdrawals: Withdrawals::default(),
            rate: Rate::new(&limits, cx.now),
            max_packet_size: size(limits.max_packet_size.map(NonZeroU32::get)),
            max_subscriptions: size(limits.max_subscriptions.map(NonZeroU32::get)),
            namespace,
            withheld: Withheld::new(!all_arrives),
            window: Window::new(takes_at_once),
            keep_alive: KeepAlive::new(keep_alive, cx.rules.deadlines.broker_ping, cx.now),
            driver_reads: true,
            expires_at,
            ending: Ending::Open,
        }
    }
}

fn quota(connect: &Connect, connack: &Connack, limits: &Limits) -> Quota {
    if connect.version.is_v3() {
        return Quota::of_v3(limits.max_inflight);
    }
    let told = limits.receive_maximum.min(connack.receive_maximum);
    Quota::of_v5(told, limits.max_inflight)
}
