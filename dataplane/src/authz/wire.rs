//! Reads the answers of the service. What it sends is as hostile as what a client sends: nothing here
//! panics, everything is bounded, and whatever is not clearly a yes is none.

use std::time::{Duration, Instant, SystemTime};

use bytestring::ByteString;
use gatekeeper::{Allow, Deny, DenyAction, ReasonCode, Verdict};
use tidegate_proto::v1;

use super::{
    decision::{Decision, Facts, Identity, MAX_ANNOTATIONS},
    failure::{Cause, Failure, shortened},
    hook::Hook,
    options::{AuthzOptions, Mutations},
};

/// The end of one check, as far as the service has a say in it.
pub(super) type Outcome = Result<Decision, Box<Failure>>;

/// What an answer may hold.
#[derive(Debug, Clone)]
pub struct Rules {
    mutations: Mutations,
    max_session_state: usize,
}

impl From<&AuthzOptions> for Rules {
    fn from(options: &AuthzOptions) -> Self {
        Self {
            mutations: options.mutations.clone(),
            max_session_state: options.max_session_state,
        }
    }
}

/// The three answers of the contract, free of the hook's own types.
#[derive(Debug)]
pub enum Answer<A> {
    /// Yes.
    Allow(A),
    /// No.
    Deny(v1::Deny),
    /// Cannot tell.
    Failure(v1::Failure),
}

/// The ends of `expected` checks, whose ids are 1 to `expected`, in that order.
#[derive(Debug)]
pub(super) struct Matched {
    /// One for each check.
    pub(super) outcomes: Vec<Outcome>,
    /// Results whose id belongs to no check.
    pub(super) unknown_items: usize,
}

/// Matches results with checks by id, in whatever order they came.
pub(super) fn match_results<H: Hook>(
    expected: usize,
    results: Vec<H::Result>,
    rules: &Rules,
) -> Matched {
    let mut outcomes: Vec<Option<Outcome>> = Vec::new();
    outcomes.resize_with(expected, || None);
    let mut unknown_items = 0;
    for result in results {
        let (metadata, answer) = H::open(result);
        match item_index(metadata.item_id).and_then(|index| outcomes.get_mut(index)) {
            Some(slot @ None) => *slot = Some(read::<H>(metadata, answer, rules)),
            // Two answers to one question: neither can be trusted.
            Some(slot) => *slot = Some(Err(Cause::DuplicateResult.into())),
            None => unknown_items += 1,
        }
    }
    let outcomes = outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|| Err(Cause::MissingResult.into())))
        .collect();
    Matched {
        outcomes,
        unknown_items,
    }
}

/// The id of the check at `index` of a batch. Never 0: a service that forgets to echo ids is found out.
pub(super) fn item_id(index: usize) -> u32 {
    u32::try_from(index).map_or(u32::MAX, |index| index.saturating_add(1))
}

fn item_index(item_id: u32) -> Option<usize> {
    usize::try_from(item_id).ok()?.checked_sub(1)
}

fn read<H: Hook>(
    metadata: v1::ResultMetadata,
    answer: Option<Answer<H::Allow>>,
    rules: &Rules,
) -> Outcome {
    let ending = match answer {
        Some(Answer::Allow(allow)) => {
            H::grant(allow, rules).map(|(allow, identity)| (Verdict::Allow(allow), identity))
        }
        Some(Answer::Deny(deny)) => {
            refusal(deny, H::MAY_DROP).map(|deny| (Verdict::Deny(deny), None))
        }
        Some(Answer::Failure(failure)) => Err(service_failure(&failure)),
        None => Err(Cause::UnsetDecision),
    };
    let facts = facts(metadata);
    match ending {
        Ok((verdict, identity)) => Ok(Decision {
            verdict,
            identity,
            facts,
            decided_at: tokio::time::Instant::now(),
        }),
        Err(cause) => Err(Box::new(Failure {
            facts,
            ..cause.into()
        })),
    }
}

fn facts(metadata: v1::ResultMetadata) -> Facts {
    let mut annotations: Vec<_> = metadata
        .annotations
        .iter()
        .take(MAX_ANNOTATIONS)
        .map(|(key, value)| (shortened(key), shortened(value)))
        .collect();
    annotations.sort_unstable();
    Facts {
        policy: shortened(&metadata.policy),
        decision_id: shortened(&metadata.decision_id),
        annotations,
        ..Facts::default()
    }
}

fn service_failure(failure: &v1::Failure) -> Cause {
    Cause::Service {
        // A code from the future is a failure all the same.
        code: v1::FailureCode::try_from(failure.code).unwrap_or(v1::FailureCode::Unspecified),
        message: shortened(&failure.message),
    }
}

fn refusal(deny: v1::Deny, may_drop: bool) -> Result<Deny, Cause> {
    let code = match v1::ReasonCode::try_from(deny.reason_code) {
        Ok(v1::ReasonCode::Unspecified) => None,
        // All codes of the enum but 0 are at or above 0x80 and below 0x100.
        Ok(code) => Some(ReasonCode::new(
            u8::try_from(code as i32).map_err(|_| Cause::IllegalReasonCode(deny.reason_code))?,
        )),
        Err(_) => return Err(Cause::IllegalReasonCode(deny.reason_code)),
    };
    let action = match v1::DenyAction::try_from(deny.action) {
        Ok(v1::DenyAction::Unspecified) => DenyAction::Configured,
        Ok(v1::DenyAction::Reject) => DenyAction::Reject,
        Ok(v1::DenyAction::Disconnect) => DenyAction::Disconnect,
        Ok(v1::DenyAction::Drop) if may_drop => DenyAction::Drop,
        Ok(v1::DenyAction::Drop) | Err(_) => return Err(Cause::IllegalAction(deny.action)),
    };
    Ok(Deny {
        code,
        reason_string: said(deny.reason_string),
        action,
        server_reference: said(deny.server_reference),
    })
}

