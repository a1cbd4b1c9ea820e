//! Strict readers and writers of MQTT 3.1.1 and 5.0 packets, one file per packet.
//!
//! A reader takes a [`Frame`], checks all of its body, and gives back a model; what it accepts has
//! one meaning only, so that the broker cannot read it differently. Readers share the memory of the
//! frame and do not allocate, except for lists. They know who sent the frame and what that side may
//! say, but not what was said before: whether a packet comes at the right time is not their affair.
//! A writer makes fresh canonical bytes; fields that were not changed are copied byte by byte.
//!
//! ```text
//! frame    scan(&mut BytesMut, Side, max_packet_size) -> Result<Scan, Violation>
//!          Scan     { Frame(Frame), Incomplete { needed } }
//!          Frame    kind() from() flags() body() bytes() len() is_minimal() check_minimal(Version)
//!                   check_dup(Version)
//!                   into_canonical(self) -> Bytes
//!          Side     { Client, Broker }   .sender() -> reason::Sender
//!          PacketType { Connect .. Auth }
//! topic    check_topic_name(&str)   check_topic_name_or_empty(&str)   levels(&str) -> usize
//!          check_levels(&str, max)
//!          TopicFilter { full, share_name, filter }
//!          TopicFilter::parse(ByteString, Version, max_levels) -> Result<Parsed, Violation>
//!          Parsed   { Filter(TopicFilter), Refused(ByteString) }   .full()
//! violation Violation { code, what, clause }   ::malformed ::protocol ::too_large ::quota ::new
//! reason   ReasonCode::{NAMES}  .name() .is_refusal() .is_legal(Place, Sender)
//!          .for_connack() .for_connack_v3(Origin) .for_publish_ack() .for_suback()
//!          .for_disconnect()  ReasonCode::from_connack_v3(u8)
//!
//! wire     text::check(&str)   TooLong { field }
//!          Property { one variant per property }   RawProperties: as_bytes() is_empty()
//!                   with(&[Property]) -> Result<Self, TooLong>   without(&[u8 id]) -> Self
//!                   explanation(reason_string, server_reference) -> Self
//!                   check_user_properties(UserPropertyLimits)   user_properties() -> (count, bytes)
//! connect     read(&Frame) -> Result<Connect, ConnectError>       Connect::encode(client_id)
//!             -> Result<Bytes, TooLong>; encodes the fields as they are now
//!             ConnectError { NotMqtt, UnsupportedVersion { level }, EmptyClientId,
//!                            Violation { version: Option<Version>, violation } }
//! connack     read(&Frame, Version) -> Connack    Connack::with_gate_limits(&GateLimits)
//!             -> RawProperties   Connack::hide(server_reference, assigned_client_id)
//!             encode_within(session_present, code, &RawProperties, client_takes) -> Option<Bytes>
//!             encode_v3(session_present, return_code)
//!             encode_v5(session_present, code, &RawProperties) -> Result<Bytes, TooLong>
//!             encode_refusal_v5(code, reason_string, server_reference)
//! publish     read(&Frame, Version) -> Publish    Publish::encode()   ::encode_with_topic(topic)
//!             -> Result<Bytes, TooLong>           Publish::has_true_format()
//!             with_message_expiry(&Bytes, seconds) -> Bytes
//! ack         read(&Frame, Version) -> Ack        PUBACK, PUBREC, PUBREL, PUBCOMP   Ack::encode()
//! subscribe   read(&Frame, Version, FilterLimits) -> Subscribe   Subscribe::encode(&[Outgoing])
//!             -> Result<Option<Bytes>, TooLong>
//!             Outgoing { Omitted, AsSent, Changed { filter, qos } }
//! suback      read(&Frame, Version) -> Suback
//!             encode(Version, id, &RawProperties, codes) -> Result<Bytes, TooLong>
//! unsubscribe read(&Frame, Version, FilterLimits) -> Unsubscribe
//!             Unsubscribe::encode_with(filters) -> Result<Bytes, TooLong>
//! unsuback    read(&Frame, Version) -> Unsuback
//!             encode_v5(id, &RawProperties, codes) -> Result<Bytes, TooLong>
//! disconnect  read(&Frame, Version) -> Disconnect   Disconnect::without_session_expiry()
//!             Disconnect::with_session_expiry(seconds)   Disconnect::with_will(expiry)
//!             Disconnect::for_client(pass_reference)
//!             encode_v5(code, reason_string, server_reference)
//! auth        read(&Frame, Version) -> Auth
//! ```
//!
//! PINGREQ and PINGRESP have no reader: [`scan`](crate::frame::scan) leaves nothing to be read in
//! them but [`Frame::check_minimal`].

pub mod ack;
pub mod auth;
pub mod connack;
pub mod connect;
mod cursor;
pub mod disconnect;
pub mod properties;
pub mod publish;
pub mod suback;
pub mod subscribe;
#[cfg(test)]
pub(crate) mod tests;
pub mod text;
pub mod unsuback;
pub mod unsubscribe;
pub(crate) mod varint;
mod write;

use std::num::NonZeroU16;

use crate::frame::{Frame, PacketType};
use crate::question::Version;
use crate::violation::Violation;

use cursor::Cursor;

pub use properties::{Property, RawProperties, UserPropertyLimits};

/// A field, or a whole packet, is too long for its length field, and was not written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the {field} is too long for an MQTT packet")]
pub struct TooLong {
    /// What is too long.
    pub field: &'static str,
}

/// Bounds on what a client may make the gate look at in one SUBSCRIBE or UNSUBSCRIBE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FilterLimits {
    /// Filters in a packet; more are a violation, 0x97.
    pub max_filters: usize,
    /// Levels in a filter; a deeper one is refused by itself.
    pub max_levels: usize,
}

impl Default for FilterLimits {
    fn default() -> Self {
        Self {
            max_filters: 256,
            max_levels: 201,
        }
    }
}

/// Begins to read a frame as a packet of one of these types.
fn open<'a>(
    frame: &'a Frame,
    version: Version,
    kinds: &[PacketType],
) -> Result<Cursor<'a>, Violation> {
    if !kinds.contains(&frame.kind()) {
        return Err(Violation::protocol("packet of another type", "§2.1.2"));
    }
    frame.check_minimal(version)?;
    frame.check_dup(version)?;
    Ok(Cursor::over_body(frame))
}

/// Reads a packet identifier, which is never 0 ([MQTT-2.2.1-3]).
fn packet_id(cursor: &mut Cursor<'_>) -> Result<NonZeroU16, Violation> {
    NonZeroU16::new(cursor.u16()?).ok_or(Violation::protocol(
        "packet identifier of 0",
        "MQTT-2.2.1-3",
    ))
}
