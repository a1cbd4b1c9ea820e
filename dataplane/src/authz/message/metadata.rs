//! What tells a check from others: its [`v1::CheckMetadata`](tidegate_proto::v1::CheckMetadata).

use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BufMut;
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

use super::field::{number_len, put_number, put_text, text_len};

const ITEM_ID: u32 = 1;
const SEQUENCE: u32 = 2;
const RECEIVED_AT: u32 = 3;
const TRACEPARENT: u32 = 4;
/// Fields of a `Timestamp`.
const SECONDS: u32 = 1;
const NANOS: u32 = 2;

/// A time since 1970. A clock before that says 1970.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Received {
    seconds: u64,
    nanos: u32,
}

impl From<SystemTime> for Received {
    fn from(time: SystemTime) -> Self {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            seconds: since.as_secs(),
            nanos: since.subsec_nanos(),
        }
    }
}

/// Written from where its parts are: there is one for each check, on the way of every message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metadata<'a> {
    pub(super) item_id: u32,
    pub(super) sequence: u64,
    pub(super) received_at: Received,
    pub(super) traceparent: &'a str,
}

impl Metadata<'_> {
    pub(super) fn len(&self) -> usize {
        let time = self.time_len();
        number_len(ITEM_ID, self.item_id.into())
            + number_len(SEQUENCE, self.sequence)
            + key_len(RECEIVED_AT)
            + encoded_len_varint(time as u64)
            + time
            + text_len(TRACEPARENT, self.traceparent)
    }

    pub(super) fn put(&self, buffer: &mut impl BufMut) {
        put_number(ITEM_ID, self.item_id.into(), buffer);
        put_number(SEQUENCE, self.sequence, buffer);
        encode_key(RECEIVED_AT, WireType::LengthDelimited, buffer);
        encode_varint(self.time_len() as u64, buffer);
        let (seconds, nanos) = self.time();
        put_number(SECONDS, seconds, buffer);
        put_number(NANOS, nanos, buffer);
        put_text(TRACEPARENT, self.traceparent, buffer);
    }

    fn time_len(&self) -> usize {
        let (seconds, nanos) = self.time();
        number_len(SECONDS, seconds) + number_len(NANOS, nanos)
    }

    fn time(&self) -> (u64, u64) {
        (self.received_at.seconds, self.received_at.nanos.into())
    }
}
