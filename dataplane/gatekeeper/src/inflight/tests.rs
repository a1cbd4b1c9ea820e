use super::*;

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;
const DENIED: ReasonCode = ReasonCode::NOT_AUTHORIZED;
const NOT_FOUND: Release = Release::Answer {
    code: ReasonCode::PACKET_IDENTIFIER_NOT_FOUND,
    owed: false,
};

fn id(value: u16) -> NonZeroU16 {
    NonZeroU16::new(value).unwrap()
}

fn code<T>(found: Result<T, Violation>) -> Option<u8> {
    found.err().map(|violation| violation.code.get())
}

/// A table with a message of QoS 2 at this stage.
fn at(stage: Stage) -> Inflight {
    let mut table = Inflight::new(Quota::of_v3(usize::MAX));
    table.publish(id(7), TWO, 1).unwrap();
    table.decided(id(7), stage);
    table
}

#[test]
fn the_fingerprint_is_of_all_but_the_dup_flag() {
    let table = Inflight::new(Quota::of_v3(usize::MAX));
    let of = |bytes: &[u8]| table.fingerprint(bytes);
    assert_eq!(of(&[0x34, 1, 2]), of(&[0x3C, 1, 2]));
    for other in [
        &[0x35, 1, 2][..],
        &[0x32, 1, 2],
        &[0x34, 1],
        &[0x34, 1, 3],
        &[],
    ] {
        assert_ne!(of(&[0x34, 1, 2]), of(other));
    }
    assert_ne!(
        Inflight::new(Quota::of_v3(usize::MAX)).fingerprint(&[0x34]),
        table.fingerprint(&[0x34])
    );
}

#[test]
fn all_kinds_share_one_space() {
    for begin in [
        |table: &mut Inflight| table.publish(id(7), ONE, 1).map(drop),
        |table: &mut Inflight| table.publish(id(7), TWO, 1).map(drop),
        |table: &mut Inflight| table.request(id(7), Request::Subscribe),
        |table: &mut Inflight| table.request(id(7), Request::Unsubscribe),
        |table: &mut Inflight| {
            table.releasing(id(7));
            Ok(())
        },
    ] {
        let mut table = Inflight::new(Quota::of_v3(usize::MAX));
        begin(&mut table).unwrap();
        for request in [Request::Subscribe, Request::Unsubscribe] {
            assert_eq!(code(table.request(id(7), request)), Some(0x82));
        }
        for qos in [ONE, TWO] {
            assert_eq!(code(table.publish(id(7), qos, 2)), Some(0x82));
        }
        assert!(table.publish(id(8), ONE, 2).is_ok());
    }
}

#[test]
fn a_request_is_over_with_its_own_answer() {
    let mut table = Inflight::new(Quota::of_v3(usize::MAX));
    table.request(id(7), Request::Subscribe).unwrap();
    table.request_answered(id(7), Request::Unsubscribe);
    table.puback(id(7));
    assert!(!table.pubrec(id(7), ReasonCode::SUCCESS));
    table.pubcomp(id(7));
    assert!(table.is_request(id(7), Request::Subscribe));
    table.request_answered(id(7), Request::Subscribe);
    assert!(table.request(id(7), Request::Unsubscribe).is_ok());
}

#[test]
fn every_copy_with_qos_1_is_a_message_and_the_last_acknowledgement_frees() {
    let mut table = Inflight::new(Quota::of_v5(1, 1));
    for _ in 0..2 {
        assert_eq!(table.publish(id(7), ONE, 1), Ok(Arrival::Message));
    }
    table.puback(id(7));
    assert_eq!(code(table.publish(id(8), ONE, 1)), Some(0x93));
    table.acknowledged(id(7));
    assert!(table.publish(id(8), ONE, 1).is_ok());
}

/// The second acknowledgement would be taken for that of another message.
#[test]
fn an_identifier_with_qos_1_is_busy_until_every_copy_is_acknowledged() {
    let mut table = Inflight::new(Quota::of_v5(1, 1));
    table.publish(id(7), ONE, 1).unwrap();
    table.publish(id(7), ONE, 1).unwrap();
    assert_eq!(code(table.publish(id(7), ONE, 2)), Some(0x82));
    table.puback(id(7));
    assert_eq!(code(table.publish(id(7), ONE, 2)), Some(0x82));
    table.puback(id(7));
    assert_eq!(table.publish(id(7), ONE, 2), Ok(Arrival::Message));
}

