//! Sizes in bytes: `512B`, `64KiB`, `1MiB`; a bare number means bytes.
//!
//! One whole number with one of the binary units `B KiB MiB GiB TiB`. `KB` and the like are
//! refused: they mean 1,000 to some and 1,024 to others.

use super::leading_quantity;
use serde::{
    Deserializer, Serializer,
    de::{Error, Unexpected, Visitor},
};
use std::{any::type_name, fmt, marker::PhantomData};

const EXPECTED: &str = "a size in bytes, such as 512, \"64KiB\" or \"1MiB\"";

/// The units and how many bytes they have, largest first.
const UNITS: [(&str, u64); 5] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("B", 1),
];

/// Reads a size; `None` if the text is none, or has more than `u64::MAX` bytes.
#[must_use]
pub fn parse(text: &str) -> Option<u64> {
    let (number, unit, rest) = leading_quantity(text)?;
    if !rest.is_empty() {
        return None;
    }
    if unit.is_empty() {
        return Some(number);
    }
    let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// Writes a size in the largest unit that leaves no fraction: `64KiB`, `1500B`.
#[must_use]
pub fn format(bytes: u64) -> String {
    let fits = |(_, factor): &&(&str, u64)| bytes >= *factor && bytes.is_multiple_of(*factor);
    match UNITS.iter().find(fits) {
        Some((unit, factor)) => format!("{}{unit}", bytes / factor),
        None => "0B".to_owned(),
    }
}

/// Writes the text of [`format()`].
///
/// # Errors
///
/// Those of the serializer, or a number that is no `u64`.
pub fn serialize<T, S>(value: &T, serializer: S) -> Result<S::Ok, S::Error>
where
    T: Copy + TryInto<u64>,
    S: Serializer,
{
    let Ok(bytes) = (*value).try_into() else {
        return Err(serde::ser::Error::custom("a size that is no u64"));
    };
    serializer.serialize_str(&format(bytes))
}

/// Reads a number of bytes or what [`parse`] takes, into any unsigned integer.
///
/// # Errors
///
/// Anything else, or a size that the integer cannot hold.
pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
where
    T: TryFrom<u64>,
    D: Deserializer<'de>,
{
    deserializer.deserialize_any(Text(PhantomData))
}

struct Text<T>(PhantomData<T>);

impl<T: TryFrom<u64>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_u64<E: Error>(self, bytes: u64) -> Result<T, E> {
        T::try_from(bytes).map_err(|_| {
            let expected = format!("a size that fits a {}", type_name::<T>());
            E::invalid_value(Unexpected::Unsigned(bytes), &expected.as_str())
        })
    }

    fn visit_i64<E: Error>(self, bytes: i64) -> Result<T, E> {
        match u64::try_from(bytes) {
            Ok(bytes) => self.visit_u64(bytes),
            Err(_) => Err(E::invalid_value(Unexpected::Signed(bytes), &self)),
        }
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        match parse(text) {
            Some(bytes) => self.visit_u64(bytes),
            None => Err(E::invalid_value(Unexpected::Str(text), &self)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        for (text, bytes) in [
            ("0", 0),
            ("512", 512),
            ("512B", 512),
            ("64KiB", 65_536),
            ("1MiB", 1_048_576),
            ("2GiB", 2_147_483_648),
            ("1TiB", 1_099_511_627_776),
            ("18446744073709551615", u64::MAX),
        ] {
            assert_eq!(parse(text), Some(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_size() {
        for text in [
            "",
            "KiB",
            "64 KiB",
            "64KB",
            "64kib",
            "64K",
            "-1",
            "1.5MiB",
            "1MiB1KiB",
            "1MiB1",
            "18446744073709551616",
            "16777216TiB",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for (bytes, text) in [
            (0, "0B"),
            (1_500, "1500B"),
            (65_536, "64KiB"),
            (1_048_577, "1048577B"),
            (3 << 30, "3GiB"),
            (u64::MAX, "18446744073709551615B"),
        ] {
            assert_eq!(format(bytes), text);
            assert_eq!(parse(text), Some(bytes));
        }
    }
}
