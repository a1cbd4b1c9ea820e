//! DISCONNECT (§3.14).

use bytes::{BufMut, Bytes};
use bytestring::ByteString;

use super::cursor::Cursor;
use super::properties::{Place, Reader, SERVER_REFERENCE, SESSION_EXPIRY_INTERVAL};
use super::write::Packet;
use super::{Property, RawProperties, TooLong, open};
use crate::frame::{Frame, PacketType, Side};
use crate::question::Version;
use crate::reason::{Place as Carrier, ReasonCode, Sender};
use crate::violation::Violation;

const FIRST_BYTE: u8 = 0xE0;

/// A DISCONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect {
    /// Reason code; 0x00 on MQTT 3.1.1, and where it was left out.
    pub code: ReasonCode,
    /// Session Expiry Interval in seconds, if a client sent one. Whether it may is for the session
    /// to say: from 0 it cannot be raised (§3.14.2.2.2).
    pub session_expiry: Option<u32>,
    /// Server Reference, if a broker sent one.
    pub server_reference: Option<ByteString>,
    /// All properties, as sent.
    pub raw_properties: RawProperties,
}

/// Reads a DISCONNECT.
///
/// # Errors
/// If it is malformed, has a body on MQTT 3.1.1 or comes from a broker there, or says what its
/// sender may not say ([MQTT-3.14.2-1], [MQTT-3.14.2-2]). A broker may use all codes that report a
/// failure: there is no gain in a dispute about how a connection ends, and
/// [`for_client`](Disconnect::for_client) has the right word.
pub fn read(frame: &Frame, version: Version) -> Result<Disconnect, Violation> {
    let mut cursor = open(frame, version, &[PacketType::Disconnect])?;
    let mut disconnect = Disconnect {
        code: ReasonCode::SUCCESS,
        session_expiry: None,
        server_reference: None,
        raw_properties: RawProperties::default(),
    };
    match version {
        Version::V31 | Version::V311 if frame.from() == Side::Broker => {
            return Err(Violation::protocol(
                "DISCONNECT from a broker",
                "3.1.1: §3.14",
            ));
        }
        Version::V31 | Version::V311 => {}
        Version::V5 => disconnect.read_body(&mut cursor, frame.from())?,
    }
    cursor.finish()?;
    Ok(disconnect)
}

/// Writes a DISCONNECT of the gate's own. Texts that no packet can carry are left out, and so is a
/// Server Reference with a code that does not go with one.
///
/// The length of the properties is always written, though it may be left out when there are none:
/// there are clients that cannot read the short form.
#[must_use]
pub fn encode_v5(
    code: ReasonCode,
    reason_string: Option<&str>,
    server_reference: Option<&str>,
) -> Bytes {
    let mut packet = Packet::new(FIRST_BYTE, 16);
    let out = packet.body();
    out.put_u8(code.get());
    let server_reference = server_reference.filter(|_| code.names_another_server());
    RawProperties::explanation(reason_string, server_reference).put(out);
    packet.finish_bounded()
}

/// With properties that were all in one packet before.
fn encode(code: ReasonCode, properties: &RawProperties) -> Bytes {
    let mut packet = Packet::new(FIRST_BYTE, 5 + properties.as_bytes().len());
    let out = packet.body();
    out.put_u8(code.get());
    properties.put(out);
    packet.finish_bounded()
}

impl Disconnect {
    /// The packet without its Session Expiry Interval, on MQTT 5.0: for a broker that was told
    /// another interval than the client believes, and would take it for a raise from 0.
    #[must_use]
    pub fn without_session_expiry(&self) -> Bytes {
        let rest = self.raw_properties.without(&[SESSION_EXPIRY_INTERVAL]);
        encode(self.code, &rest)
    }

    /// The packet with another Session Expiry Interval in the place of the client's.
    ///
    /// # Errors
    /// If there was none, and the properties grow beyond all bounds.
    pub fn with_session_expiry(&self, seconds: u32) -> Result<Bytes, TooLong> {
        let changed = Property::SessionExpiryInterval(seconds);
        let properties = self.raw_properties.with(&[changed])?;
        Ok(encode(self.code, &properties))
    }

    /// The packet of a client that leaves because of a failure, for a broker that would take that for
    /// a goodbye and forget the will: 0x04 asks for it in so many words ([MQTT-3.14.4-3] lets only
    /// 0x00 take it back). Nothing but a Session Expiry Interval goes with it.
    ///
    /// # Errors
    /// Never: there is room for one number.
    pub fn with_will(session_expiry: Option<u32>) -> Result<Bytes, TooLong> {
        let expiry = session_expiry.map(Property::SessionExpiryInterval);
        let properties = RawProperties::default().with(expiry.as_slice())?;
        Ok(encode(ReasonCode::DISCONNECT_WITH_WILL, &properties))
    }

