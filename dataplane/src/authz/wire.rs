//! Reads the answers of the service. What it sends is as hostile as what a client sends: nothing here
//! panics, everything is bounded, and whatever is not clearly a yes is none.

mod answers;
mod grant;

use bytestring::ByteString;
use gatekeeper::{Deny, DenyAction, ReasonCode, Verdict};
use tidegate_proto::v1;
use tokio::time::Instant;

use super::{
    cache::Reuse,
    decision::{Decision, Facts, MAX_ANNOTATIONS},
    failure::{Cause, Failure, shortened},
    hook::Hook,
    mailbox::Ending,
    mutations::Mutations,
    options::AuthzOptions,
};

pub(super) use self::answers::{Answers, Said};
pub(super) use self::{
    answers::plain_publish,
    grant::{grant_connect, grant_publish, grant_subscribe},
};

/// The end of one check, as far as the service has a say in it.
pub(super) type Outcome = Result<Decision, Box<Failure>>;

/// What an answer may hold.
#[derive(Debug, Clone)]
pub struct Rules {
    mutations: Mutations,
    max_session_state: usize,
    /// Whether somebody wants to know what may be used again.
    keeps_hints: bool,
}

impl From<&AuthzOptions> for Rules {
    fn from(options: &AuthzOptions) -> Self {
        Self {
            mutations: options.mutations.clone(),
            max_session_state: options.max_session_state,
            keeps_hints: options.cache.is_some(),
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
    /// One for each check. `None`: there is no result for it.
    pub(super) endings: Vec<Option<Ending>>,
    /// Results whose id belongs to no check.
    pub(super) unknown_items: usize,
}

/// Matches results with checks by id, in whatever order they came. `is_curious` tells by the index of a check
/// whether somebody wants to know more about it than that it is allowed as it is, if it is.
pub(super) fn match_results<H: Hook>(
    expected: usize,
    results: Vec<Said<H::Result>>,
    rules: &Rules,
    is_curious: impl Fn(usize) -> bool,
) -> Matched {
    let mut endings = Vec::new();
    endings.resize_with(expected, || None);
    let mut unknown_items = 0;
    let now = Instant::now();
    for result in results {
        let (item_id, said) = match result {
            Said::Plain(item_id) => (item_id, None),
            Said::Full(result) => {
                let (metadata, answer) = H::open(*result);
                (metadata.item_id, Some((metadata, answer)))
            }
        };
        let index = item_index(item_id);
        match index.and_then(|index| Some((index, endings.get_mut(index)?))) {
            Some((index, slot @ None)) => {
                let is_curious = is_curious(index);
                *slot = Some(match said {
                    None if !is_curious => Ending::Allowed(now),
                    None => Ending::of(Ok(Decision::allowed(now)), is_curious),
                    Some((metadata, answer)) => {
                        Ending::of(read::<H>(metadata, answer, rules, now), is_curious)
                    }
                });
            }
            // Two answers to one question: neither can be trusted.
            Some((_, slot)) => *slot = Some(Ending::failed(Cause::DuplicateResult)),
            None => unknown_items += 1,
        }
    }
    Matched {
        endings,
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
    now: Instant,
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
    let facts = facts(metadata, rules);
    match ending {
        Ok((verdict, identity)) => Ok(Decision {
            verdict,
            identity,
            facts,
            decided_at: now,
        }),
        Err(cause) => Err(Box::new(Failure {
            facts,
            ..cause.into()
        })),
    }
}

fn facts(metadata: v1::ResultMetadata, rules: &Rules) -> Facts {
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
        reuse: metadata
            .cache
            .filter(|_| rules.keeps_hints)
            .and_then(Reuse::new),
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

/// Whether MQTT can carry the text as a UTF-8 string, by the same rules as what clients send.
fn is_mqtt_string(text: &str) -> bool {
    text.len() <= usize::from(u16::MAX) && gatekeeper::wire::text::check(text).is_ok()
}

#[cfg(test)]
mod tests;
