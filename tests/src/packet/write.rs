//! Packets to send.

use super::{
    Version,
    wire::{string, variable_length},
};

/// What a client can put on the wire.
pub trait Encode {
    /// The bytes for a version.
    fn encode(&self, version: Version) -> Vec<u8>;
}

/// A packet of any first byte and body.
#[must_use]
pub fn frame(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first][..], &variable_length(body.len()), body].concat()
}

/// PUBLISH, or a will.
#[derive(Debug, Clone)]
pub struct Publish {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    dup: bool,
    id: u16,
    pub(super) properties: Vec<u8>,
}

impl Publish {
    /// QoS 0, not retained.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl AsRef<[u8]>) -> Self {
        Self {
            topic: topic.into(),
            payload: payload.as_ref().to_vec(),
            qos: 0,
            retain: false,
            dup: false,
            id: 1,
            properties: Vec::new(),
        }
    }

    /// Sets the QoS.
    #[must_use]
    pub fn qos(mut self, qos: u8) -> Self {
        self.qos = qos;
        self
    }

    /// Sets RETAIN.
    #[must_use]
    pub fn retain(mut self) -> Self {
        self.retain = true;
        self
    }

    /// Sets DUP.
    #[must_use]
    pub fn dup(mut self) -> Self {
        self.dup = true;
        self
    }

    /// Sets the packet identifier, 1 if it is never set.
    #[must_use]
    pub fn id(mut self, id: u16) -> Self {
        self.id = id;
        self
    }

    /// Adds an encoded property; left out where there are none.
    #[must_use]
    pub fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }
}

impl Encode for Publish {
    fn encode(&self, version: Version) -> Vec<u8> {
        let flags = u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        let mut body = string(&self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        body.extend(property_field(version, &self.properties));
        body.extend(&self.payload);
        frame(0x30 | flags, &body)
    }
}

/// SUBSCRIBE.
#[derive(Debug, Clone, Default)]
pub struct Subscribe {
    id: u16,
    filters: Vec<(String, u8)>,
    properties: Vec<u8>,
}

impl Subscribe {
    /// Without any filter yet.
    #[must_use]
    pub fn new(id: u16) -> Self {
        Self {
            id,
            ..Self::default()
        }
    }

    /// Adds a filter with its options byte, which is the QoS if nothing else is wanted.
    #[must_use]
    pub fn filter(mut self, filter: impl Into<String>, options: u8) -> Self {
        self.filters.push((filter.into(), options));
        self
    }

    /// Adds an encoded property; left out where there are none.
    #[must_use]
    pub fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }
}

impl Encode for Subscribe {
    fn encode(&self, version: Version) -> Vec<u8> {
        let mut body = self.id.to_be_bytes().to_vec();
        body.extend(property_field(version, &self.properties));
        for (filter, options) in &self.filters {
            body.extend(string(filter));
            body.push(*options);
        }
        frame(0x82, &body)
    }
}

/// UNSUBSCRIBE.
#[derive(Debug, Clone)]
pub struct Unsubscribe {
    id: u16,
    filters: Vec<String>,
}

impl Unsubscribe {
    /// From some filters.
    #[must_use]
    pub fn new(id: u16, filters: &[&str]) -> Self {
        Self {
            id,
            filters: filters.iter().map(|&filter| filter.to_owned()).collect(),
        }
    }
}

impl Encode for Unsubscribe {
    fn encode(&self, version: Version) -> Vec<u8> {
        let mut body = self.id.to_be_bytes().to_vec();
        body.extend(property_field(version, &[]));
        for filter in &self.filters {
            body.extend(string(filter));
        }
        frame(0xA2, &body)
    }
}

/// The property field, which only MQTT 5 has.
pub(super) fn property_field(version: Version, properties: &[u8]) -> Vec<u8> {
    match version {
        Version::V31 | Version::V311 => Vec::new(),
        Version::V5 => [&variable_length(properties.len()), properties].concat(),
    }
}
