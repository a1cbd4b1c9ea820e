//! The way of a verdict into the result message, the log and the span.

use tidegate_proto::v1::{
    CheckMetadata, ConnectAllow, ConnectCheck, ConnectResult, Deny, Failure, PublishAllow,
    PublishCheck, PublishResult, ResultMetadata, Session, SubscribeAllow, SubscribeCheck,
    SubscribeResult, connect_result, publish_result, subscribe_result,
};
use tracing::Span;

use super::verdict::{NotAllowed, Verdict};
use crate::{
    identity::MAX_USER_NAME_BYTES,
    telemetry::{Call, Decision, Outcome},
    users::token::looks_like_one,
};

/// Reports a verdict and makes it the result of its check.
pub(super) fn conclude<C: Check>(
    call: &Call,
    span: &Span,
    check: &C,
    verdict: Verdict<C::Allow>,
    decision_id: String,
) -> C::Result {
    let (outcome, rule, detail) = match &verdict {
        Ok(allowed) => (Outcome::Allow, allowed.grant.rule(), None),
        Err(NotAllowed::Refused(refusal)) => (Outcome::Deny, refusal.rule(), None),
        Err(NotAllowed::Faulty(fault)) => (Outcome::Failure, fault.rule(), Some(fault.to_string())),
    };
    let of_session = |field: fn(&Session) -> &str| check.session().map_or("", field);
    let principal = of_session(|session| &session.principal);
    Decision {
        id: &decision_id,
        outcome,
        rule,
        user: if principal.is_empty() {
            named(of_session(|session| {
                session.username.as_deref().unwrap_or_default()
            }))
        } else {
            principal
        },
        client_id: of_session(|session| &session.client_id),
        session_id: of_session(|session| &session.session_id),
        topic: check.topic(),
        detail,
    }
    .report(call, span);

    let metadata = ResultMetadata {
        item_id: check.metadata().map_or(0, |metadata| metadata.item_id),
        decision_id,
        policy: rule.to_owned(),
        ..ResultMetadata::default()
    };
    C::result(metadata, Answer::from(verdict))
}

/// The user name of CONNECT, for the log. It may be somebody's token, which is as good as a password.
fn named(username: &str) -> &str {
    if username.len() > MAX_USER_NAME_BYTES || looks_like_one(username) {
        "<token>"
    } else {
        username
    }
}

/// The three arms of every result.
pub(super) enum Answer<A> {
    Allow(A),
    Deny(Deny),
    Failure(Failure),
}

impl<A> From<Verdict<A>> for Answer<A> {
    fn from(verdict: Verdict<A>) -> Self {
        match verdict {
            Ok(allowed) => Self::Allow(allowed.allow),
            Err(NotAllowed::Refused(refusal)) => Self::Deny(Deny {
                reason_code: refusal.code().into(),
                reason_string: refusal.reason().to_owned(),
                action: refusal.action().into(),
                server_reference: String::new(),
            }),
            Err(NotAllowed::Faulty(fault)) => Self::Failure(Failure {
                code: fault.code().into(),
                message: fault.to_string(),
                retry_after: fault.retry_after().and_then(|wait| wait.try_into().ok()),
            }),
        }
    }
}

/// The same fields and the same answer under three names.
pub(super) trait Check {
    /// By default as it was asked for.
    type Allow: Default;
    type Result;

    fn metadata(&self) -> Option<&CheckMetadata>;
    fn session(&self) -> Option<&Session>;
    /// Topic or filter, for the log.
    fn topic(&self) -> Option<&str>;
    fn result(metadata: ResultMetadata, answer: Answer<Self::Allow>) -> Self::Result;
}

macro_rules! check {
    ($check:ident => $result:ident, $allow:ident, $module:ident $(, $topic:ident)?) => {
        impl Check for $check {
            type Allow = $allow;
            type Result = $result;

            fn metadata(&self) -> Option<&CheckMetadata> {
                self.metadata.as_ref()
            }

            fn session(&self) -> Option<&Session> {
                self.session.as_ref()
            }

            fn topic(&self) -> Option<&str> {
                None$(.or(Some(self.$topic.as_str())))?
            }

            fn result(metadata: ResultMetadata, answer: Answer<$allow>) -> $result {
                let decision = match answer {
                    Answer::Allow(allow) => $module::Decision::Allow(allow),
                    Answer::Deny(deny) => $module::Decision::Deny(deny),
                    Answer::Failure(failure) => $module::Decision::Failure(failure),
                };
                $result {
                    metadata: Some(metadata),
                    decision: Some(decision),
                }
            }
        }
    };
}

check! { ConnectCheck => ConnectResult, ConnectAllow, connect_result }
check! { PublishCheck => PublishResult, PublishAllow, publish_result, topic }
check! { SubscribeCheck => SubscribeResult, SubscribeAllow, subscribe_result, topic_filter }

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_logged_as_a_user() {
        // {"alg":"HS256"}
        let token = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";
        for (username, expected) in [
            ("alice", "alice"),
            ("", ""),
            ("a.b.c", "a.b.c"),
            (token, "<token>"),
            (&"x".repeat(129), "<token>"),
        ] {
            assert_eq!(named(username), expected);
        }
    }
}
