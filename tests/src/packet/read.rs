//! Packets that came.

use std::fmt;

use super::{
    Kind, Version,
    properties::{Property, read as read_properties},
    wire::{self, Reader},
};

/// One packet as it came over the wire, with the version that says how to read it.
///
/// The accessors panic on a packet that does not have what they are asked for.
#[derive(Clone, PartialEq, Eq)]
pub struct Packet {
    version: Version,
    bytes: Vec<u8>,
}

impl Packet {
    /// Takes one whole packet.
    #[must_use]
    pub fn new(version: Version, bytes: Vec<u8>) -> Self {
        Self { version, bytes }
    }

    /// All of its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Packet type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        Kind::ALL[usize::from(self.bytes[0] >> 4)]
    }

    /// QoS of a PUBLISH.
    #[must_use]
    pub fn qos(&self) -> u8 {
        (self.bytes[0] >> 1) & 3
    }

    /// RETAIN of a PUBLISH.
    #[must_use]
    pub fn retain(&self) -> bool {
        self.bytes[0] & 1 != 0
    }

    /// DUP of a PUBLISH.
    #[must_use]
    pub fn dup(&self) -> bool {
        self.bytes[0] & 8 != 0
    }

    /// Topic name of a PUBLISH.
    #[must_use]
    pub fn topic(&self) -> String {
        self.expect_kind(Kind::Publish);
        self.body().string()
    }

    /// Payload of a PUBLISH.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.expect_kind(Kind::Publish);
        let mut body = self.body();
        body.string();
        if self.qos() > 0 {
            body.u16();
        }
        if self.version == Version::V5 {
            body.properties();
        }
        body.rest()
    }

    /// Packet identifier.
    #[must_use]
    pub fn id(&self) -> u16 {
        let mut body = self.body();
        if self.kind() == Kind::Publish {
            body.string();
        }
        body.u16()
    }

    /// Return or reason codes; an acknowledgement without any has the single code 0.
    #[must_use]
    pub fn codes(&self) -> Vec<u8> {
        let mut body = self.body();
        match self.kind() {
            Kind::Connack => vec![body.rest()[1]],
            Kind::Suback | Kind::Unsuback => {
                body.u16();
                if self.version == Version::V5 {
                    body.properties();
                }
                body.rest().to_vec()
            }
            Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
                body.u16();
                vec![body.rest().first().copied().unwrap_or(0)]
            }
            Kind::Disconnect | Kind::Auth => vec![body.rest().first().copied().unwrap_or(0)],
            kind => panic!("{kind:?} has no reason code: {self:?}"),
        }
    }

    /// Filters of a SUBSCRIBE or UNSUBSCRIBE, without their options.
    #[must_use]
    pub fn filters(&self) -> Vec<String> {
        self.filters_and_options()
            .into_iter()
            .map(|(filter, _)| filter)
            .collect()
    }

    /// The QoS that each filter of a SUBSCRIBE asks for.
    #[must_use]
    pub fn requested_qos(&self) -> Vec<u8> {
        self.expect_kind(Kind::Subscribe);
        self.filters_and_options()
            .into_iter()
            .map(|(_, options)| options & 3)
            .collect()
    }

    fn filters_and_options(&self) -> Vec<(String, u8)> {
        let mut body = self.body();
        body.u16();
        if self.version == Version::V5 {
            body.properties();
        }
        let mut filters = Vec::new();
        while !body.rest().is_empty() {
            let filter = body.string();
            let options = match self.kind() {
                Kind::Subscribe => body.u8(),
                _ => 0,
            };
            filters.push((filter, options));
        }
        filters
    }

    /// The options byte of each filter of a SUBSCRIBE.
    #[must_use]
    pub fn options(&self) -> Vec<u8> {
        self.expect_kind(Kind::Subscribe);
        self.filters_and_options()
            .into_iter()
            .map(|(_, options)| options)
            .collect()
    }

    /// Client identifier of a CONNECT.
    #[must_use]
    pub fn client_id(&self) -> String {
        self.expect_kind(Kind::Connect);
        let mut body = self.body();
        body.string();
        body.skip(4);
        if self.version == Version::V5 {
            body.properties();
        }
        body.string()
    }

    /// Clean Start or Clean Session of a CONNECT.
    #[must_use]
    pub fn clean_start(&self) -> bool {
        self.expect_kind(Kind::Connect);
        let mut body = self.body();
        body.string();
        body.skip(1);
        body.u8() & 2 != 0
    }

    /// Keep Alive of a CONNECT, in seconds.
    #[must_use]
    pub fn keep_alive(&self) -> u16 {
        self.expect_kind(Kind::Connect);
        let mut body = self.body();
        body.string();
        body.skip(2);
        body.u16()
    }

    /// Session Present of a CONNACK.
    #[must_use]
    pub fn session_present(&self) -> bool {
        self.expect_kind(Kind::Connack);
        self.body().u8() == 1
    }

    /// The properties of an MQTT 5 packet in the order of the packet; none of earlier versions, nor
    /// of an acknowledgement that ends before them.
    #[must_use]
    pub fn properties(&self) -> Vec<Property> {
        if self.version != Version::V5 {
            return Vec::new();
        }
        let mut body = self.body();
        match self.kind() {
            Kind::Connect => {
                body.string();
                body.skip(4);
            }
            Kind::Connack => body.skip(2),
            Kind::Publish => {
                body.string();
                if self.qos() > 0 {
                    body.u16();
                }
            }
            Kind::Subscribe | Kind::Unsubscribe | Kind::Suback | Kind::Unsuback => body.skip(2),
            Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp => {
                body.skip(2);
                body.skip_if_there(1);
            }
            Kind::Disconnect | Kind::Auth => body.skip_if_there(1),
            kind => panic!("{kind:?} has no properties"),
        }
        match body.rest() {
            [] => Vec::new(),
            _ => read_properties(body.properties()),
        }
    }

    /// The value of the first property with an identifier.
    #[must_use]
    pub fn property(&self, id: u8) -> Option<Vec<u8>> {
        self.properties()
            .into_iter()
            .find(|found| found.id == id)
            .map(|found| found.value)
    }

    /// The value of a property that is a number, of whatever width.
    #[must_use]
    pub fn number(&self, id: u8) -> Option<u32> {
        let value = self.property(id)?;
        Some(
            value
                .iter()
                .fold(0, |number, &byte| number << 8 | u32::from(byte)),
        )
    }

    fn body(&self) -> Reader<'_> {
        Reader::new(&self.bytes[wire::header_length(&self.bytes)..])
    }

    fn expect_kind(&self, kind: Kind) {
        assert_eq!(self.kind(), kind, "in {self:?}");
    }
}

impl fmt::Debug for Packet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.kind())?;
        for byte in self.bytes.iter().take(48) {
            write!(f, " {byte:02x}")?;
        }
        if self.bytes.len() > 48 {
            write!(f, " … ({} bytes)", self.bytes.len())?;
        }
        Ok(())
    }
}
