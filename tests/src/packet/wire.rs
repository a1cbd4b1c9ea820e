//! The data types of MQTT, in both directions.

/// A string or binary field: two bytes of length, then the bytes.
#[must_use]
pub fn string(value: impl AsRef<[u8]>) -> Vec<u8> {
    let value = value.as_ref();
    let length = u16::try_from(value.len()).expect("a field of at most 65,535 bytes");
    [&length.to_be_bytes(), value].concat()
}

/// A variable byte integer in its shortest form.
#[must_use]
pub fn variable_length(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let low = (value % 128) as u8;
        value /= 128;
        if value == 0 {
            bytes.push(low);
            return bytes;
        }
        bytes.push(low | 0x80);
    }
}

/// Takes the first whole packet off a buffer, if there is one.
#[must_use]
pub fn split_frame(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let (length, width) = read_variable_length(buffer.get(1..)?)?;
    let end = 1 + width + length;
    if buffer.len() < end {
        return None;
    }
    let rest = buffer.split_off(end);
    Some(std::mem::replace(buffer, rest))
}

/// Length of the fixed header of a whole packet.
pub(super) fn header_length(packet: &[u8]) -> usize {
    1 + read_variable_length(&packet[1..])
        .expect("a whole packet")
        .1
}

/// Value and width of a variable byte integer; `None` if there is more to come.
fn read_variable_length(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (index, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, index + 1));
        }
    }
    assert!(
        bytes.len() < 4,
        "no packet has such a length: {:02x?}",
        &bytes[..4]
    );
    None
}

/// Reads fields off the front of a packet body; panics when they are not there.
pub(super) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self(body)
    }

    pub(super) fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    pub(super) fn u16(&mut self) -> u16 {
        let bytes = self.take(2);
        u16::from_be_bytes([bytes[0], bytes[1]])
    }

    pub(super) fn binary(&mut self) -> &'a [u8] {
        let length = self.u16();
        self.take(length.into())
    }

    pub(super) fn string(&mut self) -> String {
        String::from_utf8_lossy(self.binary()).into_owned()
    }

    pub(super) fn variable(&mut self) -> usize {
        let (value, width) = read_variable_length(self.0).expect("a variable byte integer");
        self.skip(width);
        value
    }

    pub(super) fn properties(&mut self) -> Self {
        let length = self.variable();
        Self(self.take(length))
    }

    pub(super) fn skip(&mut self, count: usize) {
        self.take(count);
    }

    pub(super) fn skip_if_there(&mut self, count: usize) {
        self.skip(count.min(self.0.len()));
    }

    pub(super) fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(count);
        self.0 = rest;
        taken
    }

    pub(super) fn rest(&self) -> &'a [u8] {
        self.0
    }
}
