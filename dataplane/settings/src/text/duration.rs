//! Durations: `200ms`, `5s`, `1m30s`, `2h`.
//!
//! Whole numbers with the units `d h m s ms us ns`, largest first, each at most once. A number
//! without a unit is refused: is `deadline = 5` in seconds or milliseconds?

use super::leading_quantity;
use serde::{
    Deserializer, Serializer,
    de::{Error, Unexpected, Visitor},
};
use std::{fmt, time::Duration};

const EXPECTED: &str = "a duration with a unit, such as \"200ms\", \"5s\" or \"1m30s\"";

/// The units and how many nanoseconds they have, largest first.
const UNITS: [(&str, u128); 7] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// Reads a duration; `None` if the text is none or too long for a [`Duration`].
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let mut units = UNITS.iter();
    let mut nanos = 0_u128;
    let mut rest = text;
    loop {
        let (number, unit, next) = leading_quantity(rest)?;
        // Going on where the last unit was found keeps them in order.
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        nanos += u128::from(number) * factor;
        rest = next;
        if rest.is_empty() {
            break;
        }
    }
    let seconds = u64::try_from(nanos / 1_000_000_000).ok()?;
    let subsecond = u32::try_from(nanos % 1_000_000_000).ok()?;
    Some(Duration::new(seconds, subsecond))
}

/// Writes a duration so that [`parse`] reads it back: `1m30s`.
#[must_use]
pub fn format(duration: Duration) -> String {
    if duration.is_zero() {
        return "0s".to_owned();
    }
    let mut nanos = duration.as_nanos();
    let mut text = String::new();
    for (unit, factor) in UNITS {
        if nanos >= factor {
            text += &format!("{}{unit}", nanos / factor);
            nanos %= factor;
        }
    }
    text
}

/// Writes the text of [`format()`].
///
/// # Errors
///
/// Those of the serializer.
pub fn serialize<S: Serializer>(value: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&format(*value))
}

/// Reads what [`parse`] takes.
///
/// # Errors
///
/// Anything else.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    deserializer.deserialize_any(Text)
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Duration;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EXPECTED)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
        parse(text).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
    }
}

/// The same for an `Option<Duration>`; goes with `#[serde(default)]`.
pub mod option {
    use serde::{Deserialize, Deserializer, Serializer};
    use std::time::Duration;

    /// Writes the text of [`format()`](super::format), or nothing.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => serializer.serialize_some(&super::format(*duration)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads what [`parse`](super::parse) takes.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        #[derive(Deserialize)]
        struct Wrapped(#[serde(with = "super")] Duration);

        let wrapped = Option::<Wrapped>::deserialize(deserializer)?;
        Ok(wrapped.map(|Wrapped(duration)| duration))
    }
}

/// The same for a bound that may be absent: `Some` is a duration, `None` the word `none`.
pub mod or_none {
    use serde::{
        Deserializer, Serializer,
        de::{Error, Unexpected, Visitor},
    };
    use std::{fmt, time::Duration};

    const NONE: &str = "none";

    /// Writes the text of [`format()`](super::format), or `none`.
    ///
    /// # Errors
    ///
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(
        value: &Option<Duration>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match value {
            Some(duration) => super::serialize(duration, serializer),
            None => serializer.serialize_str(NONE),
        }
    }

    /// Reads what [`parse`](super::parse) takes, or `none`.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Duration>, D::Error> {
        deserializer.deserialize_any(Text)
    }

    struct Text;

    impl Visitor<'_> for Text {
        type Value = Option<Duration>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "{}, or \"{NONE}\"", super::EXPECTED)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Option<Duration>, E> {
            if text == NONE {
                return Ok(None);
            }
            super::parse(text)
                .map(Some)
                .ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write() {
        for (text, millis) in [
            ("200ms", 200),
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("1d1h1m1s1ms", 90_061_001),
            ("90s", 90_000),
            ("0s", 0),
            ("0ms", 0),
            ("007s", 7_000),
        ] {
            assert_eq!(parse(text), Some(Duration::from_millis(millis)), "{text}");
        }
        assert_eq!(parse("3us7ns"), Some(Duration::from_nanos(3_007)));
    }

    #[test]
    fn what_is_no_duration() {
        for text in [
            "",
            "5",
            "0",
            "s",
            "5 s",
            " 5s",
            "5s ",
            "-5s",
            "+5s",
            "1.5s",
            "5S",
            "5sec",
            "30s1m",
            "1s1s",
            "1m30",
            "5µs",
            "5s!",
            "99999999999999999999s",
            "99999999999999999d",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        for (nanos, text) in [
            (0, "0s"),
            (200_000_000, "200ms"),
            (90_000_000_000, "1m30s"),
            (86_400_000_000_001, "1d1ns"),
            (1_500_000_000, "1s500ms"),
        ] {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(format(duration), text);
            assert_eq!(parse(text), Some(duration));
        }
        assert_eq!(parse(&format(Duration::MAX)), Some(Duration::MAX));
    }
}
