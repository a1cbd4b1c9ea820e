//! Grants: what somebody may do beyond the topics below their own name.
//!
//! A grant is a topic filter with the actions that it opens. It belongs to a user or to a role; roles
//! are defined in the configuration, who has them is the user base's business.

use std::{fmt, str::FromStr};

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{self, Unexpected},
};
use thiserror::Error;

use crate::{
    identity::Principal,
    topics::{covers_by, is_level, is_topic_filter},
};

const USERNAME: &str = "{username}";
const CLIENT_ID: &str = "{client_id}";

/// The longest role name, in bytes: many of them have to fit into a session state.
pub const MAX_ROLE_NAME_BYTES: usize = 64;

/// One grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Access {
    /// Which topics: a filter, in which `{username}` and `{client_id}` may fill a whole level.
    pub topic: TopicTemplate,
    /// Whether publishing there is granted.
    #[serde(default)]
    pub publish: bool,
    /// Whether subscribing there is granted.
    #[serde(default)]
    pub subscribe: bool,
    /// Whether a publication may be retained. Nothing for subscriptions.
    #[serde(default = "yes")]
    pub retain: bool,
    /// The highest QoS, 0 to 2. A PUBLISH above it is refused; a subscription is granted with it.
    #[serde(default = "exactly_once", deserialize_with = "qos")]
    pub qos: u8,
}

fn yes() -> bool {
    true
}

fn exactly_once() -> u8 {
    2
}

fn qos<'de, D: Deserializer<'de>>(from: D) -> Result<u8, D::Error> {
    let qos = u8::deserialize(from)?;
    if qos > exactly_once() {
        let found = Unexpected::Unsigned(qos.into());
        return Err(de::Error::invalid_value(found, &"a QoS: 0, 1 or 2"));
    }
    Ok(qos)
}

/// A topic filter whose levels may be placeholders. What they stand for is put in by
/// [`crate::policy`], level by level, so that no name can become two levels or a wildcard.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TopicTemplate(Box<str>);

/// Why a text is not a [`TopicTemplate`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// Not a topic filter in the first place.
    #[error("`{0}` is not a topic filter")]
    NotAFilter(String),
    /// A brace that is not part of a known placeholder which fills its level.
    #[error("`{0}`: a level that holds a brace must be exactly `{{username}}` or `{{client_id}}`")]
    Placeholder(String),
}

