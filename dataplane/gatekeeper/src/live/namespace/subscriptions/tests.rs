use super::*;

const REFUSED: u8 = 0x87;
const ABSENT: u8 = 0x11;

fn id(id: u16) -> NonZeroU16 {
    NonZeroU16::new(id).unwrap()
}

fn join(subscriptions: &mut Subscriptions, packet: u16, filters: &[(&str, Form)]) {
    let filters: Vec<(ByteString, Form)> = filters
        .iter()
        .map(|(filter, form)| ((*filter).into(), *form))
        .collect();
    let filters = filters.iter().map(|(filter, form)| (filter, *form));
    subscriptions.join(id(packet), filters);
}

/// Leaves a filter in all forms in which it may be.
fn leave(subscriptions: &mut Subscriptions, packet: u16, filter: &str) {
    let forms = subscriptions.forms(filter);
    subscriptions.leave(id(packet), [(&filter.into(), forms)]);
}

#[test]
fn a_filter_is_known_in_the_form_that_was_subscribed_to() {
    let mut found = Subscriptions::default();
    assert_eq!(found.forms("a"), Form::BOTH);
    join(&mut found, 1, &[("a", Form::Below), ("b", Form::Plain)]);
    // Before the answer, too.
    assert_eq!(found.forms("a"), Form::BELOW);
    assert_eq!(found.forms("b"), Form::PLAIN);
    found.joined(id(1), &[0, 2]);
    assert_eq!(found.forms("a"), Form::BELOW);
    assert_eq!(found.forms("b"), Form::PLAIN);
    join(&mut found, 1, &[("a", Form::Plain)]);
    assert_eq!(found.forms("a"), Form::BOTH);
    assert_eq!(found.known.len(), 3);
}

#[test]
fn what_the_broker_refuses_is_forgotten_unless_it_was_there() {
    let mut found = Subscriptions::default();
    join(&mut found, 1, &[("a", Form::Plain)]);
    assert!(found.has_plain());
    found.joined(id(1), &[REFUSED]);
    assert!(!found.has_plain());
    assert_eq!(found.known.len(), 0);

    join(&mut found, 1, &[("a", Form::Plain)]);
    found.joined(id(1), &[0]);
    join(&mut found, 1, &[("a", Form::Plain)]);
    found.joined(id(1), &[REFUSED]);
    assert!(found.has_plain());
}

#[test]
fn one_grant_is_enough() {
    for codes in [[0, REFUSED], [REFUSED, 0]] {
        let mut found = Subscriptions::default();
        join(&mut found, 1, &[("a", Form::Plain), ("a", Form::Plain)]);
        assert_eq!(found.known.len(), 1);
        found.joined(id(1), &codes);
        assert!(found.has_plain(), "{codes:?}");
        assert_eq!(found.known.len(), 1);
    }
}

#[test]
fn a_later_subscribe_outlives_the_refusal_of_an_earlier_one() {
    let mut found = Subscriptions::default();
    join(&mut found, 1, &[("a", Form::Plain)]);
    join(&mut found, 2, &[("a", Form::Plain)]);
    found.joined(id(1), &[REFUSED]);
    assert!(found.has_plain());
    found.joined(id(2), &[0]);
    assert!(found.has_plain());
}

#[test]
fn what_was_left_is_forgotten() {
    for codes in [None, Some(&[0][..]), Some(&[ABSENT])] {
        let mut found = Subscriptions::default();
        join(&mut found, 1, &[("a", Form::Plain)]);
        found.joined(id(1), &[0]);
        leave(&mut found, 2, "a");
        // Deliveries are on their way still.
        assert!(found.has_plain());
        assert_eq!(found.leaving.len(), 1);
        let merged = codes.unwrap_or_default().to_vec();
        assert_eq!(found.left(id(2), codes), merged);
        assert!(!found.has_plain());
        assert_eq!((found.known.len(), found.leaving.len()), (0, 0));
    }
}

#[test]
fn what_the_broker_did_not_leave_is_kept() {
    let mut found = Subscriptions::default();
    join(&mut found, 1, &[("a", Form::Plain)]);
    leave(&mut found, 2, "a");
    assert_eq!(found.left(id(2), Some(&[REFUSED])), [REFUSED]);
    assert!(found.has_plain());
}

#[test]
fn what_was_subscribed_to_again_in_the_meantime_stays() {
    let mut found = Subscriptions::default();
    join(&mut found, 1, &[("a", Form::Plain)]);
    leave(&mut found, 2, "a");
    join(&mut found, 3, &[("a", Form::Plain)]);
    assert_eq!(found.left(id(2), Some(&[0])), [0]);
    assert!(found.has_plain());
}

/// MQTT 5.0 table 3-9.
#[test]
fn the_codes_of_two_forms_become_one() {
    for (codes, merged) in [
        ([0, 0], 0),
        ([0, ABSENT], 0),
        ([ABSENT, 0], 0),
        ([0, REFUSED], 0),
        ([REFUSED, 0], 0),
        ([ABSENT, ABSENT], ABSENT),
        ([ABSENT, REFUSED], REFUSED),
        ([REFUSED, ABSENT], REFUSED),
        ([0x83, REFUSED], 0x83),
    ] {
        let mut found = Subscriptions::default();
        leave(&mut found, 1, "a");
        assert_eq!(found.left(id(1), Some(&codes)), [merged]);
    }
}

#[test]
fn each_filter_has_its_own_code() {
    let mut found = Subscriptions::default();
    let filters: Vec<ByteString> = vec!["a".into(), "b".into(), "c".into()];
    let forms = [Form::BELOW, Form::BOTH, Form::PLAIN];
    let leaving = filters.iter().zip(forms);
    found.leave(id(1), leaving);
    let codes = [ABSENT, ABSENT, 0, REFUSED];
    let merged = found.left(id(1), Some(&codes));
    assert_eq!(merged, [ABSENT, 0, REFUSED]);
}

#[test]
fn an_answer_to_nothing_changes_nothing() {
    let mut found = Subscriptions::default();
    join(&mut found, 1, &[("a", Form::Plain)]);
    found.joined(id(9), &[REFUSED]);
    assert!(found.left(id(9), Some(&[0])).is_empty());
    assert!(found.has_plain());
}
