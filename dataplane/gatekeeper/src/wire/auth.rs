//! AUTH (§3.15), read far enough to know that it is one.

use bytestring::ByteString;

use super::cursor::Cursor;
use super::properties::{Place, Reader};
use super::{Property, RawProperties, open};
use crate::frame::{Frame, PacketType, Side};
use crate::question::Version;
use crate::reason::{Place as Carrier, ReasonCode};
use crate::violation::Violation;

/// An AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth {
    /// Reason code; 0x00 where it was left out.
    pub code: ReasonCode,
    /// Authentication Method; absent only where everything was left out.
    pub auth_method: Option<ByteString>,
    /// All properties, as sent.
    pub raw_properties: RawProperties,
}

/// Reads an AUTH.
///
/// # Errors
/// If the version is MQTT 3.1.1, where the type is reserved; if it is malformed; if its sender may
/// not say that ([MQTT-3.15.2-1]); if the Authentication Method is missing (§3.15.2.2.2).
pub fn read(frame: &Frame, version: Version) -> Result<Auth, Violation> {
    if version.is_v3() {
        return Err(Violation::malformed(
            "packet type 15 is reserved",
            "3.1.1: §2.2.1",
        ));
    }
    let mut cursor = open(frame, version, &[PacketType::Auth])?;
    let left_out = cursor.remaining() == 0;
    let code = if left_out { 0 } else { cursor.u8()? };
    let code = ReasonCode::new(code);
    if !code.is_legal(Carrier::Auth, frame.from().sender()) {
        return Err(Violation::protocol(
            "a reason code that its sender may not put into an AUTH",
            "MQTT-3.15.2-1",
        ));
    }
    let mut auth = Auth {
        code,
        auth_method: None,
        raw_properties: RawProperties::default(),
    };
    if !left_out {
        auth.read_properties(&mut cursor, frame.from())?;
    }
    cursor.finish()?;
    Ok(auth)
}

impl Auth {
    fn read_properties(&mut self, cursor: &mut Cursor<'_>, from: Side) -> Result<(), Violation> {
        let (mut reader, raw) = Reader::open(cursor, Place::AUTH, from)?;
        self.raw_properties = raw;
        while let Some(property) = reader.next()? {
            if let Property::AuthenticationMethod(method) = property {
                self.auth_method = Some(method);
            }
        }
        if self.auth_method.is_none() {
            return Err(Violation::protocol(
                "AUTH without Authentication Method",
                "§3.15.2.2.2",
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::support::{broker, client, field, section};

    fn body(code: u8, properties: &[u8]) -> Vec<u8> {
        [&[code], section(properties).as_slice()].concat()
    }

    fn method() -> Vec<u8> {
        [&[0x15], field("SCRAM").as_slice()].concat()
    }

    fn code(result: Result<Auth, Violation>) -> Option<u8> {
        result.err().map(|found| found.code.get())
    }

    #[test]
    fn its_type_is_reserved_on_v311() {
        let frame = client(0xF0, &body(0x18, &method()));
        assert_eq!(code(read(&frame, Version::V311)), Some(0x81));
    }

    /// [MQTT-3.15.2-1]
    #[test]
    fn codes_are_those_of_the_sender() {
        for value in 0..=u8::MAX {
            let body = body(value, &method());
            let from_client = if matches!(value, 0x18 | 0x19) {
                None
            } else {
                Some(0x82)
            };
            let from_broker = if matches!(value, 0x00 | 0x18) {
                None
            } else {
                Some(0x82)
            };
            assert_eq!(code(read(&client(0xF0, &body), Version::V5)), from_client);
            assert_eq!(code(read(&broker(0xF0, &body), Version::V5)), from_broker);
        }
    }

    #[test]
    fn everything_may_be_left_out_by_a_server_that_is_satisfied() {
        assert!(read(&broker(0xF0, &[]), Version::V5).is_ok());
        assert_eq!(code(read(&client(0xF0, &[]), Version::V5)), Some(0x82));
        assert_eq!(code(read(&broker(0xF0, &[0]), Version::V5)), Some(0x81));
    }

    #[test]
    fn a_method_is_needed() {
        assert_eq!(
            code(read(&client(0xF0, &body(0x18, &[])), Version::V5)),
            Some(0x82)
        );
        let data = [&[0x16], field("x").as_slice()].concat();
        assert_eq!(
            code(read(&client(0xF0, &body(0x18, &data)), Version::V5)),
            Some(0x82)
        );
        let both = [method(), data].concat();
        let found = read(&client(0xF0, &body(0x18, &both)), Version::V5).unwrap();
        assert_eq!(found.auth_method.as_deref(), Some("SCRAM"));
    }
}