impl TopicTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// If it is no topic filter, or holds a brace that is not a placeholder of a level of its own.
    pub fn new(text: &str) -> Result<Self, TemplateError> {
        if !is_topic_filter(text) {
            return Err(TemplateError::NotAFilter(text.to_owned()));
        }
        let well_formed =
            |level: &str| matches!(level, USERNAME | CLIENT_ID) || !level.contains(['{', '}']);
        if !text.split('/').all(well_formed) {
            return Err(TemplateError::Placeholder(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// `{username}/#`
    pub(crate) fn below_username() -> Self {
        Self("{username}/#".into())
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a level is the client id.
    #[must_use]
    pub fn uses_client_id(&self) -> bool {
        self.0.split('/').any(|level| level == CLIENT_ID)
    }

    /// Whether a level is the user name.
    #[must_use]
    pub fn uses_username(&self) -> bool {
        self.0.split('/').any(|level| level == USERNAME)
    }

    /// Whether it stands for every topic that `filter` matches, for this user and this client id.
    #[must_use]
    pub fn covers(&self, filter: &str, names: &Names) -> bool {
        let fill = |level| match level {
            USERNAME => &names.username,
            // No level of a filter is a slash.
            CLIENT_ID => names.client_id(self).unwrap_or("/"),
            level => level,
        };
        covers_by(&self.0, filter, fill)
    }
}

/// What the placeholders of a template stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    username: Box<str>,
    client_id: Option<Box<str>>,
    client_id_is_own: bool,
}

impl Names {
    /// A client id that can't be one level stands for nothing: a template that holds it covers nothing then.
    ///
    /// Nor does one that anybody may choose, unless the user name is in the template, too: they would choose whose
    /// topics they get. `client_id_is_own` says that nobody else may have it.
    #[must_use]
    pub fn new(principal: &Principal, client_id: &str, client_id_is_own: bool) -> Self {
        Self {
            username: principal.name().into(),
            client_id: is_level(client_id).then(|| client_id.into()),
            client_id_is_own,
        }
    }

    fn client_id(&self, template: &TopicTemplate) -> Option<&str> {
        let client_id = self.client_id.as_deref();
        client_id.filter(|_| self.client_id_is_own || template.uses_username())
    }
}

impl TryFrom<String> for TopicTemplate {
    type Error = TemplateError;

    fn try_from(text: String) -> Result<Self, TemplateError> {
        Self::new(&text)
    }
}

impl From<TopicTemplate> for String {
    fn from(template: TopicTemplate) -> Self {
        template.0.into()
    }
}

/// The name of a role.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RoleName(Box<str>);

/// A text that cannot name a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "a role name has 1 to {MAX_ROLE_NAME_BYTES} bytes, none of them white space, a comma or a control character"
)]
pub struct RoleNameError;

impl RoleName {
    /// Checks a name.
    ///
    /// # Errors
    /// If it is empty, too long, or holds what would confuse a list of roles.
    pub fn new(name: &str) -> Result<Self, RoleNameError> {
        let fits = (1..=MAX_ROLE_NAME_BYTES).contains(&name.len())
            && !name.contains(|c: char| c.is_control() || c.is_whitespace() || c == ',');
        fits.then(|| Self(name.into())).ok_or(RoleNameError)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for RoleName {
    type Error = RoleNameError;

    fn try_from(name: String) -> Result<Self, RoleNameError> {
        Self::new(&name)
    }
}

impl From<RoleName> for String {
    fn from(name: RoleName) -> Self {
        name.0.into()
    }
}

impl FromStr for RoleName {
    type Err = RoleNameError;

    fn from_str(name: &str) -> Result<Self, RoleNameError> {
        Self::new(name)
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::UserName;

    #[test]
    fn templates() {
        for good in [
            "a/b",
            "{username}/#",
            "devices/{client_id}/+",
            "#",
            "$SYS/#",
        ] {
            assert_eq!(TopicTemplate::new(good).unwrap().as_str(), good);
        }
        for bad in ["", "a/#/b", "a+", "x{username}/#", "{user}/#", "{}/a", "a}"] {
            assert!(TopicTemplate::new(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn names_and_client_ids_fill_their_levels_and_nothing_else() {
        for (template, filter, username, client_id, expected) in [
            ("{username}/#", "alice/x", "alice", "", true),
            ("{username}/#", "{username}/x", "alice", "", false),
            ("{username}/#", "{client_id}/x", "{client_id}", "c", true),
            ("{username}/#", "c/x", "{client_id}", "c", false),
            ("d/{client_id}/+", "d/c/x", "alice", "c", true),
            ("d/{client_id}/+", "d/c/x/y", "alice", "c", false),
            ("d/{client_id}/+", "d/bob/x", "alice", "+", false),
            ("d/{client_id}/+", "d/+/x", "alice", "+", false),
            ("d/{client_id}/#", "d/#", "alice", "#", false),
            ("d/{client_id}/#", "d/a/b/x", "alice", "a/b", false),
            ("d/{client_id}", "d/", "alice", "", false),
            ("{client_id}/#", "$SYS/x", "alice", "$SYS", false),
        ] {
            let principal = Principal::User {
                name: UserName::new(username).unwrap(),
                superuser: false,
                roles: Vec::new(),
                grants: Vec::new(),
            };
            let names = Names::new(&principal, client_id, true);
            assert_eq!(
                TopicTemplate::new(template).unwrap().covers(filter, &names),
                expected,
                "{template} covers {filter} for {username} with {client_id}"
            );
        }
    }

    #[test]
    fn role_names() {
        assert!(RoleName::new("operators").is_ok());
        for bad in ["", "a b", "a,b", "a\n", &"x".repeat(65)] {
            assert!(RoleName::new(bad).is_err(), "{bad:?}");
        }
    }
}
