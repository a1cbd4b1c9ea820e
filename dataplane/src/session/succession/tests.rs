use tokio_test::{assert_pending, assert_ready, task::spawn};

use super::*;

#[test]
fn nobody_waits_without_a_predecessor_of_the_same_name() {
    let succession = Succession::default();
    let (_other, _before) = (succession.enter("client"), succession.enter("c"));
    let _behind = succession.enter("clients");
    assert_ready!(spawn(succession.enter("client2").turn()).poll());
    assert_ready!(spawn(succession.enter("").turn()).poll());
}

#[test]
fn one_that_leaves_is_waited_for_until_it_is_gone() {
    let succession = Succession::default();
    let mut old = succession.enter("client");
    old.reach(Stage::Present);
    old.reach(Stage::Leaving);
    let new = succession.enter("client");
    let mut turn = spawn(new.turn());
    assert_pending!(turn.poll());
    drop(old);
    assert!(turn.is_woken());
    assert_ready!(turn.poll());
}

#[test]
fn one_that_is_present_is_not_waited_for() {
    let succession = Succession::default();
    let mut old = succession.enter("client");
    old.reach(Stage::Present);
    let new = succession.enter("client");
    assert_ready!(spawn(new.turn()).poll());
    // Nor can it go back.
    old.reach(Stage::Arriving);
    assert_ready!(spawn(new.turn()).poll());
}

#[test]
fn those_who_wait_keep_their_order() {
    let succession = Succession::default();
    let mut old = succession.enter("client");
    old.reach(Stage::Leaving);
    let [mut second, third] = [(); 2].map(|()| succession.enter("client"));
    let (mut second_turn, mut third_turn) = (spawn(second.turn()), spawn(third.turn()));
    assert_pending!(third_turn.poll());
    assert_pending!(second_turn.poll());
    drop(old);
    assert_ready!(second_turn.poll());
    // The third one not before the broker has accepted the second.
    assert!(!third_turn.is_woken());
    assert_pending!(third_turn.poll());
    second.reach(Stage::Present);
    assert!(third_turn.is_woken());
    assert_ready!(third_turn.poll());
}

#[test]
fn one_that_gives_up_hands_its_wait_on() {
    let succession = Succession::default();
    let mut old = succession.enter("client");
    old.reach(Stage::Leaving);
    let [second, third] = [(); 2].map(|()| succession.enter("client"));
    let (mut second_turn, mut third_turn) = (spawn(second.turn()), spawn(third.turn()));
    assert_pending!(second_turn.poll());
    assert_pending!(third_turn.poll());
    drop((second_turn, second));
    assert!(third_turn.is_woken());
    assert_pending!(third_turn.poll());
    drop(old);
    assert!(third_turn.is_woken());
    assert_ready!(third_turn.poll());
}

#[test]
fn nothing_is_kept_of_those_who_are_gone() {
    let succession = Succession::default();
    let places: Vec<_> = (0..100)
        .map(|number| succession.enter(&format!("client{}", number % 7)))
        .collect();
    assert_eq!(succession.lock().by_client.len(), 100);
    drop(places);
    assert!(succession.lock().by_client.is_empty());
}
