use std::collections::HashMap;

use tokio::sync::oneshot;
use tokio_test::{assert_pending, assert_ready_eq, task};

use super::{turns::TURN, *};
use crate::authz::{Check, hook, item, testing, wire::Outcome};

type Reply = oneshot::Receiver<Outcome>;

/// A queue whose checks are known by the letters of their sessions.
struct Scene {
    queue: Queue<hook::Publish>,
    seats: HashMap<char, Arc<Seat>>,
    replies: Vec<(char, Reply)>,
    now: Instant,
}

impl Scene {
    fn new(order: Order) -> Self {
        Self {
            queue: Queue::new(order, 10_000, 1_000_000, Duration::from_secs(1)),
            seats: HashMap::new(),
            replies: Vec::new(),
            now: Instant::now(),
        }
    }

    fn seat(&mut self, session: char) -> Arc<Seat> {
        let seat = || {
            let seat = Seat::new([127, 0, 0, 1].into());
            seat.identify(&session.to_string());
            Arc::new(seat)
        };
        Arc::clone(self.seats.entry(session).or_insert_with(seat))
    }

    fn push(&mut self, session: char, checks: usize) {
        for _ in 0..checks {
            let Check { message, .. } = testing::publish("t");
            let (reply, answer) = oneshot::channel();
            let item = Item {
                bytes: message.encoded_len(),
                message,
                weight: 0,
                span: None,
                queued_at: self.now,
                deadline: self.now + Duration::from_secs(10),
                reply: item::Reply::Alone(reply),
            };
            let seat = self.seat(session);
            self.queue.push(&seat, item).unwrap();
            self.replies.push((session, answer));
        }
    }

    /// Whose checks are in the next batch, and how many in a row.
    fn take(&mut self, items: usize) -> Vec<(char, usize)> {
        let mut batch = Batch::new(items, usize::MAX);
        self.queue.take(&mut batch, Duration::ZERO, self.now);
        self.names(batch)
    }

    fn take_apart(&mut self, flying: &[char]) -> Vec<(char, usize)> {
        let flying: Vec<_> = flying.iter().map(|name| self.seat(*name).id()).collect();
        let mut batch = Batch::new(64, usize::MAX);
        self.queue
            .take_apart(&mut batch, Duration::ZERO, self.now, |id| {
                flying.contains(&id)
            });
        self.names(batch)
    }

    fn names(&self, batch: Batch<hook::Publish>) -> Vec<(char, usize)> {
        let (_, seats, _) = batch.into_parts();
        let name = |seat: &Arc<Seat>| {
            let found = self.seats.iter().find(|(_, known)| known.id() == seat.id());
            *found.unwrap().0
        };
        seats
            .iter()
            .map(|(seat, count)| (name(seat), *count))
            .collect()
    }

    fn put_apart(&mut self, session: char) {
        let seat = self.seat(session);
        let mut standing = seat.standing(hook::Publish::KIND);
        standing.failed_alone();
        standing.failed_alone();
    }
}

#[test]
fn a_flood_does_not_keep_others_from_the_next_batch() {
    let mut scene = Scene::new(Order::Turns);
    scene.push('f', 1000);
    assert_eq!(scene.take(64), [('f', 64)]);
    scene.push('a', 1);
    scene.push('b', 3);
    // Those who were quiet first, then turns.
    assert_eq!(scene.take(64), [('a', 1), ('b', 3), ('f', 60)]);
}

#[test]
fn those_who_always_have_more_take_turns() {
    let mut scene = Scene::new(Order::Turns);
    for session in ['a', 'b', 'c'] {
        scene.push(session, 200);
    }
    let mut taken = HashMap::<char, usize>::new();
    for batch in 1..=9 {
        for (session, count) in scene.take(32) {
            *taken.entry(session).or_default() += count;
        }
        let counts = ['a', 'b', 'c'].map(|name| taken.get(&name).copied().unwrap_or(0));
        let (most, least) = (counts.iter().max(), counts.iter().min());
        assert!(
            most.unwrap() - least.unwrap() <= TURN,
            "{batch}: {counts:?}"
        );
    }
}

#[test]
fn many_quiet_sessions_do_not_starve_a_busy_one() {
    let mut scene = Scene::new(Order::Turns);
    scene.push('f', 1000);
    scene.take(64);
    let mut of_flood = 0;
    for _ in 0..20 {
        // Each comes back as soon as it was served.
        for session in 'A'..='Z' {
            scene.push(session, 1);
        }
        let taken = scene.take(26);
        let flood = taken.iter().filter(|(session, _)| *session == 'f');
        of_flood += flood.map(|(_, count)| count).sum::<usize>();
    }
    assert!(of_flood >= 2 * TURN, "{of_flood} of 520");
}

