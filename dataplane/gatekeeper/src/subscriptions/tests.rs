use super::*;

const TWO: Bounds = Bounds {
    filters: 2,
    bytes: 1024,
};
const QOS: QoS = QoS::AtLeastOnce;

fn reserve(subscriptions: &mut Subscriptions, filter: &str) -> Option<Reservation> {
    subscriptions.reserve(filter, TWO)
}

fn forwarded(subscriptions: &mut Subscriptions, filter: &str) -> Reservation {
    let reservation = reserve(subscriptions, filter).unwrap();
    subscriptions.forward(reservation, Options::default());
    reservation
}

fn granted(subscriptions: &mut Subscriptions, filter: &str) {
    let reservation = forwarded(subscriptions, filter);
    assert_eq!(
        subscriptions.answered(reservation, Some(QOS)),
        Some(filter),
        "{filter}"
    );
}

fn doubtful(subscriptions: &mut Subscriptions, most: usize) -> Vec<Box<str>> {
    let mut filters: Vec<_> = subscriptions
        .next_doubtful(most)
        .into_iter()
        .map(|standing| standing.filter)
        .collect();
    filters.sort();
    filters
}

#[test]
fn the_same_filter_counts_once() {
    let mut subscriptions = Subscriptions::default();
    for filter in ["a", "a", "b", "a"] {
        assert!(reserve(&mut subscriptions, filter).is_some());
    }
    assert!(reserve(&mut subscriptions, "c").is_none());
}

#[test]
fn filters_have_room_together() {
    let bounds = Bounds {
        filters: 9,
        bytes: 5,
    };
    let mut subscriptions = Subscriptions::default();
    let first = subscriptions.reserve("aaa", bounds).unwrap();
    assert!(subscriptions.reserve("bbb", bounds).is_none());
    assert!(subscriptions.reserve("bb", bounds).is_some());
    assert!(subscriptions.reserve("aaa", bounds).is_some());
    subscriptions.decline(first);
    assert!(subscriptions.reserve("ccc", bounds).is_none());
    subscriptions.leave("aaa");
    assert!(subscriptions.reserve("ccc", bounds).is_some());
}

#[test]
fn a_refused_filter_makes_room_unless_it_was_granted_before() {
    let mut subscriptions = Subscriptions::default();
    let first = reserve(&mut subscriptions, "a").unwrap();
    let second = reserve(&mut subscriptions, "a").unwrap();
    let other = reserve(&mut subscriptions, "b").unwrap();
    subscriptions.decline(first);
    assert!(reserve(&mut subscriptions, "c").is_none());
    subscriptions.forward(second, Options::default());
    subscriptions.answered(second, Some(QOS));
    let third = forwarded(&mut subscriptions, "a");
    assert_eq!(subscriptions.answered(third, None), None);
    assert!(reserve(&mut subscriptions, "c").is_none());
    subscriptions.decline(other);
    assert!(reserve(&mut subscriptions, "c").is_some());
}

#[test]
fn what_was_left_is_not_brought_back_by_an_older_answer() {
    let mut subscriptions = Subscriptions::default();
    let before = forwarded(&mut subscriptions, "a");
    assert!(!subscriptions.leave("a"));
    let after = reserve(&mut subscriptions, "a").unwrap();
    assert_eq!(subscriptions.answered(before, Some(QOS)), None);
    subscriptions.decline(after);
    assert!(reserve(&mut subscriptions, "b").is_some());
    assert!(reserve(&mut subscriptions, "c").is_some());
    assert_eq!(subscriptions.answered(before, Some(QOS)), None);
    assert!(reserve(&mut subscriptions, "d").is_none());
}

#[test]
fn a_denial_takes_back_what_stands() {
    let mut subscriptions = Subscriptions::default();
    let nothing = reserve(&mut subscriptions, "a").unwrap();
    assert_eq!(subscriptions.deny(nothing), None);

    granted(&mut subscriptions, "a");
    let again = reserve(&mut subscriptions, "a").unwrap();
    let withdrawn = subscriptions.deny(again).unwrap();
    assert_eq!((&*withdrawn.filter, withdrawn.granted), ("a", true));
    let again = reserve(&mut subscriptions, "a").unwrap();
    assert_eq!(subscriptions.deny(again), None);

    // The broker's answer comes too late, and another SUBSCRIBE is not concerned.
    let under_way = forwarded(&mut subscriptions, "a");
    let later = reserve(&mut subscriptions, "a").unwrap();
    let again = reserve(&mut subscriptions, "a").unwrap();
    let withdrawn = subscriptions.deny(again).unwrap();
    assert_eq!((&*withdrawn.filter, withdrawn.granted), ("a", false));
    assert_eq!(subscriptions.answered(under_way, Some(QOS)), None);
    subscriptions.forward(later, Options::default());
    assert_eq!(subscriptions.answered(later, Some(QOS)), Some("a"));
    assert!(subscriptions.leave("a"));
}

#[test]
fn all_that_stands_is_doubted_in_portions() {
    let mut subscriptions = Subscriptions::default();
    granted(&mut subscriptions, "a");
    forwarded(&mut subscriptions, "b");
    assert!(doubtful(&mut subscriptions, 9).is_empty());
    subscriptions.doubt();
    subscriptions.doubt();
    let mut all = doubtful(&mut subscriptions, 1);
    assert_eq!(all.len(), 1);
    all.extend(doubtful(&mut subscriptions, 9));
    all.sort();
    assert_eq!(all, ["a".into(), "b".into()]);
    assert!(doubtful(&mut subscriptions, 9).is_empty());
}

#[test]
fn what_is_being_decided_about_is_doubted_when_it_stands() {
    let mut subscriptions = Subscriptions::default();
    let under_way = reserve(&mut subscriptions, "a").unwrap();
    subscriptions.doubt();
    assert!(doubtful(&mut subscriptions, 9).is_empty());
    subscriptions.forward(under_way, Options::default());
    assert_eq!(doubtful(&mut subscriptions, 9), ["a".into()]);
    subscriptions.answered(under_way, Some(QOS));
    assert!(doubtful(&mut subscriptions, 9).is_empty());
}

#[test]
fn what_was_left_is_not_withdrawn() {
    let mut subscriptions = Subscriptions::default();
    granted(&mut subscriptions, "a");
    subscriptions.doubt();
    let standing = subscriptions.next_doubtful(9).remove(0);
    assert_eq!(standing.options.qos, QOS);
    assert!(subscriptions.stands(&standing));
    subscriptions.leave("a");
    assert!(!subscriptions.stands(&standing));
    granted(&mut subscriptions, "a");
    // Another one, which was decided about since.
    assert_eq!(subscriptions.withdraw(&standing), None);
    subscriptions.doubt();
    let standing = subscriptions.next_doubtful(9).remove(0);
    assert!(subscriptions.withdraw(&standing).is_some());
    assert_eq!(subscriptions.withdraw(&standing), None);
    assert!(!subscriptions.leave("a"));
}

/// The figure that the limits are made of: what one takes beside its text.
#[test]
fn a_subscription_takes_little() {
    assert!(size_of::<Held>() <= 64);
    assert!(size_of::<(Key, Box<Held>)>() <= 16);
}