/// A text for the client. One that MQTT cannot carry is left out: it must not turn a no into a failure.
fn said(text: String) -> Option<ByteString> {
    (!text.is_empty() && is_mqtt_string(&text)).then(|| text.into())
}

/// What an allow of CONNECT grants.
pub(super) fn grant_connect(
    allow: v1::ConnectAllow,
    rules: &Rules,
) -> Result<(Allow, Option<Identity>), Cause> {
    // Every field by name: one that is added to the contract has to be decided upon here.
    let v1::ConnectAllow {
        principal,
        session_state,
        expires_at,
        broker_client_id,
        broker_username,
        broker_password,
        drop_will,
        max_session_expiry_seconds,
        force_clean_start,
        limits,
    } = allow;
    for (is_set, field) in [
        (broker_username.is_some(), "broker_username"),
        (broker_password.is_some(), "broker_password"),
        (drop_will, "drop_will"),
        (
            max_session_expiry_seconds.is_some(),
            "max_session_expiry_seconds",
        ),
        (force_clean_start, "force_clean_start"),
        (
            limits.is_some_and(|limits| limits != v1::SessionLimits::default()),
            "limits",
        ),
        (
            broker_client_id.is_some() && !rules.mutations.broker_client_id,
            "broker_client_id",
        ),
    ] {
        if is_set {
            return Err(Cause::MutationNotPermitted(field));
        }
    }
    if broker_client_id
        .as_ref()
        .is_some_and(|id| id.is_empty() || !is_mqtt_string(id))
    {
        return Err(Cause::MutationInvalid("broker_client_id"));
    }
    if principal.len() > MAX_PRINCIPAL {
        return Err(Cause::InvalidAllow("principal is longer than 1024 bytes"));
    }
    if session_state.len() > rules.max_session_state {
        return Err(Cause::InvalidAllow("session_state is too large"));
    }
    let expires_at = expires_at.map(expiry).transpose()?;
    let allow = gatekeeper::ConnectAllow {
        broker_client_id: broker_client_id.map(ByteString::from),
        expires_at,
        ..gatekeeper::ConnectAllow::default()
    };
    let identity = Identity {
        principal,
        session_state,
    };
    Ok((Allow::Connect(Box::new(allow)), Some(identity)))
}

/// Longest principal in bytes.
const MAX_PRINCIPAL: usize = 1024;

/// What an allow of PUBLISH, or of a will, grants. Changes are not permitted yet.
pub(super) fn grant_publish(allow: &v1::PublishAllow) -> Result<(Allow, Option<Identity>), Cause> {
    let v1::PublishAllow {
        topic,
        payload,
        retain,
        user_property_keys_to_remove,
        user_properties_to_add,
        payload_format_indicator,
    } = allow;
    refuse_changes(&[
        (topic.is_some(), "topic"),
        (payload.is_some(), "payload"),
        (retain.is_some(), "retain"),
        (
            !user_property_keys_to_remove.is_empty(),
            "user_property_keys_to_remove",
        ),
        (!user_properties_to_add.is_empty(), "user_properties_to_add"),
        (
            payload_format_indicator.is_some(),
            "payload_format_indicator",
        ),
    ])?;
    Ok((Allow::PUBLISH, None))
}

/// What an allow of one filter grants. Changes are not permitted yet.
pub(super) fn grant_subscribe(
    allow: &v1::SubscribeAllow,
) -> Result<(Allow, Option<Identity>), Cause> {
    let v1::SubscribeAllow {
        max_qos,
        topic_filter,
    } = allow;
    refuse_changes(&[
        (max_qos.is_some(), "max_qos"),
        (topic_filter.is_some(), "topic_filter"),
    ])?;
    Ok((Allow::SUBSCRIBE, None))
}

fn refuse_changes(fields: &[(bool, &'static str)]) -> Result<(), Cause> {
    match fields.iter().find(|(is_set, _)| *is_set) {
        Some((_, field)) => Err(Cause::MutationNotPermitted(field)),
        None => Ok(()),
    }
}

/// A time of day as a time of our own clock.
fn expiry(at: prost_types::Timestamp) -> Result<Instant, Cause> {
    let invalid = Cause::InvalidAllow("expires_at is not a time");
    let at = SystemTime::try_from(at).map_err(|_| invalid)?;
    let left = at
        .duration_since(SystemTime::now())
        .map_err(|_| Cause::InvalidAllow("expires_at is in the past"))?;
    // An instant holds some centuries only, and a timestamp reaches to the year 9999.
    Ok(Instant::now() + left.min(A_CENTURY))
}

const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// Whether MQTT can carry the text as a UTF-8 string, and brokers do not choke on it
/// (`[MQTT-1.5.4-2]`; control characters and non-characters are a SHOULD NOT).
fn is_mqtt_string(text: &str) -> bool {
    text.len() <= usize::from(u16::MAX) && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
