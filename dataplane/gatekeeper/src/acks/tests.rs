use super::*;
use crate::{
    action::Action,
    inflight::{Quota, Stage},
};

const ONE: QoS = QoS::AtLeastOnce;
const TWO: QoS = QoS::ExactlyOnce;

/// A session as far as its acknowledgements go.
struct Session {
    acks: Acks,
    inflight: Inflight,
    actions: Actions,
}

impl Session {
    fn new() -> Self {
        Self {
            acks: Acks::default(),
            inflight: Inflight::new(Quota::of_v3(usize::MAX)),
            actions: Actions::default(),
        }
    }

    fn own(&mut self, qos: QoS, of: u16, bytes: &'static str) {
        let (acks, outlet) = self.outlet();
        acks.own(qos, id(of), Bytes::from_static(bytes.as_bytes()), outlet);
    }

    fn passed(&mut self, qos: QoS, of: u16) {
        let (acks, outlet) = self.outlet();
        acks.passed(qos, id(of), outlet);
    }

    fn outlet(&mut self) -> (&mut Acks, Outlet<'_>) {
        let outlet = Outlet {
            inflight: &mut self.inflight,
            actions: &mut self.actions,
        };
        (&mut self.acks, outlet)
    }

    fn written(&mut self) -> Vec<Bytes> {
        std::iter::from_fn(|| self.actions.pop())
            .map(|action| match action {
                Action::ToClient(bytes) => bytes,
                other => panic!("unexpected {other:?}"),
            })
            .collect()
    }
}

fn id(value: u16) -> NonZeroU16 {
    NonZeroU16::new(value).unwrap()
}

#[test]
fn own_acknowledgement_waits_for_the_brokers_earlier_ones() {
    let mut session = Session::new();
    session.acks.expect(ONE, id(1), false);
    session.own(ONE, 2, "two");
    session.acks.expect(ONE, id(3), false);
    session.own(ONE, 4, "four");
    assert!(session.written().is_empty());

    session.passed(ONE, 3);
    assert!(session.written().is_empty());

    session.passed(ONE, 1);
    assert_eq!(session.written(), ["two", "four"]);
    assert_eq!(session.acks.len(), 0);
}

#[test]
fn the_two_kinds_do_not_wait_for_each_other() {
    let mut session = Session::new();
    session.acks.expect(TWO, id(1), false);
    session.own(ONE, 2, "two");
    assert_eq!(session.written(), ["two"]);
}

#[test]
fn a_repeated_publish_that_is_answered_once_holds_nothing_up() {
    let mut session = Session::new();
    session.acks.expect(ONE, id(1), false);
    session.acks.expect(ONE, id(1), true);
    session.own(ONE, 2, "own");
    session.passed(ONE, 1);
    assert_eq!(session.written(), ["own"]);
}

#[test]
fn an_identifier_is_free_when_the_acknowledgement_is_out() {
    let mut session = Session::new();
    session.inflight.publish(id(2), ONE, 0).unwrap();
    session.acks.expect(ONE, id(1), false);
    session.own(ONE, 2, "two");
    assert!(session.inflight.publish(id(2), ONE, 1).is_err());
    session.passed(ONE, 1);
    assert!(session.inflight.publish(id(2), ONE, 1).is_ok());
    session.written();
}

#[test]
fn what_was_repeated_is_answered_again_in_its_own_place() {
    let mut session = Session::new();
    session.acks.expect(TWO, id(1), false);
    session.acks.expect(TWO, id(2), false);
    session.acks.repeat(id(1));
    session.own(TWO, 3, "three");
    session.acks.known(id(1), &Bytes::from_static(b"one again"));
    session.passed(TWO, 1);
    assert!(session.written().is_empty());
    session.passed(TWO, 2);
    assert_eq!(session.written(), ["one again", "three"]);
}

#[test]
fn what_is_held_keeps_its_place() {
    let mut session = Session::new();
    session.inflight.publish(id(1), TWO, 0).unwrap();
    session
        .inflight
        .decided(id(1), Stage::Refused(crate::ReasonCode::NOT_AUTHORIZED));
    session.acks.hold(id(1), Bytes::from_static(b"one"));
    session.own(TWO, 2, "two");
    assert!(session.written().is_empty());
    let (acks, outlet) = session.outlet();
    acks.purged(id(1), outlet);
    assert_eq!(session.written(), ["one", "two"]);
}

#[test]
fn what_is_forgotten_holds_nothing_up_and_is_not_said() {
    let mut session = Session::new();
    session.acks.expect(TWO, id(1), false);
    session.acks.repeat(id(1));
    session.own(TWO, 2, "two");
    let (acks, outlet) = session.outlet();
    acks.forget(id(1), outlet);
    assert_eq!(session.written(), ["two"]);
    assert_eq!(session.acks.len(), 0);
}

/// The broker answers thousands in the worst of orders, and the gate's own keep their places.
#[test]
fn order_is_kept_among_as_many_as_there_are_identifiers() {
    for qos in [ONE, TWO] {
        let mut session = Session::new();
        let (odd, even): (Vec<u16>, Vec<u16>) = (1..=u16::MAX).partition(|value| value % 2 == 1);
        for (brokers, own) in odd.iter().zip(&even) {
            session.acks.expect(qos, id(*brokers), false);
            let bytes = Bytes::copy_from_slice(&own.to_be_bytes());
            let (acks, outlet) = session.outlet();
            acks.own(qos, id(*own), bytes, outlet);
        }
        let (first, rest) = odd.split_first().unwrap();
        for late in rest.iter().rev() {
            session.passed(qos, *late);
        }
        assert!(session.written().is_empty());
        assert_eq!(session.acks.len(), even.len() + 1);

        session.passed(qos, *first);
        let expected: Vec<_> = even
            .iter()
            .map(|value| value.to_be_bytes().to_vec())
            .collect();
        assert_eq!(session.written(), expected);
        assert_eq!(session.acks.len(), 0);
    }
}

/// Copies of one message, and others among them.
#[test]
fn thousands_of_copies_are_answered_in_their_places() {
    let mut session = Session::new();
    session.acks.expect(TWO, id(1), false);
    session.acks.expect(TWO, id(2), false);
    for _ in 0..20_000 {
        session.acks.repeat(id(1));
        session.acks.repeat(id(2));
    }
    session.acks.known(id(2), &Bytes::from_static(b"two"));
    session.passed(TWO, 2);
    assert!(session.written().is_empty());
    session.acks.known(id(1), &Bytes::from_static(b"one"));
    session.passed(TWO, 1);
    let written = session.written();
    assert_eq!(written.len(), 40_000);
    assert!(written.chunks(2).all(|pair| pair == ["one", "two"]));

    session.acks.expect(TWO, id(3), false);
    for _ in 0..20_000 {
        session.acks.repeat(id(4));
    }
    let (acks, outlet) = session.outlet();
    acks.forget(id(4), outlet);
    assert_eq!(session.acks.len(), 1);
}
