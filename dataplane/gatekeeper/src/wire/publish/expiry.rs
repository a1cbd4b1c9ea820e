//! A PUBLISH that has waited.

use bytes::{Bytes, BytesMut};

use crate::violation::Violation;
use crate::wire::cursor::Cursor;
use crate::wire::properties::{MESSAGE_EXPIRY_INTERVAL, RawProperties};

/// The MQTT 5.0 PUBLISH `packet`, which was read or written here, with another Message Expiry
/// Interval in the place of its own ([MQTT-3.3.2-6]). The same packet if it has none.
#[must_use]
pub fn with_message_expiry(packet: &Bytes, seconds: u32) -> Bytes {
    let place = value_at(packet)
        .ok()
        .flatten()
        .map(|at| at..at + size_of::<u32>());
    let mut changed = BytesMut::from(&**packet);
    match place.and_then(|place| changed.get_mut(place)) {
        Some(value) => {
            value.copy_from_slice(&seconds.to_be_bytes());
            changed.freeze()
        }
        None => packet.clone(),
    }
}

/// Where the value stands.
fn value_at(packet: &Bytes) -> Result<Option<usize>, Violation> {
    const QOS: u8 = 0b0110;

    let mut cursor = Cursor::over(packet);
    let first = cursor.u8()?;
    cursor.varint()?;
    cursor.skip_binary()?;
    if first & QOS != 0 {
        cursor.u16()?;
    }
    let len = cursor.varint()?;
    let section = cursor.split(len)?;
    Ok(RawProperties::value_at(section, MESSAGE_EXPIRY_INTERVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changed(packet: &[u8], seconds: u32) -> Vec<u8> {
        with_message_expiry(&Bytes::copy_from_slice(packet), seconds).to_vec()
    }

    #[test]
    fn the_value_is_replaced_and_nothing_else() {
        let before = [
            0x35, 20, 0, 1, b'a', 0, 7, 12, 0x03, 0, 1, 2, 0x02, 0, 0, 1, 44, 0x01, 1, 2,
        ];
        let after = [
            0x35, 20, 0, 1, b'a', 0, 7, 12, 0x03, 0, 1, 2, 0x02, 0, 0, 0, 9, 0x01, 1, 2,
        ];
        assert_eq!(changed(&before, 9), after);
        let before = [0x30, 9, 0, 1, b'a', 5, 0x02, 1, 2, 3, 4, 5];
        let after = [0x30, 9, 0, 1, b'a', 5, 0x02, 0, 0, 1, 0, 5];
        assert_eq!(changed(&before, 256), after);
    }

    #[test]
    fn without_an_interval_there_is_nothing_to_replace() {
        for packet in [
            &[0x30, 4, 0, 1, b'a', 0][..],
            // Bytes that look like one, in a topic, a property and a payload.
            &[0x30, 8, 0, 5, 2, 0, 0, 0, 9, 0],
            &[0x30, 9, 0, 1, b'a', 0, 2, 0, 0, 0, 9],
            &[0x30, 10, 0, 1, b'a', 6, 0x03, 0, 3, 2, 0, 0],
            &[0x30, 200],
            &[],
        ] {
            assert_eq!(changed(packet, 1), packet);
        }
    }
}