#[test]
fn each_session_keeps_its_own_order() {
    let mut scene = Scene::new(Order::Turns);
    scene.push('a', 100);
    scene.push('b', 5);
    let mut batch = Batch::new(200, usize::MAX);
    scene.queue.take(&mut batch, Duration::ZERO, scene.now);
    let (waiters, _, _) = batch.into_parts();
    // The replies tell who is who.
    for (index, mut waiter) in waiters.into_iter().enumerate() {
        let failure = Ending::failed(Cause::Timeout);
        waiter.answer(failure, &scene.seat('a'));
        let session = scene
            .replies
            .iter_mut()
            .position(|(_, reply)| reply.try_recv().is_ok());
        let (session, _) = scene.replies.remove(session.unwrap());
        let expected = if (32..37).contains(&index) { 'b' } else { 'a' };
        assert_eq!(session, expected, "{index}");
    }
    assert!(scene.replies.is_empty());
}

#[test]
fn who_travels_alone_does_so_and_one_call_at_a_time() {
    let mut scene = Scene::new(Order::Turns);
    scene.put_apart('x');
    scene.push('x', 100);
    scene.push('a', 1);
    assert_eq!(scene.take(64), [('a', 1)]);
    assert_eq!(scene.take_apart(&[]), [('x', 64)]);
    assert_eq!(scene.take_apart(&['x']), []);
    assert_eq!(scene.take_apart(&[]), [('x', 36)]);
    assert!(!scene.queue.has_apart());
}

#[test]
fn who_is_found_out_leaves_the_others_at_the_end_of_its_turn() {
    let mut scene = Scene::new(Order::Turns);
    scene.push('x', 100);
    scene.put_apart('x');
    assert_eq!(scene.take(64), [('x', 32)]);
    assert_eq!(scene.take_apart(&[]), [('x', 64)]);
    assert_eq!(scene.take(64), []);
}

#[test]
fn who_need_not_travel_alone_any_more_goes_back_even_if_it_always_has_something() {
    let mut scene = Scene::new(Order::Turns);
    scene.put_apart('x');
    scene.push('x', 100);
    assert_eq!(scene.take(64), []);
    *scene.seat('x').standing(hook::Publish::KIND) = Default::default();
    assert_eq!(scene.take_apart(&['x']), [], "when its call is back");
    assert_eq!(scene.take(64), []);
    assert_eq!(scene.take_apart(&[]), []);
    scene.push('x', 1);
    scene.push('a', 1);
    assert_eq!(scene.take(200), [('a', 1), ('x', 101)]);
    assert!(!scene.queue.has_apart());
}

impl Scene {
    /// Fills batches with one turn each, as long as there is one that may leave.
    fn depart(&mut self, in_flight: usize) -> Vec<(Seats, Vec<Account>)> {
        let mut calls = Vec::new();
        while self.queue.waiting(64, in_flight + calls.len()).is_some() {
            let mut batch = Batch::new(TURN, usize::MAX);
            self.queue.take(&mut batch, Duration::ZERO, self.now);
            if batch.is_empty() {
                break;
            }
            let (_, seats, accounts) = batch.into_parts();
            calls.push((seats, accounts));
        }
        calls
    }
}

#[test]
fn whose_account_has_its_share_of_the_calls_waits_for_them() {
    let mut scene = Scene::new(Order::Turns);
    for session in 'a'..='f' {
        scene.seat(session).identify("flood");
        scene.push(session, 400);
    }
    // A quarter of the calls is anybody's, and a quarter of the rest is left for others.
    let mut calls = scene.depart(0);
    assert_eq!(calls.len(), 52);
    for (n, (_, accounts)) in calls.iter().enumerate() {
        assert_eq!(accounts.len(), usize::from(n >= 16));
    }
    scene.push('a', 1);
    scene.push('x', 1);
    assert!(scene.queue.waiting(64, 52).is_some());
    assert_eq!(scene.take(64), [('x', 1)]);
    assert!(scene.queue.waiting(64, 53).is_none());
    let (seats, accounts) = calls.swap_remove(20);
    scene.queue.landed(&seats, &accounts);
    assert!(scene.queue.waiting(64, 51).is_some());
    assert_eq!(scene.take(64).len(), 2);
    // Calls that nobody counted are free, too.
    scene.queue.waiting(64, 0);
    let left = scene.take(10_000);
    let left: usize = left.iter().map(|(_, count)| count).sum();
    assert_eq!(left, 6 * 400 + 1 - 52 * TURN - 64);
}

#[test]
fn one_session_leaves_some_calls_for_others_of_its_account() {
    let mut scene = Scene::new(Order::Turns);
    scene.push('a', 64 * TURN);
    assert_eq!(scene.depart(0).len(), 16 + 24);
    let b = scene.seat('b');
    b.identify("a");
    scene.push('b', 64 * TURN);
    assert_eq!(scene.depart(40).len(), 12);
}

