//! A reader of MQTT packets of the tests' own.
//!
//! On purpose not the code of the gate: what the gate wrote, or let pass, is judged by a second
//! opinion. It is strict about lengths and text, and does not know which value is legal where.

use gatekeeper::Version;

/// Identifier and value of each property, in order.
pub(crate) type Properties = Vec<(u8, Vec<u8>)>;

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    Connect(Connect),
    Connack {
        session_present: bool,
        code: u8,
        properties: Properties,
    },
    Publish(Publish),
    /// PUBACK, PUBREC, PUBREL or PUBCOMP; `kind` is its number, 4 to 7.
    Ack {
        kind: u8,
        id: u16,
        code: u8,
        properties: Properties,
    },
    Subscribe {
        id: u16,
        properties: Properties,
        /// Filters and their options.
        filters: Vec<(String, u8)>,
    },
    Suback {
        id: u16,
        properties: Properties,
        codes: Vec<u8>,
    },
    Unsubscribe {
        id: u16,
        filters: Vec<String>,
    },
    Unsuback {
        id: u16,
        codes: Vec<u8>,
    },
    Pingreq,
    Pingresp,
    Disconnect {
        code: u8,
        properties: Properties,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Connect {
    pub(crate) flags: u8,
    pub(crate) keep_alive: u16,
    pub(crate) properties: Properties,
    pub(crate) client_id: String,
    pub(crate) will: Option<(Properties, String, Vec<u8>)>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Publish {
    pub(crate) dup: bool,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) topic: String,
    pub(crate) id: Option<u16>,
    pub(crate) properties: Properties,
    pub(crate) payload: Vec<u8>,
}

/// PUBACK.
pub(crate) const PUBACK: u8 = 4;
/// PUBREC.
pub(crate) const PUBREC: u8 = 5;
/// PUBREL.
pub(crate) const PUBREL: u8 = 6;
/// PUBCOMP.
pub(crate) const PUBCOMP: u8 = 7;

/// Reads exactly one packet; `None` if the bytes are anything else.
pub(crate) fn read(version: Version, bytes: &[u8]) -> Option<Packet> {
    let mut reader = Reader {
        bytes,
        v5: version == Version::V5,
    };
    let first = reader.u8()?;
    let length = reader.varint()?;
    if length != reader.bytes.len() {
        return None;
    }
    let packet = reader.body(first)?;
    reader.bytes.is_empty().then_some(packet)
}

/// What follows the fixed header.
pub(crate) fn body(bytes: &[u8]) -> Option<&[u8]> {
    let mut reader = Reader { bytes, v5: true };
    reader.u8()?;
    reader.varint()?;
    Some(reader.bytes)
}

/// The value of a property.
pub(crate) fn property(properties: &Properties, id: u8) -> Option<&[u8]> {
    let (_, value) = properties.iter().find(|(found, _)| *found == id)?;
    Some(value)
}

struct Reader<'a> {
    bytes: &'a [u8],
    v5: bool,
}

impl<'a> Reader<'a> {
    fn body(&mut self, first: u8) -> Option<Packet> {
        Some(match (first >> 4, first & 0x0F) {
            (1, 0) => Packet::Connect(self.connect()?),
            (2, 0) => Packet::Connack {
                session_present: self.u8()? == 1,
                code: self.u8()?,
                properties: self.properties()?,
            },
            (3, flags) => Packet::Publish(self.publish(flags)?),
            (kind @ (PUBACK | PUBREC | PUBCOMP), 0) | (kind @ PUBREL, 2) => {
                let id = self.id()?;
                let (code, properties) = self.tail()?;
                Packet::Ack {
                    kind,
                    id,
                    code,
                    properties,
                }
            }
            (8, 2) => Packet::Subscribe {
                id: self.id()?,
                properties: self.properties()?,
                filters: self.many(|reader| Some((reader.text()?, reader.u8()?)))?,
            },
            (9, 0) => Packet::Suback {
                id: self.id()?,
                properties: self.properties()?,
                codes: self.many(Self::u8)?,
            },
            (10, 2) => {
                let id = self.id()?;
                self.properties()?;
                let filters = self.many(Self::text)?;
                Packet::Unsubscribe { id, filters }
            }
            (11, 0) => {
                let id = self.id()?;
                let mut codes = Vec::new();
                if self.v5 {
                    self.properties()?;
                    codes = self.many(Self::u8)?;
                }
                Packet::Unsuback { id, codes }
            }
            (12, 0) => Packet::Pingreq,
            (13, 0) => Packet::Pingresp,
            (14, 0) => {
                let (code, properties) = self.tail()?;
                Packet::Disconnect { code, properties }
            }
            _ => return None,
        })
    }

