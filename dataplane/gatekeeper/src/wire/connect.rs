//! CONNECT (§3.1).

mod edit;
mod encode;
mod error;
mod flags;
#[cfg(test)]
mod tests;
mod will;

use bytestring::ByteString;

use super::cursor::Cursor;
use super::properties::{Place, Reader};
use super::{Property, RawProperties, open};
use crate::frame::{Frame, PacketType, Side};
use crate::question::{Secret, UserProperty, Version};
use crate::violation::Violation;

pub use error::ConnectError;
use flags::Flags;
pub use will::Will;

/// A CONNECT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect {
    /// Protocol version.
    pub version: Version,
    /// Whether the flags announced just what was there. On MQTT 3.1 they need not; such a packet is
    /// to be written anew, as not all brokers know that.
    pub flags_agree: bool,
    /// Clean Start; Clean Session on MQTT 3.x.
    pub clean_start: bool,
    /// Keep alive in seconds; 0 is off.
    pub keep_alive: u16,
    /// Client identifier, as sent. Empty: the server is to assign one.
    pub client_id: ByteString,
    /// User name; absent and empty differ.
    pub username: Option<ByteString>,
    /// Password, binary; absent and empty differ.
    pub password: Option<Secret>,
    /// Will.
    pub will: Option<Will>,
    /// Properties; the defaults of the standard on MQTT 3.x.
    pub properties: ConnectProperties,
}

/// The properties of a CONNECT (§3.1.2.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectProperties {
    /// Session Expiry Interval in seconds, if sent.
    pub session_expiry: Option<u32>,
    /// Receive Maximum; never 0.
    pub receive_maximum: u16,
    /// Maximum Packet Size, if sent; never 0.
    pub maximum_packet_size: Option<u32>,
    /// Topic Alias Maximum: how many aliases the client wants to be sent.
    pub topic_alias_maximum: u16,
    /// Request Response Information.
    pub request_response_information: bool,
    /// Request Problem Information: if false, no Reason String and no user properties on anything
    /// but PUBLISH, CONNACK and DISCONNECT ([MQTT-3.1.2-29]).
    pub request_problem_information: bool,
    /// Authentication Method: extended authentication is asked for.
    pub auth_method: Option<ByteString>,
    /// Authentication Data.
    pub auth_data: Option<Secret>,
    /// User properties in order.
    pub user_properties: Vec<UserProperty>,
    /// All properties, as sent.
    pub raw: RawProperties,
}

/// Reads a CONNECT.
///
/// # Errors
/// See [`ConnectError`].
pub fn read(frame: &Frame) -> Result<Connect, ConnectError> {
    // Whether the remaining length had to be minimal is known once the version is.
    let mut cursor = open(frame, Version::V311, &[PacketType::Connect]).map_err(|violation| {
        ConnectError::Violation {
            version: None,
            violation,
        }
    })?;
    let version = read_version(&mut cursor)?;
    let connect = frame
        .check_minimal(version)
        .and_then(|()| read_rest(cursor, version, frame.from()))
        .map_err(|violation| ConnectError::Violation {
            version: Some(version),
            violation,
        })?;

    // [3.1.1: MQTT-3.1.3-8]: there is no session that a nameless client could come back to. MQTT 3.1
    // knows no nameless clients; of its bound of 23 characters nothing is made here.
    let needs_name = match version {
        Version::V31 => true,
        Version::V311 => !connect.clean_start,
        Version::V5 => false,
    };
    if needs_name && connect.client_id.is_empty() {
        return Err(ConnectError::EmptyClientId);
    }
    Ok(connect)
}

/// Protocol name and level ([MQTT-3.1.2-1], [MQTT-3.1.2-2]). The level decides how all that follows
/// is read, here and in the broker, so it is looked at before anything else.
fn read_version(cursor: &mut Cursor<'_>) -> Result<Version, ConnectError> {
    let before_version = |violation| ConnectError::Violation {
        version: None,
        violation,
    };
    let name = cursor.binary().map_err(before_version)?;
    if !matches!(name.as_ref(), b"MQTT" | b"MQIsdp") {
        return Err(ConnectError::NotMqtt);
    }
    let level = cursor.u8().map_err(before_version)?;
    match (name.as_ref(), level) {
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        _ => Err(ConnectError::UnsupportedVersion { level }),
    }
}

/// All behind the level, in the one order that there is ([MQTT-3.1.3-1]).
fn read_rest(mut cursor: Cursor<'_>, version: Version, from: Side) -> Result<Connect, Violation> {
    let flags = Flags::read(&mut cursor, version)?;
    let keep_alive = cursor.u16()?;
    let properties = match version {
        Version::V31 | Version::V311 => ConnectProperties::default(),
        Version::V5 => ConnectProperties::read(&mut cursor, from)?,
    };
    let client_id = cursor.text()?;
    let will = match flags.will {
        Some(will) => Some(Will::read(&mut cursor, will, version, from)?),
        None => None,
    };
    // MQTT 3.1 lets a string be missing that its flag announces, at the end of the packet.
    let is_there = |flag: bool, cursor: &Cursor<'_>| {
        flag && (version != Version::V31 || cursor.remaining() > 0)
    };
    let has_username = is_there(flags.username, &cursor);
    let username = has_username.then(|| cursor.text()).transpose()?;
    let has_password = is_there(flags.password, &cursor);
    let password = has_password.then(|| cursor.binary()).transpose()?;
    cursor.finish()?;

    Ok(Connect {
        version,
        flags_agree: has_username == flags.username && has_password == flags.password,
        clean_start: flags.clean_start,
        keep_alive,
        client_id,
        username,
        password: password.map(Secret::new),
        will,
        properties,
    })
}

impl Default for ConnectProperties {
    fn default() -> Self {
        Self {
            session_expiry: None,
            receive_maximum: u16::MAX,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            request_response_information: false,
            request_problem_information: true,
            auth_method: None,
            auth_data: None,
            user_properties: Vec::new(),
            raw: RawProperties::default(),
        }
    }
}

impl ConnectProperties {
    fn read(cursor: &mut Cursor<'_>, from: Side) -> Result<Self, Violation> {
        let (mut reader, raw) = Reader::open(cursor, Place::CONNECT, from)?;
        let mut found = Self {
            raw,
            ..Self::default()
        };
        while let Some(property) = reader.next()? {
            match property {
                Property::SessionExpiryInterval(seconds) => found.session_expiry = Some(seconds),
                Property::ReceiveMaximum(count) => found.receive_maximum = count,
                Property::MaximumPacketSize(size) => found.maximum_packet_size = Some(size),
                Property::TopicAliasMaximum(count) => found.topic_alias_maximum = count,
                Property::RequestResponseInformation(flag) => {
                    found.request_response_information = flag == 1;
                }
                Property::RequestProblemInformation(flag) => {
                    found.request_problem_information = flag == 1;
                }
                Property::AuthenticationMethod(method) => found.auth_method = Some(method),
                Property::AuthenticationData(data) => found.auth_data = Some(data),
                Property::UserProperty(pair) => found.user_properties.push(pair),
                _ => {}
            }
        }
        if found.auth_data.is_some() && found.auth_method.is_none() {
            return Err(Violation::protocol(
                "Authentication Data without Authentication Method",
                "§3.1.2.11.10",
            ));
        }
        Ok(found)
    }
}