#[test]
fn the_newest_goes_first_and_the_oldest_is_refused() {
    let mut scene = Scene::new(Order::NewestFirst(Duration::from_secs(1)));
    scene.push('a', 1);
    let oldest = scene.now;
    scene.now += Duration::from_millis(600);
    scene.push('b', 1);
    scene.push('c', 1);
    assert_eq!(
        scene.queue.next_expiry(),
        Some(oldest + Duration::from_secs(1))
    );
    assert_eq!(scene.take(1), [('c', 1)]);
    scene.now += Duration::from_millis(400);
    scene.queue.refuse_old(scene.now);
    let (_, reply) = &mut scene.replies[0];
    let failure = reply.try_recv().unwrap().unwrap_err();
    assert_eq!(failure.cause, Cause::ExpiredInQueue);
    assert_eq!(scene.take(1), [('b', 1)]);
    assert_eq!(scene.queue.next_expiry(), None);
}

#[test]
fn one_account_does_not_have_all_calls() {
    let mut scene = Scene::new(Order::NewestFirst(Duration::from_secs(1)));
    for session in 'a'..='e' {
        scene.seat(session).identify("flood");
        scene.push(session, 1);
    }
    assert!(scene.queue.waiting(4, 0).is_some());
    for session in ['e', 'd', 'c'] {
        assert_eq!(scene.take(1), [(session, 1)]);
    }
    // Two wait, one call is free, and it is not for them.
    assert!(scene.queue.waiting(4, 3).is_none());
    assert_eq!(scene.take(1), []);
    scene.push('x', 1);
    assert!(scene.queue.waiting(4, 3).is_some());
    assert_eq!(scene.take(1), [('x', 1)]);
    for session in ['d', 'x'] {
        let account = scene.seat(session).account();
        scene.queue.landed(&Vec::new(), &[account]);
    }
    assert_eq!(scene.take(1), [('b', 1)]);
    scene.queue.refuse_old(scene.now + Duration::from_secs(1));
    assert_eq!(scene.take(1), []);
}

#[test]
fn a_task_is_woken_when_it_is_worth_it() {
    let mut scene = Scene::new(Order::Turns);
    let queue = std::mem::replace(
        &mut scene.queue,
        Queue::new(Order::Turns, 1, 1, Duration::ZERO),
    );
    let mut arrival = task::spawn(std::future::poll_fn(|cx| queue.poll_arrival(3, 1000, cx)));
    let push = |session: &Arc<Seat>| {
        let Check { message, context } = testing::publish("t");
        let (reply, answer) = oneshot::channel();
        let item = Item {
            bytes: message.encoded_len(),
            message,
            weight: 0,
            span: None,
            queued_at: context.deadline,
            deadline: context.deadline,
            reply: item::Reply::Alone(reply),
        };
        queue.push(session, item).unwrap();
        answer
    };
    let seat = scene.seat('a');
    assert_pending!(arrival.poll());
    let _first = [push(&seat), push(&seat)];
    assert!(!arrival.is_woken());
    let _third = push(&seat);
    assert!(arrival.is_woken());
    assert_ready_eq!(arrival.poll(), true);
    drop(arrival);
    scene.put_apart('x');
    let mut more = task::spawn(std::future::poll_fn(|cx| queue.poll_arrival(9, 1000, cx)));
    assert_pending!(more.poll());
    let loner = scene.seat('x');
    let _alone = push(&loner);
    assert!(more.is_woken(), "who travels alone waits for nobody");
    assert_ready_eq!(more.poll(), true);
    // Said once, for they may have a call under way.
    assert_pending!(more.poll());
    drop(more);
    let _busy = push(&loner);
    let mut late = task::spawn(std::future::poll_fn(|cx| queue.poll_arrival(9, 1000, cx)));
    assert_ready_eq!(late.poll(), true, "what came before it is asked counts");
}

#[test]
fn a_closed_queue_gives_what_it_has_and_an_abandoned_one_nothing() {
    let mut scene = Scene::new(Order::Turns);
    scene.push('a', 1);
    scene.queue.close();
    let mut arrival = task::spawn(());
    let poll = |queue: &Queue<_>, task: &mut task::Spawn<()>| {
        task.enter(|cx, _| queue.poll_arrival(1, 1, cx))
    };
    assert_ready_eq!(poll(&scene.queue, &mut arrival), true);
    scene.queue.abandon();
    assert_ready_eq!(poll(&scene.queue, &mut arrival), false);
    let lost = scene.replies[0].1.try_recv().unwrap().unwrap_err();
    assert_eq!(lost.cause, Cause::Lost);
}
