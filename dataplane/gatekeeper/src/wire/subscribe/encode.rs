//! A SUBSCRIBE as the broker gets it.

use bytes::{BufMut, Bytes, BytesMut};
use bytestring::ByteString;

use super::{Subscribe, Subscription};
use crate::question::{QoS, Version};
use crate::wire::TooLong;
use crate::wire::write::{Packet, put_binary};

const FIRST_BYTE: u8 = 0x82;
const QOS: u8 = 0b11;

/// What becomes of one filter of a SUBSCRIBE on its way to the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// It is left out.
    Omitted,
    /// It goes as it was sent.
    AsSent,
    /// It goes with this filter, which is one, and this QoS; its other options are as they were sent.
    Changed {
        /// The whole filter, `$share/<name>/` included.
        filter: ByteString,
        /// Requested maximum QoS.
        qos: QoS,
    },
}

impl Subscribe {
    /// Writes the packet with its filters as `outgoing` says, one word for each in their order; a
    /// filter without a word is left out. Packet identifier and properties stay. `None` if no filter
    /// is left, for a SUBSCRIBE without a filter is none ([MQTT-3.8.3-2]).
    ///
    /// # Errors
    /// If a filter is longer than 65,535 bytes, or the packet than any packet may be.
    pub fn encode(&self, outgoing: &[Outgoing]) -> Result<Option<Bytes>, TooLong> {
        if outgoing
            .iter()
            .all(|outgoing| *outgoing == Outgoing::Omitted)
        {
            return Ok(None);
        }
        let mut packet = Packet::new(FIRST_BYTE, self.size_hint(outgoing));
        let out = packet.body();
        out.put_u16(self.packet_id.get());
        if self.version == Version::V5 {
            self.raw_properties.put(out);
        }
        for (subscription, outgoing) in self.filters.iter().zip(outgoing) {
            subscription.put(outgoing, out)?;
        }
        packet.finish().map(Some)
    }

    fn size_hint(&self, outgoing: &[Outgoing]) -> usize {
        let filters = self.filters.iter().zip(outgoing);
        let filters: usize = filters
            .map(|(subscription, outgoing)| match outgoing {
                Outgoing::Omitted => 0,
                Outgoing::AsSent => subscription.raw.len(),
                Outgoing::Changed { filter, .. } => 3 + filter.len(),
            })
            .sum();
        6 + self.raw_properties.as_bytes().len() + filters
    }
}

impl Subscription {
    fn put(&self, outgoing: &Outgoing, out: &mut BytesMut) -> Result<(), TooLong> {
        match outgoing {
            Outgoing::Omitted => {}
            Outgoing::AsSent => out.put_slice(&self.raw),
            Outgoing::Changed { filter, qos } => {
                let options = self.raw.last().map_or(0, |options| options & !QOS);
                put_binary(out, "topic filter", filter.as_bytes())?;
                out.put_u8(options | *qos as u8);
            }
        }
        Ok(())
    }
}
