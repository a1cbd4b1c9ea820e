//! Packets that answer, of either side.

use super::{
    Kind, Version,
    write::{Encode, frame, property_field},
};

/// PUBACK, PUBREC, PUBREL or PUBCOMP with success.
#[must_use]
pub fn ack(kind: Kind, id: u16) -> Vec<u8> {
    let flags = if kind == Kind::Pubrel { 2 } else { 0 };
    frame((kind as u8) << 4 | flags, &id.to_be_bytes())
}

/// DISCONNECT with an MQTT 5 reason code.
#[must_use]
pub fn disconnect(code: u8) -> Vec<u8> {
    frame(0xE0, &[code])
}

/// SUBACK with a code for each filter.
#[must_use]
pub fn suback(version: Version, id: u16, codes: &[u8]) -> Vec<u8> {
    let body = [&id.to_be_bytes()[..], &property_field(version, &[]), codes];
    frame(0x90, &body.concat())
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP with a reason code, which only MQTT 5 has.
#[derive(Debug, Clone)]
pub struct Ack {
    kind: Kind,
    id: u16,
    code: u8,
}

impl Ack {
    /// For a packet identifier.
    #[must_use]
    pub fn new(kind: Kind, id: u16, code: u8) -> Self {
        Self { kind, id, code }
    }
}

impl Encode for Ack {
    fn encode(&self, version: Version) -> Vec<u8> {
        let mut bytes = ack(self.kind, self.id);
        if version == Version::V5 && self.code != 0 {
            bytes[1] = 3;
            bytes.push(self.code);
        }
        bytes
    }
}

/// CONNACK.
#[derive(Debug, Clone, Default)]
pub struct Connack {
    code: u8,
    session_present: bool,
    properties: Vec<u8>,
}

impl Connack {
    /// Of success, without a session.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the return or reason code.
    #[must_use]
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }

    /// Sets Session Present, which MQTT 3.1 does not have.
    #[must_use]
    pub fn session_present(mut self) -> Self {
        self.session_present = true;
        self
    }

    /// Adds an encoded property; left out where there are none.
    #[must_use]
    pub fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }
}

impl Encode for Connack {
    fn encode(&self, version: Version) -> Vec<u8> {
        let present = self.session_present && version != Version::V31;
        let head = [u8::from(present), self.code];
        frame(
            0x20,
            &[&head[..], &property_field(version, &self.properties)].concat(),
        )
    }
}

/// DISCONNECT, in the long form on MQTT 5.
#[derive(Debug, Clone, Default)]
pub struct Disconnect {
    code: u8,
    properties: Vec<u8>,
}

impl Disconnect {
    /// With a reason code.
    #[must_use]
    pub fn new(code: u8) -> Self {
        Self {
            code,
            properties: Vec::new(),
        }
    }

    /// Adds an encoded property; left out where there are none.
    #[must_use]
    pub fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }
}

impl Encode for Disconnect {
    fn encode(&self, version: Version) -> Vec<u8> {
        match version {
            Version::V31 | Version::V311 => frame(0xE0, &[]),
            Version::V5 => frame(
                0xE0,
                &[&[self.code][..], &property_field(version, &self.properties)].concat(),
            ),
        }
    }
}
