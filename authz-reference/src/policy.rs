//! The rules, as pure code: a principal and an action in, a grant or a refusal out.
//!
//! Users own the topics below their own name and nothing else; superusers may do anything. Both
//! answers are closed enums, so that the name of the rule, the reason code and the words for the
//! client are decided in one place for result, log and span.

use tidegate_proto::v1::ReasonCode;

use crate::{
    identity::Principal,
    topics::{covers, is_dollar},
};

/// A rule that allowed something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// CONNECT: a user source knows who it is; the rule is its own (`password`, `jwt`, …).
    Login(&'static str),
    /// CONNECT: no user name, and the operator permits that.
    Anonymous,
    /// The topics are below the principal's own name.
    OwnPrefix,
    /// Superusers may do anything.
    Superuser,
}

impl Grant {
    /// The rule's name in results, logs and spans.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::Login(rule) => rule,
            Self::Anonymous => "anonymous",
            Self::OwnPrefix => "own-prefix",
            Self::Superuser => "superuser",
        }
    }
}

/// A rule that refused something. The three texts are public: clients may see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// CONNECT: unknown user or wrong password, deliberately not told apart.
    UnknownUserOrPassword,
    /// CONNECT: a token or certificate that is not good, and why: a rule's name, for operators.
    Credential(&'static str),
    /// CONNECT: the password was right, and the user is disabled.
    Disabled,
    /// CONNECT: the user name could be mistaken for topic syntax.
    UserName,
    /// CONNECT: no user name.
    Anonymous,
    /// CONNECT: the client id is empty or too long to be namespaced.
    ClientId,
    /// CONNECT: MQTT 5 enhanced authentication, which this service does not do.
    AuthMethod,
    /// The topics are not all below the principal's own name.
    OwnPrefix,
    /// A topic of the broker's own (`$…`).
    DollarTopic,
    /// PUBLISH: the answer was asked for on somebody else's topic.
    ResponseTopic,
}

impl Refusal {
    /// The rule's name in results, logs and spans.
    #[must_use]
    pub fn rule(self) -> &'static str {
        match self {
            Self::UnknownUserOrPassword => "unknown-user-or-password",
            Self::Credential(rule) => rule,
            Self::Disabled => "disabled",
            Self::UserName => "user-name",
            Self::Anonymous => "anonymous",
            Self::ClientId => "client-id",
            Self::AuthMethod => "auth-method",
            Self::OwnPrefix => "own-prefix",
            Self::DollarTopic => "dollar-topic",
            Self::ResponseTopic => "response-topic",
        }
    }

    /// The MQTT 5 reason code.
    #[must_use]
    pub fn code(self) -> ReasonCode {
        match self {
            Self::UnknownUserOrPassword | Self::Credential(_) | Self::UserName => {
                ReasonCode::BadUserNameOrPassword
            }
            Self::Disabled => ReasonCode::Banned,
            Self::ClientId => ReasonCode::ClientIdentifierNotValid,
            Self::AuthMethod => ReasonCode::BadAuthenticationMethod,
            Self::Anonymous | Self::OwnPrefix | Self::DollarTopic | Self::ResponseTopic => {
                ReasonCode::NotAuthorized
            }
        }
    }

    /// The MQTT 5 reason string.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnknownUserOrPassword => "unknown user name or wrong password",
            Self::Credential(_) => "this token or certificate is not accepted",
            Self::Disabled => "this user is disabled",
            Self::UserName => "this user name is not permitted",
            Self::Anonymous => "a user name is required",
            Self::ClientId => "a client identifier is required, or it is too long",
            Self::AuthMethod => "enhanced authentication is not supported",
            Self::OwnPrefix => "only topics below your own user name are permitted",
            Self::DollarTopic => "topics that begin with $ are not permitted",
            Self::ResponseTopic => "the response topic must be below your own user name",
        }
    }
}

/// May `principal` publish to `topic`, or leave a will there?
///
/// The response topic counts as well: whoever answers a request publishes with their own rights,
/// and must not be led to do so where the asker could not. Empty means that there is none.
///
/// # Errors
/// The rule that refused.
pub fn publish(principal: &Principal, topic: &str, response_topic: &str) -> Result<Grant, Refusal> {
    if principal.is_superuser() {
        return Ok(Grant::Superuser);
    }
    if is_dollar(topic) {
        return Err(Refusal::DollarTopic);
    }
    if !is_below(principal.name(), topic) {
        return Err(Refusal::OwnPrefix);
    }
    if !response_topic.is_empty() && !is_below(principal.name(), response_topic) {
        return Err(Refusal::ResponseTopic);
    }
    Ok(Grant::OwnPrefix)
}

