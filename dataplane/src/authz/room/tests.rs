use std::{net::IpAddr, sync::Arc};

use tokio_test::task::{self, Spawn};

use super::*;

fn seat(principal: &str) -> Seat {
    let seat = Seat::new(IpAddr::from([127, 0, 0, 1]));
    seat.identify(principal);
    seat
}

/// Takes so many places; yields how many there were.
fn fill(room: &mut Room, seat: &Seat, places: usize, bytes: usize) -> usize {
    (0..places)
        .map_while(|_| room.enter(seat.account(), bytes))
        .count()
}

fn waker() -> (Spawn<()>, Waker) {
    let task = task::spawn(());
    let mut waker = None;
    let mut task = task;
    task.enter(|cx, _| waker = Some(cx.waker().clone()));
    (task, waker.unwrap())
}

#[test]
fn bounded_by_count_and_by_bytes() {
    let someone = seat("someone");
    assert_eq!(fill(&mut Room::new(8, 1000), &someone, 20, 1), 8);
    assert_eq!(fill(&mut Room::new(8, 1000), &someone, 20, 300), 3);
    assert_eq!(fill(&mut Room::new(7, 1000), &someone, 20, 1), 7);
    let mut room = Room::new(8, 1000);
    assert_eq!(fill(&mut room, &someone, 1, 1001), 0);
    let weight = room.enter(someone.account(), 1000).unwrap();
    assert_eq!(room.enter(someone.account(), 1), None);
    room.leave(someone.account(), weight, &mut Vec::new());
    assert_eq!(fill(&mut room, &someone, 20, 0), 8);
}

#[test]
fn who_has_more_than_a_fair_share_waits_and_the_others_go_on() {
    let (greedy, modest) = (seat("greedy"), seat("modest"));
    let mut room = Room::new(1600, 1600);
    fill(&mut room, &modest, 10, 1);
    fill(&mut room, &greedy, 1189, 1);
    assert!(!room.must_wait(greedy.account()), "not crowded yet");
    fill(&mut room, &greedy, 1, 1);
    assert!(room.must_wait(greedy.account()));
    assert!(!room.must_wait(modest.account()));
    assert!(!room.must_wait(seat("new").account()));
    // The last of it is kept for what is read already.
    fill(&mut room, &modest, 300, 1);
    assert!(room.must_wait(modest.account()));
    assert!(room.must_wait(seat("new").account()));
    assert_eq!(fill(&mut room, &modest, 200, 1), 100);
}

#[test]
fn sessions_of_one_principal_share() {
    let (one, other) = (seat("same"), seat("same"));
    let mut room = Room::new(100, 100);
    fill(&mut room, &one, 75, 1);
    assert!(room.must_wait(other.account()));
    let stranger = seat("");
    assert!(!room.must_wait(stranger.account()));
}

#[test]
fn waiters_wake_one_another_while_there_is_room() {
    let (first, second) = (seat("same"), seat("same"));
    let mut room = Room::new(8, 8);
    fill(&mut room, &first, 6, 1);
    let ((first_task, first_waker), (second_task, second_waker)) = (waker(), waker());
    room.wait(&first, &first_waker);
    room.wait(&second, &second_waker);
    let mut wakers = Vec::new();
    for _ in 0..2 {
        room.leave(first.account(), 1, &mut wakers);
    }
    assert!(wakers.is_empty(), "waking up is worth it later");
    room.leave(first.account(), 1, &mut wakers);
    wakers.drain(..).for_each(Waker::wake);
    assert!(first_task.is_woken() && !second_task.is_woken());
    room.pass(&first, &mut wakers);
    wakers.drain(..).for_each(Waker::wake);
    assert!(second_task.is_woken());
}

#[test]
fn who_waits_stands_in_line_once_wherever_that_is() {
    let (filler, first, second) = (seat("filler"), seat("same"), seat("same"));
    let mut room = Room::new(8, 8);
    fill(&mut room, &first, 1, 1);
    fill(&mut room, &filler, 7, 1);
    let ((first_task, first_waker), (second_task, second_waker)) = (waker(), waker());
    room.wait(&first, Waker::noop());
    room.wait(&second, &second_waker);
    // Nothing of the account is left: it waits among those who are shut out.
    let mut wakers = Vec::new();
    room.leave(first.account(), 1, &mut wakers);
    fill(&mut room, &filler, 1, 1);
    wakers.clear();
    // It is somebody else now, and asks once more.
    first.identify("other");
    room.wait(&first, &first_waker);
    room.pass(&second, &mut wakers);
    assert!(wakers.is_empty(), "it is full");
    for _ in 0..4 {
        room.leave(filler.account(), 1, &mut wakers);
    }
    assert_eq!(wakers.len(), 1);
    wakers.drain(..).for_each(Waker::wake);
    assert!(first_task.is_woken() && !second_task.is_woken());
    assert!(room.places.is_empty() && room.shut_out.is_empty());
}

#[test]
fn a_waiter_that_ends_passes_its_turn_on() {
    let (first, second) = (seat("same"), seat("same"));
    let mut room = Room::new(8, 8);
    fill(&mut room, &first, 6, 1);
    let ((_first_task, first_waker), (second_task, second_waker)) = (waker(), waker());
    room.wait(&first, &first_waker);
    room.wait(&second, &second_waker);
    let mut wakers = Vec::new();
    for _ in 0..3 {
        room.leave(first.account(), 1, &mut wakers);
    }
    // Woken, and gone before it could look.
    room.pass(&first, &mut wakers);
    wakers.drain(..).for_each(Waker::wake);
    assert!(second_task.is_woken());
}

#[test]
fn who_has_nothing_waits_for_a_full_room_only_and_is_let_in() {
    let (greedy, new) = (seat("greedy"), Arc::new(seat("new")));
    let mut room = Room::new(160, 160);
    fill(&mut room, &greedy, 160, 1);
    assert!(room.must_wait(new.account()));
    let (task, waker) = waker();
    room.wait(&new, &waker);
    let mut wakers = Vec::new();
    for _ in 0..9 {
        room.leave(greedy.account(), 1, &mut wakers);
    }
    assert!(wakers.is_empty());
    for _ in 0..2 {
        room.leave(greedy.account(), 1, &mut wakers);
    }
    wakers.drain(..).for_each(Waker::wake);
    assert!(task.is_woken());
    assert!(!room.must_wait(new.account()));
}

#[test]
fn a_room_in_which_checks_wait_too_long_is_crowded_sooner() {
    let someone = seat("someone");
    let mut room = Room::new(10_000, 10_000);
    fill(&mut room, &someone, 1000, 1);
    assert!(!room.must_wait(someone.account()));
    for _ in 0..100 {
        room.waited(true, 256);
    }
    assert!(room.must_wait(someone.account()));
    assert!(!room.must_wait(seat("new").account()));
    let mut room = Room::new(10_000, 10_000);
    for _ in 0..1000 {
        room.waited(true, 256);
    }
    fill(&mut room, &someone, 255, 1);
    assert!(!room.must_wait(someone.account()), "never below the least");
    for _ in 0..1000 {
        room.waited(false, 256);
    }
    fill(&mut room, &someone, 200, 1);
    assert!(!room.must_wait(someone.account()), "back again");
}
