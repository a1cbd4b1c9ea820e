//! Where the topics of a session begin at the broker: a template of the operator's, filled in with
//! what is known of the client.
//!
//! Two clients whose values differ must never get mounts of which one lies in the other, whatever
//! they chose for a name. So a value is one level at most, it is never empty, and no two values stand
//! in one level.

use std::{fmt, str::FromStr};

use bytestring::ByteString;
use gatekeeper::topic;
use thiserror::Error;

/// Longest mount in bytes: it stands in front of every topic, and those have 65,535 at most.
const MAX_LENGTH: usize = 4096;

/// A mount with placeholders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Placeholder),
}

/// What can stand in a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placeholder {
    /// The identity that the service gave.
    Principal,
    /// The client's MQTT user name.
    Username,
    /// The client's own client identifier.
    ClientId,
}

/// What is known of a client whose CONNECT was allowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Values<'a> {
    /// For `{principal}`.
    pub principal: &'a str,
    /// For `{username}`.
    pub username: Option<&'a str>,
    /// For `{client_id}`.
    pub client_id: &'a str,
}

/// What is wrong with a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// No `/` at the end, or nothing at all.
    #[error("a mount that ends in `/`, such as \"{{principal}}/\"")]
    End,
    /// Braces that are no placeholder.
    #[error("no braces but {{principal}}, {{username}} and {{client_id}}")]
    Placeholder,
    /// Two values could be cut in two ways.
    #[error("at most one placeholder between two `/`")]
    Adjacent,
    /// What is fixed of it can't stand in a topic.
    #[error("a topic without `+`, `#` and control characters, not beginning with `$`")]
    Topic,
    /// Too long.
    #[error("at most {MAX_LENGTH} bytes")]
    Length,
}

/// Why a client can have no mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ExpandError {
    /// The value is absent or empty.
    #[error("the client has no {0}")]
    Missing(Placeholder),
    /// The value has a `/`: it would reach into the mounts of others.
    #[error("`/` in {0}")]
    Separator(Placeholder),
    /// Not the beginning of a topic: a wildcard, a character that MQTT does not allow, or `$` at its
    /// beginning.
    #[error("it cannot stand in front of a topic")]
    Topic,
    /// Too long.
    #[error("it has more than {MAX_LENGTH} bytes")]
    Length,
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(text: &str) -> Result<Self, TemplateError> {
        if text.len() > MAX_LENGTH {
            return Err(TemplateError::Length);
        }
        if !text.ends_with('/') {
            return Err(TemplateError::End);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        let mut level_has_value = false;
        while let Some(at) = rest.find(['{', '}']) {
            let (before, after) = rest.split_at(at);
            let (placeholder, behind) =
                Placeholder::cut(after).ok_or(TemplateError::Placeholder)?;
            level_has_value &= !before.contains('/');
            if level_has_value {
                return Err(TemplateError::Adjacent);
            }
            level_has_value = true;
            parts.push(Part::Text(before.to_owned()));
            parts.push(Part::Value(placeholder));
            rest = behind;
        }
        parts.push(Part::Text(rest.to_owned()));
        let template = Self(parts);
        // A harmless value shows what is wrong with the rest.
        match template.expand(Values {
            principal: "x",
            username: Some("x"),
            client_id: "x",
        }) {
            Ok(_) => Ok(template),
            Err(_) => Err(TemplateError::Topic),
        }
    }
}

impl Template {
    /// The mount of a client.
    ///
    /// # Errors
    ///
    /// If a value is missing, or the result is no mount.
    pub fn expand(&self, values: Values<'_>) -> Result<ByteString, ExpandError> {
        let mut mount = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => mount.push_str(text),
                Part::Value(placeholder) => mount.push_str(placeholder.fill(values)?),
            }
            if mount.len() > MAX_LENGTH {
                return Err(ExpandError::Length);
            }
        }
        if mount.starts_with('$') || topic::check_topic_name(&mount).is_err() {
            return Err(ExpandError::Topic);
        }
        Ok(mount.into())
    }
}

