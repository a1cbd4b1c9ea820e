//! Durations and sizes as people write them, for serde's `with`.
//!
//! ```
//! # use serde::{Deserialize, Serialize};
//! # use std::time::Duration;
//! #[derive(Serialize, Deserialize)]
//! struct Limits {
//!     #[serde(with = "tidegate_settings::text::duration")]
//!     handshake: Duration,
//!     #[serde(default, with = "tidegate_settings::text::duration::option")]
//!     idle: Option<Duration>,
//!     #[serde(with = "tidegate_settings::text::size")]
//!     max_packet: usize,
//! }
//! ```

pub mod duration;
pub mod size;

/// `200ms` → `(200, "ms", "")`, `1m30s` → `(1, "m", "30s")`: a number, its unit, and the rest.
fn leading_quantity(text: &str) -> Option<(u64, &str, &str)> {
    let unit_start = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(unit_start);
    let unit_end = rest
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(rest.len());
    let (unit, rest) = rest.split_at(unit_end);
    Some((digits.parse().ok()?, unit, rest))
}