    fn connect(&mut self) -> Option<Connect> {
        let name = self.binary()?;
        self.v5 = match (name.as_slice(), self.u8()?) {
            (b"MQIsdp", 3) | (b"MQTT", 4) => false,
            (b"MQTT", 5) => true,
            _ => return None,
        };
        let old = name == b"MQIsdp";
        let flags = self.u8()?;
        let has = |bit: u8| flags & bit != 0;
        Some(Connect {
            flags,
            keep_alive: self.u16()?,
            properties: self.properties()?,
            client_id: self.text()?,
            will: match has(1 << 2) {
                true => Some((self.properties()?, self.text()?, self.binary()?)),
                false => None,
            },
            // MQTT 3.1 lets a string be missing that its flag announces.
            username: match has(1 << 7) && !(old && self.bytes.is_empty()) {
                true => Some(self.text()?),
                false => None,
            },
            password: match has(1 << 6) && !(old && self.bytes.is_empty()) {
                true => Some(self.binary()?),
                false => None,
            },
        })
    }

    fn publish(&mut self, flags: u8) -> Option<Publish> {
        let qos = flags >> 1 & 3;
        Some(Publish {
            dup: flags & 8 != 0,
            qos: (qos < 3).then_some(qos)?,
            retain: flags & 1 != 0,
            topic: self.text()?,
            id: match qos {
                0 => None,
                _ => Some(self.id()?),
            },
            properties: self.properties()?,
            payload: std::mem::take(&mut self.bytes).to_vec(),
        })
    }

    /// The code and the properties of an acknowledgement or a DISCONNECT, both of which may be left
    /// out.
    fn tail(&mut self) -> Option<(u8, Properties)> {
        if !self.v5 || self.bytes.is_empty() {
            return Some((0, Vec::new()));
        }
        let code = self.u8()?;
        if self.bytes.is_empty() {
            return Some((code, Vec::new()));
        }
        Some((code, self.properties()?))
    }

    fn properties(&mut self) -> Option<Properties> {
        if !self.v5 {
            return Some(Vec::new());
        }
        let length = self.varint()?;
        let bytes = self.take(length)?;
        let mut section = Reader { bytes, v5: true };
        section.many(Self::property)
    }

    fn property(&mut self) -> Option<(u8, Vec<u8>)> {
        let id = self.u8()?;
        let start = self.bytes;
        match id {
            0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28..=0x2A => drop(self.take(1)?),
            0x13 | 0x21..=0x23 => drop(self.take(2)?),
            0x02 | 0x11 | 0x18 | 0x27 => drop(self.take(4)?),
            0x0B => drop(self.varint()?),
            0x03 | 0x08 | 0x12 | 0x15 | 0x1A | 0x1C | 0x1F => drop(self.text()?),
            0x09 | 0x16 => drop(self.binary()?),
            0x26 => drop((self.text()?, self.text()?)),
            _ => return None,
        }
        let used = start.len() - self.bytes.len();
        Some((id, start.get(..used)?.to_vec()))
    }

    fn many<T>(&mut self, mut one: impl FnMut(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut found = Vec::new();
        while !self.bytes.is_empty() {
            found.push(one(self)?);
        }
        Some(found)
    }

    fn text(&mut self) -> Option<String> {
        let text = String::from_utf8(self.binary()?).ok()?;
        (!text.contains('\0')).then_some(text)
    }

    fn binary(&mut self) -> Option<Vec<u8>> {
        let length = self.u16()?;
        Some(self.take(length.into())?.to_vec())
    }

    fn id(&mut self) -> Option<u16> {
        self.u16().filter(|id| *id > 0)
    }

    fn varint(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                // The shortest form only: everything that the gate writes or lets pass has it.
                return (shift == 0 || byte != 0).then_some(value);
            }
        }
        None
    }

    fn u16(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    fn u8(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }
}
