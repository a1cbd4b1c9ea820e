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
    if version == Version::V311 {
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
