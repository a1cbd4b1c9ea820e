//! MQTT as far as a benchmark needs it: packets made in advance, and cut with little work.

use std::ops::Range;

/// The first bytes of a payload that carries the time of its sending.
const STAMPED: [u8; 4] = *b"TGb1";
/// Bytes of such a beginning: the mark and nanoseconds of the shared clock.
pub(crate) const STAMP: usize = STAMPED.len() + 8;

/// A packet's body is looked at this far, if it is a PUBLISH.
const LOOK: usize = 512;

/// Protocol levels of CONNECT.
pub(crate) const V311: u8 = 4;
pub(crate) const V5: u8 = 5;

/// A packet as the sink sees it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Packet<'a> {
    Connect {
        level: u8,
        client_id: &'a [u8],
    },
    Publish {
        qos: u8,
        id: u16,
        sent_ns: Option<u64>,
    },
    PubAck {
        id: u16,
    },
    Subscribe {
        id: u16,
        filters: usize,
    },
    Ping,
    Disconnect,
    Other,
}

/// Cuts a stream into packets without keeping their bodies.
#[derive(Debug)]
pub(crate) struct Scanner {
    level: u8,
    /// Bytes to come of a packet that has been seen.
    skip: usize,
}

impl Scanner {
    pub(crate) fn new(level: u8) -> Self {
        Self { level, skip: 0 }
    }

    /// Calls `see` for every packet whose interesting part is there, and returns how many bytes are done.
    /// The rest, at most [`LOOK`] bytes and a header unless it is a CONNECT or SUBSCRIBE, has to come
    /// again with what follows it. `Err`: this is not MQTT.
    pub(crate) fn scan(
        &mut self,
        bytes: &[u8],
        mut see: impl FnMut(Packet<'_>),
    ) -> Result<usize, Garbled> {
        let mut at = self.skip.min(bytes.len());
        self.skip -= at;
        while let Some((&first, rest)) = bytes[at..].split_first() {
            let Some((length, used)) = varint(rest)? else {
                break;
            };
            let body = &rest[used..];
            let wanted = if first >> 4 == 3 {
                length.min(LOOK)
            } else {
                length
            };
            if body.len() < wanted {
                break;
            }
            let here = length.min(body.len());
            let packet = self.read(first, &body[..here]).ok_or(Garbled)?;
            if let Packet::Connect { level, .. } = packet {
                self.level = level;
            }
            see(packet);
            self.skip = length - here;
            at += 1 + used + here;
        }
        Ok(at)
    }

    fn read<'a>(&self, first: u8, body: &'a [u8]) -> Option<Packet<'a>> {
        Some(match first >> 4 {
            1 => {
                let name = usize::from(word(body, 0)?);
                let level = *body.get(2 + name)?;
                // Name, level, flags, keep alive; then properties, then the client identifier.
                let at = properties_end(body, 2 + name + 4, level)?;
                Packet::Connect {
                    level,
                    client_id: text(body, at)?,
                }
            }
            3 => {
                let qos = first >> 1 & 3;
                let topic = 2 + usize::from(word(body, 0)?);
                let id = if qos == 0 { 0 } else { word(body, topic)? };
                let after_id = topic + if qos == 0 { 0 } else { 2 };
                let payload = properties_end(body, after_id, self.level)?;
                let sent_ns = body.get(payload..).and_then(stamp);
                Packet::Publish { qos, id, sent_ns }
            }
            4 => Packet::PubAck { id: word(body, 0)? },
            8 => {
                let mut at = properties_end(body, 2, self.level)?;
                let mut filters = 0;
                while at < body.len() {
                    at += 2 + usize::from(word(body, at)?) + 1;
                    filters += 1;
                }
                Packet::Subscribe {
                    id: word(body, 0)?,
                    filters,
                }
            }
            12 => Packet::Ping,
            14 => Packet::Disconnect,
            _ => Packet::Other,
        })
    }
}

/// The peer sent something that can't be MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Garbled;

/// A variable byte integer and its length. `None`: more bytes have to come.
fn varint(bytes: &[u8]) -> Result<Option<(usize, usize)>, Garbled> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Ok(Some((value, index + 1)));
        }
    }
    if bytes.len() < 4 {
        Ok(None)
    } else {
        Err(Garbled)
    }
}

/// Where the properties end that begin at `at`; MQTT 3.1.1 has none.
fn properties_end(body: &[u8], at: usize, level: u8) -> Option<usize> {
    if level != V5 {
        return Some(at);
    }
    let (length, used) = varint(body.get(at..)?).ok()??;
    Some(at + used + length)
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn text(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let length = usize::from(word(bytes, at)?);
    bytes.get(at + 2..at + 2 + length)
}

fn stamp(payload: &[u8]) -> Option<u64> {
    let time = payload.strip_prefix(&STAMPED)?;
    Some(u64::from_le_bytes(*time.first_chunk()?))
}

/// A CONNECT with a clean session and no keep alive.
pub(crate) fn connect(level: u8, client_id: &str) -> Vec<u8> {
    let mut body = vec![0, 4, b'M', b'Q', b'T', b'T', level, 0b10, 0, 0];
    if level == V5 {
        body.push(0);
    }
    push_text(&mut body, client_id);
    packet(0x10, &body)
}

/// A PUBLISH with a payload of this many bytes, and where in the packet its time goes: `None` if the
/// payload is too short for one.
pub(crate) fn publish(
    level: u8,
    qos: u8,
    id: u16,
    topic: &str,
    payload: usize,
) -> (Vec<u8>, Option<Range<usize>>) {
    let mut body = Vec::with_capacity(topic.len() + payload + 8);
    push_text(&mut body, topic);
    if qos > 0 {
        body.extend(id.to_be_bytes());
    }
    if level == V5 {
        body.push(0);
    }
    let begin = body.len();
    body.resize(begin + payload, b'.');
    let is_stamped = payload >= STAMP;
    if is_stamped {
        body[begin..begin + STAMPED.len()].copy_from_slice(&STAMPED);
    }
    let packet = packet(0x30 | qos << 1, &body);
    let at = packet.len() - payload + STAMPED.len();
    (packet, is_stamped.then_some(at..at + 8))
}

/// A DISCONNECT that says goodbye, in every version.
pub(crate) const DISCONNECT: [u8; 2] = [0xe0, 0];

/// A PUBACK, in every version.
pub(crate) fn puback(id: u16) -> [u8; 4] {
    let [high, low] = id.to_be_bytes();
    [0x40, 2, high, low]
}

/// A CONNACK that accepts.
pub(crate) fn connack(level: u8) -> &'static [u8] {
    if level == V5 {
        &[0x20, 3, 0, 0, 0]
    } else {
        &[0x20, 2, 0, 0]
    }
}

/// A SUBACK that grants QoS 0.
pub(crate) fn suback(level: u8, id: u16, filters: usize) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if level == V5 {
        body.push(0);
    }
    body.resize(body.len() + filters, 0);
    packet(0x90, &body)
}

fn push_text(body: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    body.extend(length.to_be_bytes());
    body.extend(&text.as_bytes()[..length.into()]);
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![first];
    let mut length = body.len();
    loop {
        let byte = (length & 0x7f) as u8;
        length >>= 7;
        packet.push(if length > 0 { byte | 0x80 } else { byte });
        if length == 0 {
            break;
        }
    }
    packet.extend(body);
    packet
}

#[cfg(test)]
mod tests;
