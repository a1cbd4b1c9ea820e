//! Puts packets together, byte by byte.

use bytes::BytesMut;

use crate::frame::{Frame, Scan, Side, scan};
use crate::question::Version;
use crate::violation::Violation;
use crate::wire::varint;

use super::reading;
pub(crate) use super::reading::Any;

/// Length and bytes of a string or of binary data.
pub(crate) fn field(bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    let len = u16::try_from(bytes.len()).unwrap();
    [&len.to_be_bytes(), bytes].concat()
}

/// Length and bytes of a property section.
pub(crate) fn section(bytes: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    varint::put(&mut out, bytes.len());
    [out.as_ref(), bytes].concat()
}

/// A packet with a minimal remaining length.
pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    [&[first], section(body).as_slice()].concat()
}

/// The one packet that `bytes` are.
pub(crate) fn try_frame(from: Side, bytes: &[u8]) -> Result<Frame, Violation> {
    let mut buffer = BytesMut::from(bytes);
    match scan(&mut buffer, from, usize::MAX)? {
        Scan::Frame(frame) => {
            assert!(buffer.is_empty(), "bytes behind the packet");
            Ok(frame)
        }
        Scan::Incomplete { needed } => panic!("{} of {needed} bytes", bytes.len()),
    }
}

/// The one packet that `bytes` are, and a legal one as far as the scanner knows.
pub(crate) fn frame(from: Side, bytes: &[u8]) -> Frame {
    try_frame(from, bytes).unwrap()
}

/// A packet of the client.
pub(crate) fn client(first: u8, body: &[u8]) -> Frame {
    frame(Side::Client, &packet(first, body))
}

/// A packet of the broker.
pub(crate) fn broker(first: u8, body: &[u8]) -> Frame {
    frame(Side::Broker, &packet(first, body))
}

/// Reads a packet with the reader of its type. A CONNECT that is not of `version` is none.
pub(crate) fn read_any(frame: &Frame, version: Version) -> Option<Any> {
    reading::read(frame, version).ok()
}
