use super::*;

/// The variant that follows. A new one does not compile until it is in the chain, and so in the
/// test.
fn next(reason: CloseReason) -> Option<CloseReason> {
    use CloseReason as R;
    let (violation, why) = (Violation::protocol("", ""), Why::Timeout);
    Some(match reason {
        R::ClientDisconnect => R::ClientGone,
        R::ClientGone => R::KeepAliveTimeout,
        R::KeepAliveTimeout => R::HandshakeTimeout,
        R::HandshakeTimeout => R::NotMqtt,
        R::NotMqtt => R::UnsupportedVersion,
        R::UnsupportedVersion => R::BadAuthenticationMethod,
        R::BadAuthenticationMethod => R::ClientIdentifierRejected,
        R::ClientIdentifierRejected => R::ClientViolation(violation),
        R::ClientViolation(_) => R::WebSocketViolation(1002),
        R::WebSocketViolation(_) => R::ClientStalled,
        R::ClientStalled => R::PacketTimeout,
        R::PacketTimeout => R::BrokerUnreachable,
        R::BrokerUnreachable => R::BrokerTimeout,
        R::BrokerTimeout => R::BrokerRefused,
        R::BrokerRefused => R::BrokerGone,
        R::BrokerGone => R::BrokerDisconnect,
        R::BrokerDisconnect => R::BrokerUnresponsive,
        R::BrokerUnresponsive => R::BrokerViolation(violation),
        R::BrokerViolation(_) => R::ConnectDenied,
        R::ConnectDenied => R::WillDenied,
        R::WillDenied => R::PublishDenied,
        R::PublishDenied => R::SubscribeDenied,
        R::SubscribeDenied => R::Expired,
        R::Expired => R::ConnectUndecided(why),
        R::ConnectUndecided(_) => R::WillUndecided(why),
        R::WillUndecided(_) => R::PublishUndecided(why),
        R::PublishUndecided(_) => R::SubscribeUndecided(why),
        R::SubscribeUndecided(_) => R::SessionStateInvalid,
        R::SessionStateInvalid => R::Revoked,
        R::Revoked => R::Drain,
        R::Drain => return None,
    })
}

#[test]
fn every_ending_has_a_word_of_its_own() {
    let first = Some(CloseReason::ClientDisconnect);
    let words: Vec<_> = std::iter::successors(first, |reason| next(*reason))
        .map(CloseReason::as_str)
        .collect();
    assert_eq!(words, CloseReason::NAMES);
    let mut distinct = words.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert_eq!(distinct.len(), words.len());
}
