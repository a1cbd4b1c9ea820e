//! A PUBLISH with its topic spelled out.

use bytes::{BufMut, Bytes, BytesMut};

use super::Publish;
use crate::question::Version;
use crate::wire::TooLong;
use crate::wire::properties::TOPIC_ALIAS;
use crate::wire::write::{Packet, put_binary};

const KIND: u8 = 0x30;

impl Publish {
    /// Writes the packet with its fields as they are now; see
    /// [`encode_with_topic`](Self::encode_with_topic).
    ///
    /// # Errors
    /// If the topic is longer than 65,535 bytes, or the packet than any packet may be.
    pub fn encode(&self) -> Result<Bytes, TooLong> {
        self.encode_with_topic(&self.topic)
    }

    /// Writes the packet with another topic and without a Topic Alias. The other properties are
    /// copied byte by byte, in order ([MQTT-3.3.2-17], [MQTT-3.3.2-18]).
    ///
    /// The topic is not checked: it is one that was, or one that
    /// [`check_topic_name`](crate::topic::check_topic_name) has seen.
    ///
    /// # Errors
    /// If the topic is longer than 65,535 bytes, or the packet than any packet may be.
    pub fn encode_with_topic(&self, topic: &str) -> Result<Bytes, TooLong> {
        let properties = self.raw_properties.as_bytes().len();
        let capacity = 8 + topic.len() + properties + self.payload.len();
        let mut packet = Packet::new(self.first_byte(), capacity);
        let out = packet.body();
        put_binary(out, "topic", topic.as_bytes())?;
        if let Some(id) = self.packet_id {
            out.put_u16(id.get());
        }
        if self.version == Version::V5 {
            self.put_properties(out);
        }
        out.put_slice(&self.payload);
        packet.finish()
    }

    fn first_byte(&self) -> u8 {
        KIND | u8::from(self.dup) << 3 | (self.qos as u8) << 1 | u8::from(self.retain)
    }

    fn put_properties(&self, out: &mut BytesMut) {
        match self.topic_alias {
            Some(_) => self.raw_properties.put_without(&[TOPIC_ALIAS], out),
            None => self.raw_properties.put(out),
        }
    }
}