    /// A broker's packet as the client may have it: without the Server Reference unless it is to
    /// pass, and with a code of table 3-10. `None`: as it came.
    #[must_use]
    pub fn for_client(&self, pass_server_reference: bool) -> Option<Bytes> {
        let code = match self.code {
            // Its table 2-6 has it for a DISCONNECT, table 3-10 has not.
            ReasonCode::BAD_AUTHENTICATION_METHOD => ReasonCode::NOT_AUTHORIZED,
            code if code.is_legal(Carrier::Disconnect, Sender::Server) => code,
            _ => ReasonCode::UNSPECIFIED_ERROR,
        };
        let hides = self.server_reference.is_some() && !pass_server_reference;
        if code == self.code && !hides {
            return None;
        }
        let hidden: &[u8] = if hides { &[SERVER_REFERENCE] } else { &[] };
        Some(encode(code, &self.raw_properties.without(hidden)))
    }

    /// Code and properties. Both may be left out, or the properties with their length
    /// (§3.14.2.1, §3.14.2.2.1).
    fn read_body(&mut self, cursor: &mut Cursor<'_>, from: Side) -> Result<(), Violation> {
        if cursor.remaining() == 0 {
            return Ok(());
        }
        self.code = ReasonCode::new(cursor.u8()?);
        if !may_send(from, self.code) {
            return Err(Violation::protocol(
                "a reason code that its sender may not disconnect with",
                "MQTT-3.14.2-1",
            ));
        }
        if cursor.remaining() > 0 {
            self.read_properties(cursor, from)?;
        }
        Ok(())
    }

