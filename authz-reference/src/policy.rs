//! The rules, as pure code: a principal and an action in, a grant or a refusal out.
//!
//! Users own the topics below their [own prefix](rules::Prefix); grants of their own and of their roles open more;
//! superusers may do anything. Each rule decides alone: two grants that cover a filter only together do not grant it.
//! Both answers are closed enums, so that the name of the rule, the reason code and the words for the client are
//! decided in one place for result, log and span.
//!
//! * [`rules`] is what the configuration says,
//! * [`permissions`] what it means for one session,
//! * [`explain`] tells what each rule has to say about an action.

use std::sync::Arc;

use tidegate_proto::v1::{DenyAction, ReasonCode};

pub mod explain;
pub mod permissions;
pub mod rules;

pub use permissions::{Permissions, Publication, SubscribeGrant, Subscription};
pub use rules::Rules;

/// A rule that allowed something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Grant {
    /// CONNECT: a user source knows who it is; the rule is its own (`password`, `jwt`, …).
    Login(&'static str),
    /// CONNECT: no user name, and the operator permits that.
    Anonymous,
    /// The topics are below the principal's own prefix.
    OwnPrefix,
    /// A grant of the user's own.
    User,
    /// A grant of a role; this is the rule's whole name, `grant:role:<name>`.
    Role(Arc<str>),
    /// Superusers may do anything.
    Superuser,
    /// Whoever is asked in place of these rules says so; this is the rule's name.
    Oracle(&'static str),
}

impl Grant {
    /// The rule's name in results, logs and spans.
    #[must_use]
    pub fn rule(&self) -> &str {
        match self {
            Self::Login(rule) => rule,
            Self::Anonymous => "anonymous",
            Self::OwnPrefix => "own-prefix",
            Self::User => "grant:user",
            Self::Role(rule) => rule,
            Self::Superuser => "superuser",
            Self::Oracle(rule) => rule,
        }
    }
}

/// Where a publication comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// A PUBLISH.
    Client,
    /// The will of a CONNECT.
    Will,
}

/// A rule that refused something. The three texts are public: clients may see them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// CONNECT: unknown user or wrong password, deliberately not told apart.
    UnknownUserOrPassword,
    /// CONNECT: a token or certificate that is not good, and why: a rule's name, for operators.
    Credential(&'static str),
    /// The user is disabled. At CONNECT only who knows the password hears that.
    Disabled,
    /// CONNECT: the user name could be mistaken for topic syntax.
    UserName,
    /// CONNECT: no user name.
    Anonymous,
    /// CONNECT: the client id is empty or too long to be namespaced.
    ClientId,
    /// CONNECT: the client id is not the user's own, and has to be.
    ClientIdNotOwn,
    /// CONNECT: the client id is part of the own prefix and can't be one level of a topic.
    ClientIdNoLevel,
    /// CONNECT: MQTT 5 enhanced authentication, which this service does not do.
    AuthMethod,
    /// PUBLISH, SUBSCRIBE: the user has been removed since.
    Gone,
    /// Whoever is asked in place of these rules says no; this is the rule's name.
    Oracle(&'static str),
    /// The topics are not all below the principal's own prefix, and no one grant covers them.
    OwnPrefix,
    /// A topic of the broker's own (`$…`).
    DollarTopic,
    /// PUBLISH: the answer was asked for on somebody else's topic.
    ResponseTopic,
    /// PUBLISH: a grant covers the topic, but not retained messages.
    Retain(Origin),
    /// PUBLISH: a grant covers the topic, but not this QoS.
    Qos(Origin),
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
            Self::ClientId | Self::ClientIdNotOwn | Self::ClientIdNoLevel => "client-id",
            Self::AuthMethod => "auth-method",
            Self::Gone => "user-gone",
            Self::Oracle(rule) => rule,
            Self::OwnPrefix => "own-prefix",
            Self::DollarTopic => "dollar-topic",
            Self::ResponseTopic => "response-topic",
            Self::Retain(_) => "grant-retain",
            Self::Qos(_) => "grant-qos",
        }
    }

    /// The MQTT 5 reason code.
    ///
    /// "Retain not supported" and "QoS not supported" may stand in CONNACK only. In PUBACK the data plane would put
    /// 0x83 for them, which is what it says when nobody has decided; so a PUBLISH hears "not authorized".
    #[must_use]
    pub fn code(self) -> ReasonCode {
        match self {
            Self::UnknownUserOrPassword | Self::Credential(_) | Self::UserName => {
                ReasonCode::BadUserNameOrPassword
            }
            Self::Disabled => ReasonCode::Banned,
            Self::ClientId | Self::ClientIdNotOwn | Self::ClientIdNoLevel => {
                ReasonCode::ClientIdentifierNotValid
            }
            Self::AuthMethod => ReasonCode::BadAuthenticationMethod,
            Self::Retain(Origin::Will) => ReasonCode::RetainNotSupported,
            Self::Qos(Origin::Will) => ReasonCode::QosNotSupported,
            Self::Anonymous
            | Self::Gone
            | Self::Oracle(_)
            | Self::OwnPrefix
            | Self::DollarTopic
            | Self::ResponseTopic
            | Self::Retain(Origin::Client)
            | Self::Qos(Origin::Client) => ReasonCode::NotAuthorized,
        }
    }

    /// What becomes of the client: who may not be there at all is disconnected.
    #[must_use]
    pub fn action(self) -> DenyAction {
        match self {
            Self::Disabled | Self::Gone | Self::Anonymous => DenyAction::Disconnect,
            _ => DenyAction::Unspecified,
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
            Self::ClientIdNotOwn => {
                "the client identifier must be your user name, or begin with it and a slash"
            }
            Self::ClientIdNoLevel => "this client identifier is not permitted",
            Self::AuthMethod => "enhanced authentication is not supported",
            Self::Gone => "this user does not exist any more",
            Self::Oracle(_) => "this topic is not permitted",
            Self::OwnPrefix => "only topics below your own user name are permitted",
            Self::DollarTopic => "topics that begin with $ are not permitted",
            Self::ResponseTopic => "the response topic must be below your own user name",
            Self::Retain(_) => "retained messages are not permitted on this topic",
            Self::Qos(_) => "this quality of service is not permitted on this topic",
        }
    }
}

#[cfg(test)]
mod tests;
