//! Who a session belongs to, and which names may stand for somebody.
//!
//! A user name becomes the first level of topics and the first part of a client id. Whoever could
//! log in as `#`, `a/b` or `$SYS` would own other people's topics, so such names never become a
//! [`UserName`]; every rule of [`crate::policy`] takes a [`UserName`] and cannot be asked about
//! an unchecked one.

use std::{fmt, str::FromStr};

use thiserror::Error;

use crate::{
    access::{Access, RoleName},
    topics::MAX_STRING_BYTES,
};

/// The longest user name, in bytes: leaves room for the rest of a topic, a client id and the
/// session state.
pub const MAX_USER_NAME_BYTES: usize = 128;

/// The principal, topic prefix and client id prefix of clients that send no user name. No user
/// may have this name.
pub const ANONYMOUS: &str = "anonymous";

/// Why a text is not a user name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum UserNameError {
    /// Nothing there.
    #[error("a user name may not be empty")]
    Empty,
    /// Longer than [`MAX_USER_NAME_BYTES`].
    #[error("a user name may not be longer than {MAX_USER_NAME_BYTES} bytes")]
    TooLong,
    /// Would name the broker's own topics.
    #[error("a user name may not begin with `$`")]
    Dollar,
    /// Would be more than one topic level, or a wildcard.
    #[error("a user name may not contain `/`, `+` or `#`")]
    TopicSyntax,
    /// Would forge log lines or be cut off somewhere.
    #[error("a user name may not contain control characters")]
    Control,
    /// Two names that look alike would be two users.
    #[error("a user name may not begin or end with white space")]
    Blank,
    /// [`ANONYMOUS`].
    #[error("the user name `{ANONYMOUS}` is reserved")]
    Reserved,
}

/// A user name that can safely be the first level of a topic.
///
/// Compared byte for byte: there is no case folding and no Unicode normalisation, because brokers
/// do neither with topics.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserName(Box<str>);

impl UserName {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// If the name could be mistaken for something else; see [`UserNameError`].
    pub fn new(name: &str) -> Result<Self, UserNameError> {
        if name.is_empty() {
            Err(UserNameError::Empty)
        } else if name.len() > MAX_USER_NAME_BYTES {
            Err(UserNameError::TooLong)
        } else if name.starts_with('$') {
            Err(UserNameError::Dollar)
        } else if name.contains(['/', '+', '#']) {
            Err(UserNameError::TopicSyntax)
        } else if name.contains(char::is_control) {
            Err(UserNameError::Control)
        } else if name.trim() != name {
            Err(UserNameError::Blank)
        } else if name == ANONYMOUS {
            Err(UserNameError::Reserved)
        } else {
            Ok(Self(name.into()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserName {
    type Err = UserNameError;

    fn from_str(name: &str) -> Result<Self, UserNameError> {
        Self::new(name)
    }
}

impl fmt::Display for UserName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who a session acts for, settled at CONNECT and carried in the session state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// Somebody who has shown who they are.
    User {
        /// Their name.
        name: UserName,
        /// Whether every action is allowed.
        superuser: bool,
        /// Their roles.
        roles: Vec<RoleName>,
        /// Their own grants.
        grants: Vec<Access>,
    },
    /// A client that sent no user name, where the operator permits that.
    Anonymous,
}

impl Principal {
    /// The name in logs and answers, which is also the first topic level that is their own.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::User { name, .. } => name.as_str(),
            Self::Anonymous => ANONYMOUS,
        }
    }

    /// Whether every action is allowed.
    #[must_use]
    pub fn is_superuser(&self) -> bool {
        matches!(
            self,
            Self::User {
                superuser: true,
                ..
            }
        )
    }

    /// The client id to use towards the broker: `<name>/<client id>`.
    ///
    /// A resumed session delivers without any SUBSCRIBE, and a second connection with an id ends
    /// the first one. With the name in front, whatever id clients choose, they only ever meet
    /// sessions of their own user; a name holds no `/`, so no two pairs give the same id. `None`
    /// if there is no client id or MQTT could not carry the result.
    #[must_use]
    pub fn broker_client_id(&self, client_id: &str) -> Option<String> {
        let id = format!("{}/{client_id}", self.name());
        (!client_id.is_empty() && id.len() <= MAX_STRING_BYTES).then_some(id)
    }

    /// Whether a client id is bound to the user: their name, or begins with it and a slash.
    #[must_use]
    pub fn owns_client_id(&self, client_id: &str) -> bool {
        client_id
            .strip_prefix(self.name())
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        use UserNameError as E;
        let longest = "x".repeat(MAX_USER_NAME_BYTES);
        for good in [
            "alice",
            "a",
            "al ice",
            "alice@example.com",
            "änne",
            "a$",
            &longest,
        ] {
            assert_eq!(
                UserName::new(good).map(|name| name.to_string()),
                Ok(good.to_owned())
            );
        }
        for (bad, error) in [
            ("", E::Empty),
            ("$SYS", E::Dollar),
            ("$", E::Dollar),
            ("a/b", E::TopicSyntax),
            ("/", E::TopicSyntax),
            ("+", E::TopicSyntax),
            ("a#", E::TopicSyntax),
            ("a\nb", E::Control),
            ("a\0", E::Control),
            ("a\u{85}", E::Control),
            (" a", E::Blank),
            ("a\u{a0}", E::Blank),
            ("anonymous", E::Reserved),
            (&"x".repeat(MAX_USER_NAME_BYTES + 1), E::TooLong),
        ] {
            assert_eq!(UserName::new(bad), Err(error), "{bad:?}");
        }
    }

    #[test]
    fn broker_client_ids() {
        let alice = Principal::User {
            name: UserName::new("alice").unwrap(),
            superuser: false,
            roles: Vec::new(),
            grants: Vec::new(),
        };
        assert_eq!(alice.broker_client_id("c1").as_deref(), Some("alice/c1"));
        assert_eq!(
            alice.broker_client_id("bob/c1").as_deref(),
            Some("alice/bob/c1")
        );
        assert_eq!(
            Principal::Anonymous.broker_client_id("c").as_deref(),
            Some("anonymous/c")
        );
        for (id, own) in [
            ("alice", true),
            ("alice/", true),
            ("alice/c", true),
            ("alice2", false),
            ("", false),
            ("bob/alice", false),
        ] {
            assert_eq!(alice.owns_client_id(id), own, "{id}");
        }
        assert_eq!(alice.broker_client_id(""), None);
        assert_eq!(alice.broker_client_id(&"c".repeat(65_530)), None);
    }
}
