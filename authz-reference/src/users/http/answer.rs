//! What a user manager says about somebody.

use serde_json::{Map, Value};
use thiserror::Error;

use crate::config::http::ManagerConfig;

/// Where else than at the top fields are looked for.
const NESTED: &str = "user";

/// Somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Unchecked.
    pub(super) name: Option<String>,
    pub(super) superuser: bool,
}

/// An answer that makes no sense. Holds nothing of it: it may be a page with secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(super) enum Nonsense {
    #[error("the answer is not a JSON object")]
    NoObject,
    #[error("the user name in the answer is not a text")]
    Name,
}

/// Whether it is an answer in JSON, whatever it says.
pub(super) fn is_object(body: &[u8]) -> bool {
    serde_json::from_slice::<Map<String, Value>>(body).is_ok()
}

/// Reads an answer with status 200.
pub(super) fn read(body: &[u8], config: &ManagerConfig) -> Result<Identity, Nonsense> {
    let answer: Map<String, Value> =
        serde_json::from_slice(body).map_err(|_| Nonsense::NoObject)?;
    let nested = answer.get(NESTED).and_then(Value::as_object);
    let find = |field: &String| {
        let places = [Some(&answer), nested].into_iter().flatten();
        places
            .filter_map(|place| place.get(field))
            .collect::<Vec<_>>()
    };
    let name = match config.name_fields.iter().flat_map(find).next() {
        None => None,
        Some(Value::String(name)) => Some(name.clone()),
        Some(_) => return Err(Nonsense::Name),
    };
    // Only a real `true`: "false" is a text, and 1 may be a level.
    let superuser = config
        .superuser_fields
        .iter()
        .flat_map(find)
        .any(|value| *value == Value::Bool(true));
    Ok(Identity { name, superuser })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(Option<String>, bool), Nonsense> {
        let identity = super::read(text.as_bytes(), &ManagerConfig::default())?;
        Ok((identity.name, identity.superuser))
    }

    #[test]
    fn names() {
        for (text, expected) in [
            (r#"{"username": "alice"}"#, Some("alice")),
            (r#"{"sub": "7", "name": "alice"}"#, Some("alice")),
            (r#"{"user": {"username": "alice"}}"#, Some("alice")),
            (
                r#"{"name": "Realm", "user": {"username": "alice"}}"#,
                Some("alice"),
            ),
            (
                r#"{"username": "alice", "user": {"username": "bob"}}"#,
                Some("alice"),
            ),
            (r#"{"user": "alice"}"#, None),
            (r#"{"token": "t"}"#, None),
            ("{}", None),
        ] {
            assert_eq!(
                read(text),
                Ok((expected.map(str::to_owned), false)),
                "{text}"
            );
        }
    }

    #[test]
    fn superusers() {
        for field in ["admin", "isAdmin", "administrator", "isAdministrator"] {
            for (text, expected) in [
                (format!(r#"{{"name": "a", "{field}": true}}"#), true),
                (
                    format!(r#"{{"user": {{"name": "a", "{field}": true}}}}"#),
                    true,
                ),
                (format!(r#"{{"name": "a", "{field}": false}}"#), false),
                (format!(r#"{{"name": "a", "{field}": "true"}}"#), false),
                (format!(r#"{{"name": "a", "{field}": 1}}"#), false),
                (
                    format!(r#"{{"name": "a", "x": {{"{field}": true}}}}"#),
                    false,
                ),
            ] {
                assert_eq!(read(&text).unwrap().1, expected, "{text}");
            }
        }
    }

    #[test]
    fn nonsense() {
        for text in [
            "",
            "ok",
            "<html>",
            "[]",
            "true",
            "{\"username\": \"alice\"",
            "\u{0}",
        ] {
            assert_eq!(read(text), Err(Nonsense::NoObject), "{text}");
        }
        for text in [
            r#"{"username": null}"#,
            r#"{"username": 7}"#,
            r#"{"name": {}}"#,
        ] {
            assert_eq!(read(text), Err(Nonsense::Name), "{text}");
        }
    }
}
