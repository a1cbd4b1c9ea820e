//! Checks as they travel: encoded where they are asked, and only put together when they depart.
//!
//! A message field and a bytes field look the same on the wire. So what a session says about itself is
//! encoded once and spliced into each of its checks, and texts of the client are written from the packet
//! that they came in, without a copy of their own. Only the metadata waits: which item of its batch a
//! check is, and which trace it belongs to, is known last.

mod body;
mod encoded;
mod field;
mod metadata;
#[cfg(test)]
mod tests;

use std::{fmt, marker::PhantomData, time::SystemTime};

use bytes::{BufMut, Bytes};
use prost::{
    Message as _,
    encoding::{self, WireType, encode_key, encode_varint, encoded_len_varint},
};
use tidegate_proto::v1;

pub use self::body::{Body, PublishBody};
pub(super) use self::encoded::Encoded;
use self::metadata::{Metadata, Received};

/// Fields of every request message.
const DATA_PLANE: u32 = 1;
const CHECKS: u32 = 2;
/// Fields of every check.
const METADATA: u32 = 1;
const SESSION: u32 = 2;

/// What a question that is put again is numbered higher. No session puts as many.
const AGAIN: u64 = 1 << 40;

/// An encoded [`v1::Session`], shared by all checks of the session.
#[derive(Clone, Default)]
pub struct SessionBytes(Bytes);

impl From<&v1::Session> for SessionBytes {
    fn from(session: &v1::Session) -> Self {
        Self(session.encode_to_vec().into())
    }
}

impl SessionBytes {
    /// Whether both say the same. For one session they are the same bytes in memory, too.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        std::ptr::eq(self.0.as_ptr(), other.0.as_ptr()) && self.0.len() == other.0.len()
            || self.0 == other.0
    }
}

impl fmt::Debug for SessionBytes {
    /// The session's state may be a bearer token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes, redacted>", self.0.len())
    }
}

/// A check on its way.
pub struct Message<H> {
    sequence: u64,
    received_at: Received,
    /// W3C trace context of the check's span, if it is traced.
    traceparent: Option<Box<str>>,
    session: SessionBytes,
    body: Encoded,
    is_blank: bool,
    hook: PhantomData<fn() -> H>,
}

impl<H> Message<H> {
    /// Encodes a check. What `body` may say as its first two fields, metadata and session, is to be
    /// left out.
    pub fn new(
        sequence: u64,
        received_at: SystemTime,
        session: &SessionBytes,
        body: &impl Body<H>,
    ) -> Self {
        Self {
            sequence,
            received_at: received_at.into(),
            traceparent: None,
            session: session.clone(),
            body: Encoded::of(body),
            is_blank: false,
            hook: PhantomData,
        }
    }

    /// One that says nothing but its number, for a check that is not to be sent any more.
    pub(super) fn blank(sequence: u64) -> Self {
        Self {
            sequence,
            received_at: Received::default(),
            traceparent: None,
            session: SessionBytes::default(),
            body: Encoded::default(),
            is_blank: true,
            hook: PhantomData,
        }
    }

    /// Whether it says nothing.
    pub(super) fn is_blank(&self) -> bool {
        self.is_blank
    }

    /// What the check says besides its metadata and its session, encoded. Two checks of a session with
    /// the same body ask the same.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The same, to be kept.
    pub(super) fn encoded_body(&self) -> &Encoded {
        &self.body
    }

    /// Makes it a question of its own with the same content. The pair of session and number stands for one
    /// decision for ever: by it, a service may know its answer. Numbers stay below 2^53, where JSON ends.
    pub(super) fn renumber(&mut self) {
        self.sequence = self.sequence.wrapping_add(AGAIN);
    }

    /// Its place in the line of its session, however often it was put.
    pub(super) fn place(&self) -> u64 {
        self.sequence % AGAIN
    }

    /// Its number within its session.
    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    /// The session that asks.
    pub(super) fn session(&self) -> &SessionBytes {
        &self.session
    }

    /// The W3C trace context of the check's span.
    pub(super) fn set_traceparent(&mut self, traceparent: String) {
        self.traceparent = Some(traceparent.into());
    }

    /// Bytes that it adds to a request, give or take what the number of its item takes.
    pub(super) fn encoded_len(&self) -> usize {
        let len = self.check_len(self.metadata(0).len());
        encoding::key_len(CHECKS) + encoded_len_varint(len as u64) + len
    }

    /// Bytes that it alone holds while it waits: those of the session are there in any case.
    pub(super) fn own_len(&self) -> usize {
        self.body.len() + self.traceparent.as_ref().map_or(0, |text| text.len())
    }

    /// Writes it into a request, as the item with this id.
    pub(super) fn put(&self, item_id: u32, request: &mut Vec<u8>) {
        let metadata = self.metadata(item_id);
        let metadata_len = metadata.len();
        encode_key(CHECKS, WireType::LengthDelimited, request);
        encode_varint(self.check_len(metadata_len) as u64, request);
        encode_key(METADATA, WireType::LengthDelimited, request);
        encode_varint(metadata_len as u64, request);
        metadata.put(request);
        encode_key(SESSION, WireType::LengthDelimited, request);
        encode_varint(self.session.0.len() as u64, request);
        request.put_slice(&self.session.0);
        request.put_slice(&self.body);
    }

    fn metadata(&self, item_id: u32) -> Metadata<'_> {
        Metadata {
            item_id,
            sequence: self.sequence,
            received_at: self.received_at,
            traceparent: self.traceparent.as_deref().unwrap_or_default(),
        }
    }

    fn check_len(&self, metadata: usize) -> usize {
        let session = self.session.0.len();
        encoding::key_len(METADATA)
            + encoded_len_varint(metadata as u64)
            + metadata
            + encoding::key_len(SESSION)
            + encoded_len_varint(session as u64)
            + session
            + self.body.len()
    }
}

impl<H> Clone for Message<H> {
    fn clone(&self) -> Self {
        Self {
            sequence: self.sequence,
            received_at: self.received_at,
            traceparent: self.traceparent.clone(),
            session: self.session.clone(),
            body: self.body.clone(),
            is_blank: self.is_blank,
            hook: PhantomData,
        }
    }
}

impl<H> fmt::Debug for Message<H> {
    /// There are passwords in some.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("sequence", &self.sequence)
            .field("received_at", &self.received_at)
            .field("traceparent", &self.traceparent)
            .field("session", &self.session)
            .field(
                "body",
                &format_args!("<{} bytes, redacted>", self.body.len()),
            )
            .finish()
    }
}

/// The part that every request begins with: who asks.
#[derive(Debug, Clone, Default)]
pub(super) struct Preamble(Bytes);

impl From<&v1::DataPlane> for Preamble {
    fn from(data_plane: &v1::DataPlane) -> Self {
        let mut encoded = Vec::new();
        encoding::message::encode(DATA_PLANE, data_plane, &mut encoded);
        Self(encoded.into())
    }
}

impl Preamble {
    /// Its bytes.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// A request without checks, with room for so many bytes of them.
    pub(super) fn request(&self, room: usize) -> Vec<u8> {
        // A few bytes more for each item id above 0, and for lengths that grow with it.
        let mut request = Vec::with_capacity(self.0.len() + room + room / 8);
        request.put_slice(&self.0);
        request
    }
}
