//! The packets that a broker reads and writes.
//!
//! Reading is only as strict as the broker's own safety needs: what is wrong in other ways does not
//! come through the gate.

use super::fields::{Fields, Malformed, put_text, put_variable};
use bytes::{BufMut, Bytes, BytesMut};

/// How the packets of a client are to be read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    /// MQTT 3.1 and 3.1.1, whose packets are alike.
    V3,
    /// MQTT 5.0.
    V5,
}

/// A packet by its first byte and what comes after its length.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) first: u8,
    pub(super) body: Bytes,
}

/// Splits the next packet off what has arrived, if it is there as a whole.
pub(super) fn split_frame(arrived: &mut BytesMut) -> Result<Option<Frame>, Malformed> {
    let mut length = 0;
    for index in 0..4 {
        let Some(&byte) = arrived.get(1 + index) else {
            return Ok(None);
        };
        length |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let start = 2 + index;
            if arrived.len() < start + length {
                return Ok(None);
            }
            let mut frame = arrived.split_to(start + length).freeze();
            let first = frame[0];
            let body = frame.split_off(start);
            return Ok(Some(Frame { first, body }));
        }
    }
    Err(Malformed("a length of more than four bytes"))
}

/// The first packet of a client. User name and password are none of this broker's business.
#[derive(Debug)]
pub(super) struct Connect {
    pub(super) version: Version,
    pub(super) client_id: String,
    pub(super) keep_alive: u16,
    pub(super) will: Option<Message>,
    /// How many messages with QoS above 0 the client takes at once.
    pub(super) receive_maximum: u16,
    /// The largest packet that the client takes.
    pub(super) maximum_packet_size: usize,
}

impl Connect {
    pub(super) fn read(frame: Frame) -> Result<Self, Malformed> {
        if frame.first != 0x10 {
            return Err(Malformed("the first packet is not CONNECT"));
        }
        let mut fields = Fields(frame.body);
        let version = match (&*fields.text()?, fields.u8()?) {
            ("MQIsdp", 3) | ("MQTT", 4) => Version::V3,
            ("MQTT", 5) => Version::V5,
            _ => return Err(Malformed("an unknown protocol version")),
        };
        let flags = fields.u8()?;
        let keep_alive = fields.u16()?;

        let mut receive_maximum = u16::MAX;
        let mut maximum_packet_size = usize::MAX;
        if version == Version::V5 {
            for property in fields.properties()? {
                match property.id {
                    0x21 => receive_maximum = u16::try_from(property.number).unwrap_or(u16::MAX),
                    0x27 => maximum_packet_size = property.number as usize,
                    _ => {}
                }
            }
        }

        let client_id = fields.text()?;
        let will = match flags & 0x04 {
            0 => None,
            _ => Some(Message {
                properties: message_properties(&mut fields, version)?,
                topic: fields.text()?,
                payload: fields.binary()?,
                qos: flags >> 3 & 3,
                retain: flags & 0x20 != 0,
            }),
        };
        Ok(Self {
            version,
            client_id,
            keep_alive,
            will,
            receive_maximum: receive_maximum.max(1),
            maximum_packet_size,
        })
    }
}

/// A message: of a PUBLISH, a will, or retained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    /// The properties that subscribers get to see, encoded.
    pub(super) properties: Bytes,
    pub(super) qos: u8,
    pub(super) retain: bool,
}

/// What of the properties belongs to the message: all but the will's delay. As sessions end with
/// their connection, a will is never delayed [MQTT-3.1.3-9].
fn message_properties(fields: &mut Fields, version: Version) -> Result<Bytes, Malformed> {
    let mut kept = BytesMut::new();
    if version == Version::V5 {
        for property in fields.properties()? {
            match property.id {
                0x01 | 0x02 | 0x03 | 0x08 | 0x09 | 0x26 => kept.put(property.raw),
                0x18 => {}
                _ => return Err(Malformed("a property that a message can't have here")),
            }
        }
    }
    Ok(kept.freeze())
}

/// A filter that a client subscribes to, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Subscription {
    pub(super) filter: String,
    pub(super) qos: u8,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    /// 0: send retained messages; 1: only for a new subscription; 2: don't.
    pub(super) retain_handling: u8,
}

/// What a client sends after CONNECT.
#[derive(Debug)]
pub(super) enum Packet {
    /// A message; the packet id is 0 at QoS 0.
    Publish { id: u16, message: Message },
    /// A message of ours at QoS 1 has arrived.
    PubAck { id: u16 },
    /// A message of ours at QoS 2 has arrived, or was refused.
    PubRec { id: u16, refused: bool },
    /// The client has forgotten its message at QoS 2.
    PubRel { id: u16 },
    /// A message of ours at QoS 2 is done with.
    PubComp { id: u16 },
    /// New subscriptions.
    Subscribe {
        id: u16,
        subscriptions: Vec<Subscription>,
    },
    /// Filters that end.
    Unsubscribe { id: u16, filters: Vec<String> },
    /// Is anybody there?
    PingReq,
    /// The end; with or without the will.
    Disconnect { with_will: bool },
}

