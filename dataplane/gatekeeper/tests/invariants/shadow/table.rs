//! What a verdict does to a packet: the deny and failure tables of the product, written down once
//! more, and what may be said about it.

use gatekeeper::{
    CloseReason, Deny, DenyAction, OnDenied, OnDeniedV3, OnFailed, ReasonCode, Rules, Verdict,
    Version, Why,
    reason::{Place, Sender},
};

/// What may stand on the wire for a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Code {
    Exactly(u8),
    /// Any refusal that the packet may carry: the one that was asked for it may not.
    AnyRefusal,
}

impl Code {
    /// What the service asked for, as far as the packet may carry it.
    pub(crate) fn asked_for(code: Option<ReasonCode>, place: Place) -> Self {
        match code {
            None => Self::Exactly(0x87),
            Some(code) if code.is_refusal() && code.is_legal(place, Sender::Server) => {
                Self::Exactly(code.get())
            }
            Some(_) => Self::AnyRefusal,
        }
    }

    pub(crate) fn admits(self, code: u8, place: Place) -> bool {
        let reason = ReasonCode::new(code);
        reason.is_legal(place, Sender::Server)
            && match self {
                Self::Exactly(expected) => code == expected,
                Self::AnyRefusal => reason.is_refusal(),
            }
    }
}

/// What becomes of a PUBLISH.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Effect {
    Forward,
    Refuse(Code),
    /// Acknowledged as a success, and dropped.
    Acknowledge,
    /// The same, for its time is up.
    Expire,
    Drop,
    End(CloseReason, Code),
}

/// A PUBLISH and what the service said about it.
pub(crate) fn publish(version: Version, qos: u8, verdict: &Verdict, rules: &Rules) -> Effect {
    let why = match verdict {
        Verdict::Allow(_) => return Effect::Forward,
        Verdict::Deny(deny) => return denied_publish(version, qos, deny, rules),
        Verdict::Unavailable(why) => *why,
    };
    if let Some(deny) = permanent(why) {
        return denied_publish(version, qos, &deny, rules);
    }
    let end = Effect::End(CloseReason::PublishUndecided(why), Code::Exactly(0x83));
    match (why, rules.on_publish_failed, qos, version) {
        (Why::SessionStateInvalid, ..) => {
            Effect::End(CloseReason::SessionStateInvalid, Code::Exactly(0x98))
        }
        (_, OnFailed::Disconnect, ..) => end,
        (_, OnFailed::Reject, 0, _) => Effect::Drop,
        (_, OnFailed::Reject, _, Version::V5) => Effect::Refuse(Code::Exactly(0x83)),
        // Never acknowledged: a client with a kept session sends it again.
        (_, OnFailed::Reject, _, Version::V31 | Version::V311) => end,
    }
}

/// A PUBLISH that is denied.
pub(crate) fn denied_publish(version: Version, qos: u8, deny: &Deny, rules: &Rules) -> Effect {
    let end = Effect::End(
        CloseReason::PublishDenied,
        Code::asked_for(deny.code, Place::Disconnect),
    );
    let acknowledge = if qos == 0 {
        Effect::Drop
    } else {
        Effect::Acknowledge
    };
    match (deny.action, rules.on_publish_denied) {
        (DenyAction::Disconnect, _) | (DenyAction::Configured, OnDenied::Disconnect) => end,
        (DenyAction::Drop, _) => acknowledge,
        (DenyAction::Reject, _) | (DenyAction::Configured, OnDenied::Reject) => {
            match (version, qos, rules.on_publish_denied_v3) {
                (_, 0, _) => Effect::Drop,
                (Version::V5, ..) => Effect::Refuse(Code::asked_for(deny.code, Place::Puback)),
                (_, _, OnDeniedV3::AckAndDrop) => acknowledge,
                (_, _, OnDeniedV3::Disconnect) => end,
            }
        }
    }
}

/// A PUBLISH that the gate refuses and nobody was asked about.
pub(crate) fn refused_publish(version: Version, qos: u8, code: u8, rules: &Rules) -> Effect {
    let deny = Deny {
        code: Some(ReasonCode::new(code)),
        action: DenyAction::Reject,
        ..Deny::default()
    };
    denied_publish(version, qos, &deny, rules)
}

/// How the client hears that a filter is refused: in the words of its version.
pub(crate) fn refused_filter(version: Version, requested: u8, code: Code) -> Code {
    match version {
        // There is no word for it: as if it were granted.
        Version::V31 => Code::Exactly(requested),
        Version::V311 => Code::Exactly(0x80),
        Version::V5 => code,
    }
}

/// A filter and what the service said about it: forwarded, refused, or the end of the session.
pub(crate) fn filter(
    version: Version,
    requested: u8,
    verdict: &Verdict,
    rules: &Rules,
) -> Result<Option<Code>, (CloseReason, Code)> {
    let refusal = |code| refused_filter(version, requested, code);
    let deny = match verdict {
        Verdict::Allow(_) => return Ok(None),
        Verdict::Deny(deny) => deny.clone(),
        Verdict::Unavailable(Why::SessionStateInvalid) => {
            return Err((CloseReason::SessionStateInvalid, Code::Exactly(0x98)));
        }
        Verdict::Unavailable(why) => match (permanent(*why), rules.on_subscribe_failed, version) {
            (Some(deny), ..) => deny,
            // Told as granted, a failure would never be heard of.
            (None, OnFailed::Disconnect, _) | (None, _, Version::V31) => {
                return Err((CloseReason::SubscribeUndecided(*why), Code::Exactly(0x83)));
            }
            (None, OnFailed::Reject, _) => return Ok(Some(refusal(Code::Exactly(0x83)))),
        },
    };
    match (deny.action, rules.on_subscribe_denied) {
        (DenyAction::Disconnect, _) | (DenyAction::Configured, OnDenied::Disconnect) => Err((
            CloseReason::SubscribeDenied,
            Code::asked_for(deny.code, Place::Disconnect),
        )),
        _ => Ok(Some(refusal(Code::asked_for(deny.code, Place::Suback)))),
    }
}

/// What would fail for ever is denied, so that the client does not come back in a loop.
pub(crate) fn permanent(why: Why) -> Option<Deny> {
    let code = match why {
        Why::InvalidCheck => None,
        Why::TooLarge => Some(ReasonCode::PACKET_TOO_LARGE),
        _ => return None,
    };
    Some(Deny {
        code,
        ..Deny::default()
    })
}
