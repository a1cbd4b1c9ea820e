//! `#[serde(with = "tidegate_settings::text::size")] max_packet_size: usize` (any unsigned integer type)
use serde::{Deserializer, Serializer};
pub fn parse(_text: &str) -> Result<u64, String> { todo!() }
pub fn format(_bytes: u64) -> String { todo!() }
pub fn serialize<T: Copy + TryInto<u64>, S: Serializer>(_value: &T, _serializer: S) -> Result<S::Ok, S::Error> { todo!() }
pub fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(_deserializer: D) -> Result<T, D::Error> { todo!() }