/// May `principal` receive everything that `filter` matches?
///
/// `alice/#` includes the bare topic `alice` by definition of `#`, so unlike for publishing that
/// level is within reach here.
///
/// # Errors
/// The rule that refused.
pub fn subscribe(principal: &Principal, filter: &str) -> Result<Grant, Refusal> {
    if principal.is_superuser() {
        return Ok(Grant::Superuser);
    }
    if is_dollar(filter) {
        return Err(Refusal::DollarTopic);
    }
    if !covers(&format!("{}/#", principal.name()), filter) {
        return Err(Refusal::OwnPrefix);
    }
    Ok(Grant::OwnPrefix)
}

/// Whole levels: `alice2/x` is not below `alice`, and neither is `alice` itself.
fn is_below(name: &str, topic: &str) -> bool {
    topic
        .strip_prefix(name)
        .is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::UserName;

    const OWN: Result<Grant, Refusal> = Ok(Grant::OwnPrefix);
    const SUPER: Result<Grant, Refusal> = Ok(Grant::Superuser);
    const OUTSIDE: Result<Grant, Refusal> = Err(Refusal::OwnPrefix);
    const DOLLAR: Result<Grant, Refusal> = Err(Refusal::DollarTopic);
    const RESPONSE: Result<Grant, Refusal> = Err(Refusal::ResponseTopic);

    fn principal(name: &str) -> Principal {
        match name {
            "anonymous" => Principal::Anonymous,
            name => Principal::User {
                name: UserName::new(name).unwrap(),
                superuser: name == "root",
                roles: Vec::new(),
                grants: Vec::new(),
            },
        }
    }

    #[test]
    fn publishing() {
        #[rustfmt::skip]
        let cases = [
            // principal   topic            response topic   expected
            ("alice",      "alice/x",       "",              OWN),
            ("alice",      "alice/",        "",              OWN),
            ("alice",      "alice//x",      "",              OWN),
            ("alice",      "alice/$x",      "",              OWN),
            ("alice",      "alice",         "",              OUTSIDE),
            ("alice",      "alice2/x",      "",              OUTSIDE),
            ("alice",      "alic/x",        "",              OUTSIDE),
            ("alice",      "Alice/x",       "",              OUTSIDE),
            ("alice",      "/alice/x",      "",              OUTSIDE),
            ("alice",      "bob/alice/x",   "",              OUTSIDE),
            ("alice",      "anonymous/x",   "",              OUTSIDE),
            ("alice",      "$SYS/alice",    "",              DOLLAR),
            ("alice",      "$share/g/alice/x", "",           DOLLAR),
            ("alice",      "alice/x",       "alice/answers", OWN),
            ("alice",      "alice/x",       "bob/door/open", RESPONSE),
            ("alice",      "alice/x",       "alice",         RESPONSE),
            ("alice",      "alice/x",       "$SYS/x",        RESPONSE),
            ("alice",      "bob/x",         "bob/x",         OUTSIDE),
            ("anonymous",  "anonymous/x",   "",              OWN),
            ("anonymous",  "alice/x",       "",              OUTSIDE),
            ("root",       "bob/x",         "carol/x",       SUPER),
            ("root",       "$SYS/x",        "",              SUPER),
        ];
        for (who, topic, response_topic, expected) in cases {
            assert_eq!(
                publish(&principal(who), topic, response_topic),
                expected,
                "{who} publishes to {topic}, answers to {response_topic:?}"
            );
        }
    }

    #[test]
    fn subscribing() {
        #[rustfmt::skip]
        let cases = [
            // principal   filter                expected
            ("alice",      "alice/#",            OWN),
            ("alice",      "alice/+/temp",       OWN),
            ("alice",      "alice/x",            OWN),
            ("alice",      "alice",              OWN),
            ("alice",      "alice2/#",           OUTSIDE),
            ("alice",      "bob/#",              OUTSIDE),
            ("alice",      "+/x",                OUTSIDE),
            ("alice",      "+/#",                OUTSIDE),
            ("alice",      "#",                  OUTSIDE),
            ("alice",      "/alice/#",           OUTSIDE),
            ("alice",      "$SYS/#",             DOLLAR),
            ("alice",      "$share/g/alice/#",   DOLLAR),
            ("alice",      "$queue/alice/#",     DOLLAR),
            ("anonymous",  "anonymous/#",        OWN),
            ("anonymous",  "alice/#",            OUTSIDE),
            ("root",       "#",                  SUPER),
            ("root",       "$SYS/#",             SUPER),
        ];
        for (who, filter, expected) in cases {
            assert_eq!(
                subscribe(&principal(who), filter),
                expected,
                "{who} subscribes to {filter}"
            );
        }
    }
}
