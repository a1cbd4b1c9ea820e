//! A CONNECT of one's own, made from a client's.

use bytes::{BufMut, Bytes};

use super::flags::{Flags, WillFlags};
use super::{Connect, Will};
use crate::question::Version;
use crate::wire::TooLong;
use crate::wire::write::{Packet, put_binary};

const FIRST_BYTE: u8 = 0x10;
/// Protocol name, level, flags, keep alive and the lengths of four strings.
const FIXED: usize = 20;

impl Connect {
    /// Writes the packet with another client identifier. Everything else is written from the fields
    /// as they are now, properties from their raw bytes. A flag is set exactly if its field is
    /// there ([MQTT-3.1.2-16] to [MQTT-3.1.2-19]), so that an empty user name stays one.
    ///
    /// # Errors
    /// If the client identifier, or another field, is too long for its length field.
    pub fn encode(&self, client_id: &str) -> Result<Bytes, TooLong> {
        let mut packet = Packet::new(FIRST_BYTE, self.size_hint(client_id));
        let out = packet.body();
        put_binary(out, "protocol name", protocol_name(self.version))?;
        out.put_u8(self.version as u8);
        out.put_u8(self.flags().to_bits());
        out.put_u16(self.keep_alive);
        if self.version == Version::V5 {
            self.properties.raw.put(out);
        }
        put_binary(out, "client identifier", client_id.as_bytes())?;
        if let Some(will) = &self.will {
            if self.version == Version::V5 {
                will.raw_properties.put(out);
            }
            put_binary(out, "will topic", will.topic.as_bytes())?;
            put_binary(out, "will payload", &will.payload)?;
        }
        if let Some(username) = &self.username {
            put_binary(out, "user name", username.as_bytes())?;
        }
        if let Some(password) = &self.password {
            put_binary(out, "password", password.expose())?;
        }
        packet.finish()
    }

    fn flags(&self) -> Flags {
        Flags {
            clean_start: self.clean_start,
            will: self.will.as_ref().map(|will| WillFlags {
                qos: will.qos,
                retain: will.retain,
            }),
            username: self.username.is_some(),
            password: self.password.is_some(),
        }
    }

    fn size_hint(&self, client_id: &str) -> usize {
        let will = self.will.as_ref().map_or(0, Will::size_hint);
        let username = self.username.as_ref().map_or(0, |name| name.len());
        let password = self.password.as_ref().map_or(0, |word| word.expose().len());
        let properties = self.properties.raw.as_bytes().len() + 4;
        FIXED + properties + client_id.len() + will + username + password
    }
}

fn protocol_name(version: Version) -> &'static [u8] {
    match version {
        Version::V31 => b"MQIsdp",
        Version::V311 | Version::V5 => b"MQTT",
    }
}

impl Will {
    fn size_hint(&self) -> usize {
        self.raw_properties.as_bytes().len() + self.topic.len() + self.payload.len() + 8
    }
}
