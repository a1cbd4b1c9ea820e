//! Fields of protobuf messages. What has its default value is not there, as proto3 wants it.

use bytes::BufMut;
use prost::encoding::{self, WireType, encode_key, encode_varint, encoded_len_varint, key_len};

pub(super) fn text_len(tag: u32, text: &str) -> usize {
    match text.len() {
        0 => 0,
        len => key_len(tag) + encoded_len_varint(len as u64) + len,
    }
}

pub(super) fn put_text(tag: u32, text: &str, buffer: &mut impl BufMut) {
    if !text.is_empty() {
        encode_key(tag, WireType::LengthDelimited, buffer);
        encode_varint(text.len() as u64, buffer);
        buffer.put_slice(text.as_bytes());
    }
}

pub(super) fn number_len(tag: u32, number: u64) -> usize {
    match number {
        0 => 0,
        number => encoding::uint64::encoded_len(tag, &number),
    }
}

pub(super) fn put_number(tag: u32, number: u64, buffer: &mut impl BufMut) {
    if number > 0 {
        encoding::uint64::encode(tag, &number, buffer);
    }
}
