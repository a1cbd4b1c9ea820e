//! What the broker said that it does not offer.

use crate::packet::{self, Packet, Properties};

/// All of it, or less.
#[derive(Debug, Default)]
pub(crate) struct Offer {
    maximum_qos: Option<u8>,
    no_retain: bool,
    no_wildcards: bool,
    no_identifiers: bool,
    no_shares: bool,
}

impl Offer {
    pub(crate) fn of(connack: &Properties) -> Self {
        let is_off = |id| packet::property(connack, id) == Some(&[0]);
        Self {
            maximum_qos: packet::property(connack, 0x24).map(|value| value[0]),
            no_retain: is_off(0x25),
            no_wildcards: is_off(0x28),
            no_identifiers: is_off(0x29),
            no_shares: is_off(0x2A),
        }
    }

    /// The code for a client that asks for what there is not.
    pub(crate) fn misuse(&self, packet: &Packet) -> Option<u8> {
        match packet {
            Packet::Publish(publish) if self.maximum_qos.is_some_and(|most| publish.qos > most) => {
                Some(0x9B)
            }
            Packet::Publish(publish) if publish.retain && self.no_retain => Some(0x9A),
            Packet::Subscribe {
                properties,
                filters,
                ..
            } => {
                let any = |is: fn(&str) -> bool| filters.iter().any(|(filter, _)| is(filter));
                if self.no_identifiers && packet::property(properties, 0x0B).is_some() {
                    Some(0xA1)
                } else if self.no_shares && any(|filter| filter.split('/').next() == Some("$share"))
                {
                    Some(0x9E)
                } else if self.no_wildcards && any(|filter| filter.contains(['+', '#'])) {
                    Some(0xA2)
                } else {
                    None
                }
            }
            _ => None,
        }
    }
}
