//! A writer of MQTT packets of the tests' own: it writes exactly what it is told, right or wrong.

use gatekeeper::Version;

/// A packet of these bytes behind its fixed header.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first], length(body.len()).as_slice(), body].concat()
}

/// A variable byte integer, in its shortest form.
pub(crate) fn length(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value & 0x7F) as u8;
        value >>= 7;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// A string or binary data, with its length.
pub(crate) fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let length = u16::try_from(text.len()).expect("it fits into its length field");
    [&length.to_be_bytes(), text].concat()
}

/// A property with a string as its value.
pub(crate) fn text_property(id: u8, value: &str) -> Vec<u8> {
    [vec![id], text(value)].concat()
}

/// A section of properties on MQTT 5.0, nothing on MQTT 3.1.1.
pub(crate) fn section(version: Version, properties: &[u8]) -> Vec<u8> {
    match version {
        Version::V31 | Version::V311 => Vec::new(),
        Version::V5 => [length(properties.len()), properties.to_vec()].concat(),
    }
}

/// A CONNECT.
#[derive(Debug, Clone)]
pub(crate) struct Connect {
    pub(crate) client_id: String,
    pub(crate) clean: bool,
    pub(crate) keep_alive: u16,
    /// Topic, QoS and RETAIN.
    pub(crate) will: Option<(String, u8, bool)>,
    /// Properties of the will, as bytes.
    pub(crate) will_properties: Vec<u8>,
    pub(crate) will_payload: Vec<u8>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    /// Properties, as bytes.
    pub(crate) properties: Vec<u8>,
    /// How many of user name and password, from the end, are left out while their flags stay.
    pub(crate) announced: usize,
}

impl Default for Connect {
    fn default() -> Self {
        Self {
            client_id: "c".to_owned(),
            clean: true,
            keep_alive: 0,
            will: None,
            will_properties: Vec::new(),
            will_payload: b"gone".to_vec(),
            username: None,
            password: None,
            properties: Vec::new(),
            announced: 0,
        }
    }
}

impl Connect {
    pub(crate) fn write(&self, version: Version) -> Vec<u8> {
        let flag = |is_set: bool, bit: u8| if is_set { bit } else { 0 };
        let will = self.will.as_ref().map_or(0, |(_, qos, retain)| {
            1 << 2 | qos << 3 | flag(*retain, 1 << 5)
        });
        let flags = flag(self.clean, 1 << 1)
            | will
            | flag(self.password.is_some(), 1 << 6)
            | flag(self.username.is_some(), 1 << 7);
        let name = match version {
            Version::V31 => "MQIsdp",
            Version::V311 | Version::V5 => "MQTT",
        };
        let mut body = [text(name), vec![version as u8, flags]].concat();
        body.extend(self.keep_alive.to_be_bytes());
        body.extend(section(version, &self.properties));
        body.extend(text(&self.client_id));
        if let Some((topic, ..)) = &self.will {
            body.extend(section(version, &self.will_properties));
            body.extend(text(topic));
            body.extend(text(&self.will_payload));
        }
        let fields: Vec<&String> = [&self.username, &self.password]
            .into_iter()
            .flatten()
            .collect();
        let there = fields.len().saturating_sub(self.announced);
        for field in fields.into_iter().take(there) {
            body.extend(text(field));
        }
        packet(0x10, &body)
    }
}

/// A PUBLISH.
#[derive(Debug, Clone, Default)]
pub(crate) struct Publish {
    pub(crate) topic: String,
    pub(crate) qos: u8,
    pub(crate) retain: bool,
    pub(crate) dup: bool,
    pub(crate) id: u16,
    /// Properties, as bytes.
    pub(crate) properties: Vec<u8>,
    pub(crate) payload: Vec<u8>,
}

impl Publish {
    pub(crate) fn write(&self, version: Version) -> Vec<u8> {
        let mut body = text(&self.topic);
        if self.qos > 0 {
            body.extend(self.id.to_be_bytes());
        }
        body.extend(section(version, &self.properties));
        body.extend(&self.payload);
        let flags = u8::from(self.dup) << 3 | self.qos << 1 | u8::from(self.retain);
        packet(0x30 | flags, &body)
    }
}

/// A CONNACK. The properties are bytes, and left out on MQTT 3.1.1.
pub(crate) fn connack(version: Version, present: bool, code: u8, properties: &[u8]) -> Vec<u8> {
    let body = [vec![present.into(), code], section(version, properties)].concat();
    packet(0x20, &body)
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP, by number, in its shortest form.
pub(crate) fn ack(kind: u8, id: u16) -> Vec<u8> {
    packet(ack_header(kind), &id.to_be_bytes())
}

/// The same with a reason code.
pub(crate) fn ack_code(kind: u8, id: u16, code: u8) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    packet(ack_header(kind), &[high, low, code])
}

fn ack_header(kind: u8) -> u8 {
    kind << 4 | if kind == 6 { 2 } else { 0 }
}

/// The same packet with the DUP flag.
pub(crate) fn again(mut packet: Vec<u8>) -> Vec<u8> {
    if let Some(first) = packet.first_mut() {
        *first |= 8;
    }
    packet
}

/// A SUBSCRIBE of filters and their options.
pub(crate) fn subscribe(version: Version, id: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let mut body = [id.to_be_bytes().to_vec(), section(version, &[])].concat();
    for (filter, options) in filters {
        body.extend(text(filter));
        body.push(*options);
    }
    packet(0x82, &body)
}

/// A SUBACK.
pub(crate) fn suback(version: Version, id: u16, codes: &[u8]) -> Vec<u8> {
    packet(
        0x90,
        &[&id.to_be_bytes(), section(version, &[]).as_slice(), codes].concat(),
    )
}

/// An UNSUBSCRIBE.
pub(crate) fn unsubscribe(version: Version, id: u16, filters: &[&str]) -> Vec<u8> {
    let mut body = [id.to_be_bytes().to_vec(), section(version, &[])].concat();
    for filter in filters {
        body.extend(text(filter));
    }
    packet(0xA2, &body)
}

/// An UNSUBACK for so many filters.
pub(crate) fn unsuback(version: Version, id: u16, filters: usize) -> Vec<u8> {
    let mut body = id.to_be_bytes().to_vec();
    if version == Version::V5 {
        body.push(0);
        body.extend(vec![0; filters]);
    }
    packet(0xB0, &body)
}

/// PINGREQ.
pub(crate) const PINGREQ: [u8; 2] = [0xC0, 0];
/// PINGRESP.
pub(crate) const PINGRESP: [u8; 2] = [0xD0, 0];

/// A DISCONNECT; the code is left out on MQTT 3.1.1.
pub(crate) fn disconnect(version: Version, code: u8) -> Vec<u8> {
    match version {
        Version::V31 | Version::V311 => packet(0xE0, &[]),
        Version::V5 => packet(0xE0, &[code]),
    }
}