impl Packet {
    pub(super) fn read(frame: Frame, version: Version) -> Result<Self, Malformed> {
        let flags = frame.first & 0x0F;
        let mut fields = Fields(frame.body);
        Ok(match frame.first >> 4 {
            3 => {
                let topic = fields.text()?;
                let qos = flags >> 1 & 3;
                let id = if qos > 0 { fields.u16()? } else { 0 };
                let properties = message_properties(&mut fields, version)?;
                let message = Message {
                    topic,
                    payload: fields.0,
                    properties,
                    qos,
                    retain: flags & 1 != 0,
                };
                Self::Publish { id, message }
            }
            4 => Self::PubAck { id: fields.u16()? },
            5 => Self::PubRec {
                id: fields.u16()?,
                refused: !fields.is_empty() && fields.u8()? >= 0x80,
            },
            6 => Self::PubRel { id: fields.u16()? },
            7 => Self::PubComp { id: fields.u16()? },
            8 => {
                let id = id_and_properties(&mut fields, version)?;
                let mut subscriptions = Vec::new();
                while !fields.is_empty() {
                    let filter = fields.text()?;
                    let options = fields.u8()?;
                    subscriptions.push(Subscription {
                        filter,
                        qos: options & 3,
                        no_local: options & 0x04 != 0,
                        retain_as_published: options & 0x08 != 0,
                        retain_handling: options >> 4 & 3,
                    });
                }
                Self::Subscribe { id, subscriptions }
            }
            10 => {
                let id = id_and_properties(&mut fields, version)?;
                let mut filters = Vec::new();
                while !fields.is_empty() {
                    filters.push(fields.text()?);
                }
                Self::Unsubscribe { id, filters }
            }
            12 => Self::PingReq,
            14 => Self::Disconnect {
                // 3.1.1 has no body, and 5.0 may leave out a reason that is 0.
                with_will: !fields.is_empty() && fields.u8()? != 0,
            },
            _ => return Err(Malformed("a packet that clients don't send here")),
        })
    }
}

fn id_and_properties(fields: &mut Fields, version: Version) -> Result<u16, Malformed> {
    let id = fields.u16()?;
    if version == Version::V5 {
        fields.properties()?;
    }
    Ok(id)
}

/// CONNACK: welcome. To MQTT 5 it says what this broker does not have.
pub(super) fn put_connack(out: &mut BytesMut, version: Version, assigned_id: Option<&str>) {
    let mut properties = BytesMut::new();
    // Session Expiry Interval 0, no Subscription Identifiers, no Shared Subscriptions.
    properties.put_slice(&[0x11, 0, 0, 0, 0, 0x29, 0, 0x2A, 0]);
    if let Some(id) = assigned_id {
        properties.put_u8(0x12);
        put_text(&mut properties, id);
    }
    put_with_properties(out, 0x20, version, &[0, 0], &properties, &[]);
}

/// PUBLISH, as it would go to a client of this version; `None` stands for a QoS of 0.
pub(super) fn put_publish(
    out: &mut BytesMut,
    version: Version,
    message: &Message,
    numbered: Option<(u16, u8)>,
    retain: bool,
) {
    let mut head = BytesMut::with_capacity(message.topic.len() + 4);
    put_text(&mut head, &message.topic);
    let mut first = 0x30 | u8::from(retain);
    if let Some((id, qos)) = numbered {
        first |= qos << 1;
        head.put_u16(id);
    }
    put_with_properties(
        out,
        first,
        version,
        &head,
        &message.properties,
        &message.payload,
    );
}

/// PUBACK (0x40), PUBREC (0x50), PUBREL (0x62) or PUBCOMP (0x70): a success in both versions.
pub(super) fn put_ack(out: &mut BytesMut, first: u8, id: u16) {
    out.put_slice(&[first, 2]);
    out.put_u16(id);
}

/// SUBACK (0x90) or UNSUBACK (0xB0), which in MQTT 3 has no codes.
pub(super) fn put_codes(out: &mut BytesMut, first: u8, version: Version, id: u16, codes: &[u8]) {
    put_with_properties(out, first, version, &id.to_be_bytes(), &[], codes);
}

/// DISCONNECT with a reason, which only MQTT 5 has.
pub(super) fn put_disconnect(out: &mut BytesMut, version: Version, reason: u8) {
    if version == Version::V5 {
        out.put_slice(&[0xE0, 1, reason]);
    }
}

fn put_with_properties(
    out: &mut BytesMut,
    first: u8,
    version: Version,
    head: &[u8],
    properties: &[u8],
    tail: &[u8],
) {
    let mut block = BytesMut::new();
    if version == Version::V5 {
        put_variable(&mut block, properties.len());
        block.put_slice(properties);
    }
    out.put_u8(first);
    put_variable(out, head.len() + block.len() + tail.len());
    for part in [head, &block, tail] {
        out.put_slice(part);
    }
}