    fn read_properties(&mut self, cursor: &mut Cursor<'_>, from: Side) -> Result<(), Violation> {
        let (mut reader, raw) = Reader::open(cursor, Place::DISCONNECT, from)?;
        self.raw_properties = raw;
        while let Some(property) = reader.next()? {
            match (property, from) {
                (Property::SessionExpiryInterval(seconds), Side::Client) => {
                    self.session_expiry = Some(seconds);
                }
                (Property::SessionExpiryInterval(_), Side::Broker) => {
                    return Err(Violation::protocol(
                        "Session Expiry Interval in a broker's DISCONNECT",
                        "MQTT-3.14.2-2",
                    ));
                }
                (Property::ServerReference(reference), Side::Broker) => {
                    self.server_reference = Some(reference);
                }
                (Property::ServerReference(_), Side::Client) => {
                    return Err(Violation::protocol(
                        "Server Reference in a client's DISCONNECT",
                        "§3.14.2.2.5",
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// The allow-lists of the standard, and from a broker all that reports a failure.
fn may_send(from: Side, code: ReasonCode) -> bool {
    code.is_legal(Carrier::Disconnect, from.sender()) || (from == Side::Broker && code.is_refusal())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::tests::support::{broker, client, field, frame, section};

    fn code(result: Result<Disconnect, Violation>) -> Option<u8> {
        result.err().map(|found| found.code.get())
    }

    #[test]
    fn v311_has_no_body_and_comes_from_clients_only() {
        assert!(read(&client(0xE0, &[]), Version::V311).is_ok());
        assert_eq!(code(read(&client(0xE0, &[0]), Version::V311)), Some(0x81));
        assert_eq!(code(read(&broker(0xE0, &[]), Version::V311)), Some(0x82));
    }

    #[test]
    fn short_and_long_forms_are_read() {
        for body in [&[][..], &[0], &[0, 0]] {
            let found = read(&client(0xE0, body), Version::V5).unwrap();
            assert_eq!(
                (found.code, found.session_expiry),
                (ReasonCode::SUCCESS, None)
            );
        }
        let found = read(&client(0xE0, &[4, 5, 0x11, 0, 0, 0, 9]), Version::V5).unwrap();
        assert_eq!(found.code, ReasonCode::DISCONNECT_WITH_WILL);
        assert_eq!(found.session_expiry, Some(9));
    }

    #[test]
    fn codes_are_those_of_the_sender() {
        for value in 0..=u8::MAX {
            for frame in [client(0xE0, &[value]), broker(0xE0, &[value])] {
                let legal = may_send(frame.from(), ReasonCode::new(value));
                let expected = if legal { None } else { Some(0x82) };
                assert_eq!(code(read(&frame, Version::V5)), expected, "{value:#04x}");
            }
        }
        assert!(read(&broker(0xE0, &[0x8C]), Version::V5).is_ok());
        assert!(read(&client(0xE0, &[0x8C]), Version::V5).is_err());
    }

    /// [MQTT-3.14.2-2]
    #[test]
    fn some_properties_belong_to_one_side() {
        let expiry = [&[0], section(&[0x11, 0, 0, 0, 9]).as_slice()].concat();
        assert_eq!(code(read(&broker(0xE0, &expiry), Version::V5)), Some(0x82));
        let reference = [&[0x1C], field("b").as_slice()].concat();
        let reference = [&[0x81], section(&reference).as_slice()].concat();
        assert_eq!(
            code(read(&client(0xE0, &reference), Version::V5)),
            Some(0x82)
        );
        let found = read(&broker(0xE0, &reference), Version::V5).unwrap();
        assert_eq!(found.server_reference.as_deref(), Some("b"));
    }

    #[test]
    fn bytes_behind_the_properties_are_malformed() {
        for body in [&[0, 0, 0][..], &[0, 1], &[0, 0x80, 0]] {
            assert_eq!(code(read(&client(0xE0, body), Version::V5)), Some(0x81));
        }
    }

    #[test]
    fn the_session_expiry_can_be_taken_out() {
        let properties = [&[0x1F], field("x").as_slice(), &[0x11, 0, 0, 0, 9]].concat();
        let body = [&[4], section(&properties).as_slice()].concat();
        let found = read(&client(0xE0, &body), Version::V5).unwrap();
        let bytes = found.without_session_expiry();
        let found = read(&frame(Side::Client, &bytes), Version::V5).unwrap();
        assert_eq!(found.code, ReasonCode::DISCONNECT_WITH_WILL);
        assert_eq!(found.session_expiry, None);
        assert_eq!(found.raw_properties.as_bytes().as_ref(), [0x1F, 0, 1, b'x']);
    }

    #[test]
    fn the_session_expiry_can_be_lowered() {
        let properties = [&[0x1F], field("x").as_slice(), &[0x11, 0, 0, 0, 9]].concat();
        let body = [&[4], section(&properties).as_slice()].concat();
        let found = read(&client(0xE0, &body), Version::V5).unwrap();
        let bytes = found.with_session_expiry(5).unwrap();
        let mut expected = [&[0xE0, 11], body.as_slice()].concat();
        *expected.last_mut().unwrap() = 5;
        assert_eq!(bytes.as_ref(), expected);
    }

    #[test]
    fn a_will_is_asked_for() {
        let bytes = Disconnect::with_will(None).unwrap();
        assert_eq!(bytes.as_ref(), [0xE0, 2, 4, 0]);
        let bytes = Disconnect::with_will(Some(9)).unwrap();
        assert_eq!(bytes.as_ref(), [0xE0, 7, 4, 5, 0x11, 0, 0, 0, 9]);
    }

    #[test]
    fn a_brokers_reference_and_its_odd_codes_stay_behind() {
        let reference = [&[0x1C], field("b").as_slice()].concat();
        let body = [&[0x9C], section(&reference).as_slice()].concat();
        let found = read(&broker(0xE0, &body), Version::V5).unwrap();
        assert_eq!(found.for_client(true), None);
        let bytes = found.for_client(false).unwrap();
        assert_eq!(bytes.as_ref(), [0xE0, 2, 0x9C, 0]);
        for value in (0..=u8::MAX).filter(|&value| may_send(Side::Broker, ReasonCode::new(value))) {
            let found = read(&broker(0xE0, &[value]), Version::V5).unwrap();
            let legal = found.code.is_legal(Carrier::Disconnect, Sender::Server);
            let told = if value == 0x8C { 0x87 } else { 0x80 };
            let expected = (!legal).then(|| Bytes::from(vec![0xE0, 2, told, 0]));
            assert_eq!(found.for_client(false), expected, "{value:#04x}");
        }
    }

    #[test]
    fn the_gates_own_has_the_long_form() {
        let bytes = encode_v5(ReasonCode::NOT_AUTHORIZED, None, None);
        assert_eq!(bytes.as_ref(), [0xE0, 2, 0x87, 0]);
        let bytes = encode_v5(ReasonCode::NOT_AUTHORIZED, None, Some("b"));
        assert_eq!(bytes.as_ref(), [0xE0, 2, 0x87, 0]);
        let bytes = encode_v5(ReasonCode::SERVER_MOVED, Some("x"), Some("b"));
        let expected = [0xE0, 10, 0x9D, 8, 0x1F, 0, 1, b'x', 0x1C, 0, 1, b'b'];
        assert_eq!(bytes.as_ref(), expected);
    }
}
