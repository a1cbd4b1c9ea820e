//! `#[serde(with = "tidegate_settings::text::duration")] deadline: Duration`
use serde::{Deserializer, Serializer};
use std::time::Duration;
pub fn parse(_text: &str) -> Result<Duration, String> { todo!() }
pub fn format(_duration: Duration) -> String { todo!() }
pub fn serialize<S: Serializer>(_value: &Duration, _serializer: S) -> Result<S::Ok, S::Error> { todo!() }
pub fn deserialize<'de, D: Deserializer<'de>>(_deserializer: D) -> Result<Duration, D::Error> { todo!() }
/// The same for `Option<Duration>`; add `#[serde(default)]`.
pub mod option {
    use super::*;
    pub fn serialize<S: Serializer>(_value: &Option<Duration>, _serializer: S) -> Result<S::Ok, S::Error> { todo!() }
    pub fn deserialize<'de, D: Deserializer<'de>>(_deserializer: D) -> Result<Option<Duration>, D::Error> { todo!() }
}
