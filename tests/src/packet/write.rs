//! Packets to send.

use super::{
    Kind, Version,
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

/// CONNECT.
#[derive(Debug, Clone)]
pub struct Connect {
    client_id: String,
    clean: bool,
    keep_alive: u16,
    username: Option<String>,
    password: Option<Vec<u8>>,
    will: Option<Publish>,
    properties: Vec<u8>,
}

impl Connect {
    /// Clean, without credentials or will, and with a keep alive that the gate leaves as it is.
    #[must_use]
    pub fn new(client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            clean: true,
            keep_alive: 60,
            username: None,
            password: None,
            will: None,
            properties: Vec::new(),
        }
    }

    /// Sets user name and password.
    #[must_use]
    pub fn login(mut self, username: &str, password: impl AsRef<[u8]>) -> Self {
        self.username = Some(username.to_owned());
        self.password = Some(password.as_ref().to_vec());
        self
    }

    /// Sets the will.
    #[must_use]
    pub fn will(mut self, will: Publish) -> Self {
        self.will = Some(will);
        self
    }

    /// Asks for the session that the broker kept, and on MQTT 5 to keep it for an hour.
    #[must_use]
    pub fn resume(mut self) -> Self {
        self.clean = false;
        self.property(super::property::session_expiry(3600))
    }

    /// Sets the keep alive in seconds.
    #[must_use]
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    /// Adds an encoded property; left out where there are none.
    #[must_use]
    pub fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }
}

impl Encode for Connect {
    fn encode(&self, version: Version) -> Vec<u8> {
        let mut flags = u8::from(self.clean) << 1;
        let mut payload = string(&self.client_id);
        if let Some(will) = &self.will {
            flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
            payload.extend(property_field(version, &will.properties));
            payload.extend(string(&will.topic));
            payload.extend(string(&will.payload));
        }
        if let Some(username) = &self.username {
            flags |= 0x80;
            payload.extend(string(username));
        }
        if let Some(password) = &self.password {
            flags |= 0x40;
            payload.extend(string(password));
        }
        let body = [
            string("MQTT"),
            vec![version as u8, flags],
            self.keep_alive.to_be_bytes().to_vec(),
            property_field(version, &self.properties),
            payload,
        ];
        frame(0x10, &body.concat())
    }
}

/// PUBLISH, or a will.
#[derive(Debug, Clone)]
pub struct Publish {
    topic: String,
    payload: Vec<u8>,
    qos: u8,
    retain: bool,
    dup: bool,
    id: u16,
    properties: Vec<u8>,
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
fn property_field(version: Version, properties: &[u8]) -> Vec<u8> {
    match version {
        Version::V311 => Vec::new(),
        Version::V5 => [&variable_length(properties.len()), properties].concat(),
    }
}
