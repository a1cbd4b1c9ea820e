//! MQTT packets as a test sees them: read leniently, written exactly as told, right or wrong.
//!
//! This is on purpose not the code of the gate, and hardly any code at all: a second opinion.

mod properties;
mod wire;
mod write;

use std::fmt;

pub use properties::{Property, property};
use wire::Reader;
pub use wire::{split_frame, string, variable_length};
pub use write::{Connect, Encode, Publish, Subscribe, Unsubscribe, ack, disconnect, frame};

/// MQTT version of a connection; the number is the protocol level of CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// MQTT 3.1.1.
    V311 = 4,
    /// MQTT 5.0.
    V5 = 5,
}

impl Version {
    /// The value for the version at hand, mostly a return or reason code.
    #[must_use]
    pub fn pick<T>(self, v311: T, v5: T) -> T {
        match self {
            Self::V311 => v311,
            Self::V5 => v5,
        }
    }

    /// The version as the Mosquitto clients name it.
    #[must_use]
    pub fn flag(self) -> &'static str {
        self.pick("311", "5")
    }
}

/// Packet type.
#[allow(missing_docs, reason = "the names are the standard's")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    Reserved = 0,
    Connect = 1,
    Connack = 2,
    Publish = 3,
    Puback = 4,
    Pubrec = 5,
    Pubrel = 6,
    Pubcomp = 7,
    Subscribe = 8,
    Suback = 9,
    Unsubscribe = 10,
    Unsuback = 11,
    Pingreq = 12,
    Pingresp = 13,
    Disconnect = 14,
    Auth = 15,
}

impl Kind {
    const ALL: [Self; 16] = [
        Self::Reserved,
        Self::Connect,
        Self::Connack,
        Self::Publish,
        Self::Puback,
        Self::Pubrec,
        Self::Pubrel,
        Self::Pubcomp,
        Self::Subscribe,
        Self::Suback,
        Self::Unsubscribe,
        Self::Unsuback,
        Self::Pingreq,
        Self::Pingresp,
        Self::Disconnect,
        Self::Auth,
    ];
}

/// PINGREQ.
pub const PINGREQ: [u8; 2] = [0xC0, 0x00];
/// PINGRESP.
pub const PINGRESP: [u8; 2] = [0xD0, 0x00];

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

    /// Session Present of a CONNACK.
    #[must_use]
    pub fn session_present(&self) -> bool {
        self.expect_kind(Kind::Connack);
        self.body().u8() == 1
    }

    /// The properties of an MQTT 5 CONNACK or PUBLISH.
    #[must_use]
    pub fn properties(&self) -> Vec<Property> {
        let mut body = self.body();
        match self.kind() {
            Kind::Connack => body.skip(2),
            Kind::Publish => {
                body.string();
                if self.qos() > 0 {
                    body.u16();
                }
            }
            kind => panic!("the properties of {kind:?} are not read here"),
        }
        properties::read(body.properties())
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
