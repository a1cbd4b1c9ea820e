//! The CONNACK of the broker: what may stand in it, and what the client is told.

use bytes::Bytes;

use crate::{
    frame::{Frame, PacketType},
    keepalive, mount,
    question::Version,
    rules::{Limits, Rules},
    violation::Violation,
    wire::{
        connack::{self, Connack, GateLimits},
        connect::Connect,
    },
};

use super::{Admission, Hello, outgoing};

/// Reads the answer to the CONNECT that was sent.
pub(super) fn read(frame: &Frame, sent: &Connect) -> Result<Connack, Violation> {
    if frame.kind() != PacketType::Connack {
        return Err(Violation::protocol(
            "the broker's first packet is not a CONNACK",
            "MQTT-3.2.0-1",
        ));
    }
    let connack = connack::read(frame, sent.version)?;
    if connack.auth_method.is_some() || connack.auth_data.is_some() {
        return Err(Violation::protocol(
            "CONNACK of an authentication that nobody asked for",
            "MQTT-4.12.0-6",
        ));
    }
    if connack.session_present && sent.clean_start && sent.version != Version::V31 {
        // There would be subscriptions that nobody was asked about.
        return Err(Violation::protocol(
            "Session Present after a clean start",
            "MQTT-3.2.2-2",
        ));
    }
    Ok(connack)
}

/// The largest packet that the client may send, in bytes, as far as the gate has a say.
fn largest_packet(admission: &Admission, limits: &Limits) -> u32 {
    let own = u32::try_from(limits.max_packet_size).unwrap_or(u32::MAX);
    let session = admission.allow.limits.max_packet_size;
    session.map_or(own, |session| own.min(session.get()))
}

/// What came of the CONNECT.
pub(super) struct Agreement {
    /// Seconds; 0 is none. It holds on both legs.
    pub(super) keep_alive: u16,
    /// Whether the broker may hold subscriptions and messages of an earlier connection.
    pub(super) resumed: bool,
}

impl Agreement {
    pub(super) fn new(sent: &Connect, connack: &Connack, rules: &Rules) -> Self {
        let keep_alive = match connack.server_keep_alive {
            Some(seconds) => keepalive::bounded(seconds, rules.limits.max_keep_alive),
            None => sent.keep_alive,
        };
        // MQTT 3.1 has no Session Present: whoever may resume counts as one who does.
        let resumed = match sent.version {
            Version::V31 => !sent.clean_start,
            Version::V311 | Version::V5 => connack.session_present,
        };
        Self {
            keep_alive,
            resumed,
        }
    }
}

impl Hello {
    /// The CONNACK for the client: the broker's, with what the gate terminates, bounds or hides.
    /// `None` if it would be larger than the client takes.
    pub(super) fn connack_for_client(
        &self,
        connack: &Connack,
        agreement: &Agreement,
        admission: &Admission,
        rules: &Rules,
    ) -> Option<Bytes> {
        match self.connect.version {
            // Its flags are reserved: there is no Session Present.
            Version::V31 => return Some(connack::encode_v3(false, 0)),
            Version::V311 => return Some(connack::encode_v3(connack.session_present, 0)),
            Version::V5 => {}
        }
        let mut connack = connack.clone();
        self.hide_names(&mut connack, admission, rules);
        if let Some(mount) = &admission.allow.mount {
            connack.raw_properties =
                mount::strip_response_information(mount, &connack.raw_properties);
        }
        let limits = &rules.limits;
        let asked = &self.connect;
        let is_other = agreement.keep_alive != asked.keep_alive;
        let bound = outgoing::max_session_expiry(&admission.allow, limits);
        let asked_for_longer = asked
            .properties
            .session_expiry
            .is_some_and(|asked| asked > bound);
        let properties = connack
            .with_gate_limits(&GateLimits {
                topic_alias_maximum: limits.topic_alias_maximum,
                maximum_packet_size: largest_packet(admission, limits),
                receive_maximum: limits.receive_maximum,
                server_keep_alive: (is_other || connack.server_keep_alive.is_some())
                    .then_some(agreement.keep_alive),
                // The broker may have shortened it further (§3.2.2.3.2).
                session_expiry: asked_for_longer
                    .then(|| connack.session_expiry.unwrap_or(bound).min(bound)),
                assigned_client_id: self.assigned.then_some(&*self.client_id),
            })
            .ok()?;
        connack::encode_within(
            connack.session_present,
            connack.code,
            &properties,
            self.recipient().limit(),
        )
    }

    /// The broker's refusal for the client; `None` if there is no room for it.
    pub(super) fn refusal_for_client(
        &self,
        mut connack: Connack,
        frame: Frame,
        admission: &Admission,
        rules: &Rules,
    ) -> Option<Bytes> {
        if self.connect.version.is_v3() {
            return Some(frame.into_canonical());
        }
        self.hide_names(&mut connack, admission, rules);
        let properties = &connack.raw_properties;
        connack::encode_within(false, connack.code, properties, self.recipient().limit())
    }

    /// A broker that was given another identifier than the client's own has a name for the client
    /// that is none of the client's business.
    fn hide_names(&self, connack: &mut Connack, admission: &Admission, rules: &Rules) {
        let replaced = admission.allow.broker_client_id.is_some();
        connack.hide(!rules.pass_server_reference, replaced);
    }
}