#[test]
fn a_copy_with_qos_2_is_absorbed_until_it_is_released() {
    for stage in [
        Stage::Deciding,
        Stage::AtBroker,
        Stage::Received,
        Stage::Owned,
        Stage::Refused(DENIED),
        Stage::Purging(DENIED),
    ] {
        let mut table = at(stage);
        assert_eq!(table.publish(id(7), TWO, 1), Ok(Arrival::Repeat));
        table.releasing(id(7));
        assert_eq!(code(table.publish(id(7), TWO, 1)), Some(0x82), "{stage:?}");
    }
}

#[test]
fn the_flow_of_the_broker() {
    let mut table = at(Stage::AtBroker);
    assert_eq!(table.pubrec_code(id(7)), None);
    assert!(!table.pubrec(id(7), ReasonCode::SUCCESS));
    assert_eq!(table.pubrec_code(id(7)), Some(ReasonCode::SUCCESS));
    // Too early, and the broker's fault.
    assert_eq!(table.pubcomp(id(7)), Completion::Pass { owed: false });
    table.releasing(id(7));
    assert_eq!(table.release(id(7), false), Release::Forward);
    assert_eq!(table.release(id(7), false), Release::Forward);
    assert_eq!(code(table.publish(id(7), ONE, 1)), Some(0x82));
    assert_eq!(table.pubcomp(id(7)), Completion::Pass { owed: false });
    assert!(table.publish(id(7), ONE, 1).is_ok());
}

#[test]
fn a_refusal_of_the_broker_frees_when_all_copies_have_heard_it() {
    let mut table = at(Stage::AtBroker);
    assert!(!table.pubrec(id(7), DENIED));
    assert!(table.publish(id(7), TWO, 2).is_ok());

    let mut table = at(Stage::AtBroker);
    table.publish(id(7), TWO, 1).unwrap();
    assert!(table.pubrec(id(7), DENIED));
    assert_eq!(table.pubrec_code(id(7)), Some(DENIED));
    assert_eq!(code(table.publish(id(7), TWO, 2)), Some(0x82));
    assert_eq!(table.release(id(7), true), NOT_FOUND);
    table.acknowledged(id(7));
    assert!(table.publish(id(7), TWO, 2).is_ok());
}

#[test]
fn a_release_before_the_pubrec_is_forwarded_and_the_flow_goes_on() {
    let mut table = at(Stage::AtBroker);
    table.releasing(id(7));
    assert_eq!(table.release(id(7), false), Release::Forward);
    assert_eq!(table.pubrec_code(id(7)), None);
    assert!(!table.pubrec(id(7), ReasonCode::SUCCESS));
    assert_eq!(table.pubcomp(id(7)), Completion::Pass { owed: false });

    let mut table = at(Stage::AtBroker);
    table.releasing(id(7));
    table.release(id(7), false);
    // The broker skips the PUBREC: whoever waits for it waits no more.
    assert_eq!(table.pubcomp(id(7)), Completion::Pass { owed: true });
}

#[test]
fn what_the_gate_owns_ends_at_the_gate() {
    let mut table = at(Stage::Owned);
    table.acknowledged(id(7));
    assert!(!table.pubrec(id(7), ReasonCode::SUCCESS));
    assert_eq!(
        table.release(id(7), true),
        Release::Answer {
            code: ReasonCode::SUCCESS,
            owed: false
        }
    );
    assert!(table.publish(id(7), TWO, 2).is_ok());
}

#[test]
fn a_purge_swallows_one_pubcomp_and_then_refuses() {
    let mut table = at(Stage::Purging(DENIED));
    assert_eq!(table.release(id(7), true), NOT_FOUND);
    assert_eq!(table.pubcomp(id(7)), Completion::Purged);
    assert_eq!(table.pubcomp(id(7)), Completion::Pass { owed: false });
    assert_eq!(code(table.publish(id(7), TWO, 2)), Some(0x82));
    table.acknowledged(id(7));
    assert!(table.publish(id(7), TWO, 2).is_ok());
}