impl Placeholder {
    const ALL: [Self; 3] = [Self::Principal, Self::Username, Self::ClientId];

    /// Cuts the placeholder off the beginning of a text.
    fn cut(text: &str) -> Option<(Self, &str)> {
        Self::ALL.into_iter().find_map(|placeholder| {
            let rest = text.strip_prefix('{')?.strip_prefix(placeholder.name())?;
            Some((placeholder, rest.strip_prefix('}')?))
        })
    }

    fn name(self) -> &'static str {
        match self {
            Self::Principal => "principal",
            Self::Username => "username",
            Self::ClientId => "client_id",
        }
    }

    fn fill(self, values: Values<'_>) -> Result<&str, ExpandError> {
        let value = match self {
            Self::Principal => values.principal,
            Self::Username => values.username.unwrap_or_default(),
            Self::ClientId => values.client_id,
        };
        if value.is_empty() {
            return Err(ExpandError::Missing(self));
        }
        if value.contains('/') {
            return Err(ExpandError::Separator(self));
        }
        Ok(value)
    }
}

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: Values<'static> = Values {
        principal: "alice",
        username: Some("al"),
        client_id: "c1",
    };

    fn template(text: &str) -> Template {
        text.parse().unwrap()
    }

    #[test]
    fn values_stand_where_the_operator_wants_them() {
        for (text, mount) in [
            ("{principal}/", "alice/"),
            ("tenants/{principal}/d-{client_id}/", "tenants/alice/d-c1/"),
            ("{username}/x/", "al/x/"),
            ("/{client_id}/", "/c1/"),
            ("devices/", "devices/"),
        ] {
            assert_eq!(template(text).expand(ALICE).unwrap(), mount, "{text}");
        }
    }

    #[test]
    fn templates_that_could_go_wrong_are_refused() {
        for (text, error) in [
            ("", TemplateError::End),
            ("{principal}", TemplateError::End),
            ("{user}/", TemplateError::Placeholder),
            ("{principal/", TemplateError::Placeholder),
            ("principal}/", TemplateError::Placeholder),
            ("{{principal}}/", TemplateError::Placeholder),
            ("{}/", TemplateError::Placeholder),
            ("{principal}{client_id}/", TemplateError::Adjacent),
            ("{principal}-{client_id}/", TemplateError::Adjacent),
            ("a/{username}x{username}/", TemplateError::Adjacent),
            ("+/{principal}/", TemplateError::Topic),
            ("#/", TemplateError::Topic),
            ("a\0/", TemplateError::Topic),
            ("a\n/", TemplateError::Topic),
            ("$share/{principal}/", TemplateError::Topic),
            (&("a".repeat(MAX_LENGTH) + "/"), TemplateError::Length),
        ] {
            assert_eq!(text.parse::<Template>(), Err(error), "{text}");
        }
        assert!("{principal}/{client_id}/".parse::<Template>().is_ok());
    }

    #[test]
    fn no_name_reaches_into_the_mounts_of_others() {
        let principal = |principal| {
            let values = Values { principal, ..ALICE };
            template("{principal}/").expand(values)
        };
        for (name, error) in [
            ("", ExpandError::Missing(Placeholder::Principal)),
            ("bob/x", ExpandError::Separator(Placeholder::Principal)),
            ("/", ExpandError::Separator(Placeholder::Principal)),
            ("+", ExpandError::Topic),
            ("a#", ExpandError::Topic),
            ("a\0b", ExpandError::Topic),
            ("a\u{7f}", ExpandError::Topic),
            ("a\u{ffff}", ExpandError::Topic),
            ("$SYS", ExpandError::Topic),
            (&"a".repeat(MAX_LENGTH), ExpandError::Length),
        ] {
            assert_eq!(principal(name), Err(error), "{name:?}");
        }
        let nobody = Values {
            username: None,
            ..ALICE
        };
        assert_eq!(
            template("{username}/").expand(nobody),
            Err(ExpandError::Missing(Placeholder::Username))
        );
    }
}
