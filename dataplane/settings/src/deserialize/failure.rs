//! serde's complaints, and what becomes of them.

use super::At;
use crate::{
    environment,
    error::Error,
    key::Key,
    node::{Node, Value},
    origin::Origin,
    redact, suggest,
};
use serde::de::{Expected, Unexpected};
use std::fmt;

/// What serde has to say, and about which value once that is known.
#[derive(Debug)]
pub(super) struct Failure(Box<Inner>);

#[derive(Debug)]
struct Inner {
    complaint: Complaint,
    place: Option<Place>,
}

#[derive(Debug)]
enum Complaint {
    Expected(String),
    UnknownKey {
        name: String,
        known: &'static [&'static str],
    },
    MissingKey(&'static str),
    Message(String),
}

/// Says all that an error may say about a value, and no more: nothing here is a secret.
#[derive(Debug)]
struct Place {
    key: String,
    found: String,
    origin: Origin,
}

impl Failure {
    fn new(complaint: Complaint) -> Self {
        let place = None;
        Self(Box::new(Inner { complaint, place }))
    }

    /// The failure is about this value, unless it is about one within it.
    pub(super) fn at(mut self, value: &At<'_>) -> Self {
        self.0.place.get_or_insert_with(|| Place {
            key: value.key.to_string(),
            found: found(&value.key.to_string(), value.node),
            origin: value.node.origin.clone(),
        });
        self
    }

    pub(super) fn into_error(self, prefix: &str) -> Error {
        let Inner { complaint, place } = *self.0;
        let Place { key, found, origin } = place.unwrap_or(Place {
            key: String::new(),
            found: String::new(),
            origin: Origin::Default,
        });
        match complaint {
            Complaint::Expected(expected) => Error::Invalid {
                key,
                found,
                expected,
                origin,
            },
            Complaint::UnknownKey { name, known } => Error::UnknownKey {
                key,
                hint: suggest::hint(&name, known),
                origin,
            },
            Complaint::MissingKey(name) => {
                let key = Key::join(&key, name);
                Error::Missing {
                    variable: environment::name_for(prefix, &key),
                    key,
                    origin,
                }
            }
            // A type's own words may quote the value.
            Complaint::Message(_) if redact::is_secret(&key) => Error::Refused {
                key,
                message: format!("not acceptable: {found}"),
                origin,
            },
            Complaint::Message(message) => Error::Refused {
                message: redact::without_url_password(&message).into_owned(),
                key,
                origin,
            },
        }
    }
}

/// What a visitor wants, in the words of someone who writes TOML.
pub(super) fn expectation(expected: &dyn Expected) -> String {
    let rust = expected.to_string();
    let range = |least: &dyn fmt::Display, most: &dyn fmt::Display| {
        format!("an integer from {least} to {most}")
    };
    match rust.as_str() {
        "u8" => range(&u8::MIN, &u8::MAX),
        "u16" => range(&u16::MIN, &u16::MAX),
        "u32" => range(&u32::MIN, &u32::MAX),
        "u64" | "usize" => "an integer, zero or more".to_owned(),
        "i8" => range(&i8::MIN, &i8::MAX),
        "i16" => range(&i16::MIN, &i16::MAX),
        "i32" => range(&i32::MIN, &i32::MAX),
        "i64" | "isize" => "an integer".to_owned(),
        "a nonzero u8" => range(&1, &u8::MAX),
        "a nonzero u16" => range(&1, &u16::MAX),
        "a nonzero u32" => range(&1, &u32::MAX),
        "a nonzero u64" | "a nonzero usize" => "an integer, one or more".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a sequence" => "an array".to_owned(),
        "a map" => "a table".to_owned(),
        _ if rust.starts_with("struct ") => "a table".to_owned(),
        _ => rust,
    }
}

/// How a value is shown in an error.
fn found(key: &str, node: &Node) -> String {
    match &node.value {
        Value::Array(_) => "an array".to_owned(),
        Value::Table(_) => "a table".to_owned(),
        _ if redact::is_secret(key) => redact::REDACTED.to_owned(),
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) | Value::Loose(text) => {
            const SHOWN: usize = 80;
            let text = redact::without_url_password(text);
            match text.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{:?}…", &text[..end]),
                None => format!("{text:?}"),
            }
        }
    }
}

impl serde::de::Error for Failure {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::new(Complaint::Message(message.to_string()))
    }

    // What was found is said by the place, which knows whether it is a secret.

    fn invalid_type(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Complaint::Expected(expectation(expected)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::new(Complaint::Expected(expectation(expected)))
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        let expected = expectation(expected);
        Self::custom(format_args!("expected {expected}, found {length} elements"))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let mut expected = suggest::one_of(known);
        if let Some(closest) = suggest::closest(variant, known) {
            expected += &format!(" (did you mean `{closest}`?)");
        }
        Self::new(Complaint::Expected(expected))
    }

    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        let name = name.to_owned();
        Self::new(Complaint::UnknownKey { name, known })
    }

    fn missing_field(name: &'static str) -> Self {
        Self::new(Complaint::MissingKey(name))
    }

    fn duplicate_field(name: &'static str) -> Self {
        Self::custom(format_args!("`{name}` is given twice"))
    }
}

/// serde asks for it; users see [`Error`] only.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0.complaint)
    }
}

impl std::error::Error for Failure {}