#[test]
fn a_release_of_the_unknown_is_busy_until_its_pubcomp() {
    let mut table = Inflight::new(Quota::of_v5(1, 1));
    table.releasing(id(7));
    assert_eq!(table.release(id(7), true), Release::Forward);
    assert_eq!(code(table.publish(id(7), TWO, 1)), Some(0x82));
    // It takes nothing from the quota.
    assert!(table.publish(id(8), TWO, 1).is_ok());
    assert_eq!(table.pubcomp(id(7)), Completion::Pass { owed: false });
    assert!(table.request(id(7), Request::Subscribe).is_ok());

    let mut table = Inflight::new(Quota::of_v3(usize::MAX));
    table.releasing(id(7));
    assert_eq!(table.release(id(7), false), NOT_FOUND);
    assert!(table.publish(id(7), TWO, 1).is_ok());
}

#[test]
fn receive_maximum_counts_messages_by_identifier() {
    let mut table = Inflight::new(Quota::of_v5(2, 1));
    table.publish(id(1), ONE, 1).unwrap();
    table.publish(id(2), TWO, 1).unwrap();
    table.publish(id(2), TWO, 1).unwrap();
    table.request(id(3), Request::Subscribe).unwrap();
    assert_eq!(code(table.publish(id(4), ONE, 1)), Some(0x93));
    table.decided(id(2), Stage::AtBroker);
    // No credit for a PUBREC that is no refusal.
    table.pubrec(id(2), ReasonCode::SUCCESS);
    assert_eq!(code(table.publish(id(4), ONE, 1)), Some(0x93));
    table.puback(id(1));
    assert!(table.publish(id(4), ONE, 1).is_ok());
    assert_eq!(code(table.publish(id(5), ONE, 1)), Some(0x93));
    // Never credited above what it was (§4.9).
    table.puback(id(1));
    table.puback(id(1));
    assert_eq!(code(table.publish(id(5), ONE, 1)), Some(0x93));
}

#[test]
fn there_is_no_limit_but_the_identifiers_where_the_version_has_none() {
    let mut table = Inflight::new(Quota::of_v3(usize::MAX));
    for value in 1..=u16::MAX {
        assert!(table.publish(id(value), TWO, 1).is_ok());
    }
}

/// What waits for the client's PUBREL is bounded, for there is nobody else who would free it.
#[test]
fn a_client_of_3_has_so_many_messages_unreleased() {
    let mut table = Inflight::new(Quota::of_v3(2));
    for value in 1..=2 {
        table.publish(id(value), TWO, 1).unwrap();
    }
    assert_eq!(code(table.publish(id(3), TWO, 1)), Some(0x93));
    // A copy is none more, and what the broker frees is another matter.
    assert_eq!(table.publish(id(1), TWO, 1), Ok(Arrival::Repeat));
    assert!(table.publish(id(4), ONE, 1).is_ok());
    // Once for each, however often it is said.
    table.releasing(id(1));
    table.releasing(id(1));
    assert!(table.publish(id(3), TWO, 1).is_ok());
    assert_eq!(code(table.publish(id(5), TWO, 1)), Some(0x93));
    // A refusal ends it too, and the end of one that was released gives nothing back again.
    table.decided(id(2), Stage::AtBroker);
    table.pubrec(id(2), DENIED);
    table.decided(id(1), Stage::Received);
    assert_eq!(table.release(id(1), true), Release::Forward);
    table.pubcomp(id(1));
    assert!(table.publish(id(5), TWO, 1).is_ok());
    assert_eq!(code(table.publish(id(6), TWO, 1)), Some(0x93));
}

#[test]
fn there_is_room_while_not_too_much_waits_for_the_broker() {
    let mut table = Inflight::new(Quota::of_v3(3));
    for value in 1..=3 {
        table.publish(id(value), TWO, 1).unwrap();
    }
    // They wait for the client.
    assert!(table.has_room(2));
    assert!(!table.has_room(3));
    table.publish(id(4), ONE, 1).unwrap();
    table.releasing(id(1));
    assert!(table.has_room(0));
    table.releasing(id(5));
    assert!(!table.has_room(0));
    table.puback(id(4));
    assert!(table.has_room(0));
}

/// All that it was told, and then some (§4.9).
#[test]
fn a_client_of_5_may_use_its_receive_maximum() {
    let mut table = Inflight::new(Quota::of_v5(2, 1));
    for value in 1..=2 {
        table.publish(id(value), ONE, 1).unwrap();
    }
    assert!(table.has_room(2));
    table.releasing(id(3));
    assert!(!table.has_room(0));
}

/// The figure that the limit's description is made of.
#[test]
fn an_identifier_takes_little() {
    assert!(size_of::<(NonZeroU16, Entry)>() <= 32);
}
