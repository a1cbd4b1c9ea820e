//! The lane against a service that is played by the test, in virtual time.

mod hanging;

use std::{
    future::pending,
    sync::atomic::{AtomicBool, Ordering},
};

use gatekeeper::Why;
use prost::Message as _;
use tidegate_proto::v1;
use tokio::{
    sync::mpsc,
    time::{Instant, advance},
};
use tokio_test::{assert_pending, assert_ready, task};
use tower::service_fn;

use super::*;
use crate::authz::{
    HookKind, hook,
    testing::{self, publish, result, yes},
};

fn preamble() -> Preamble {
    Preamble::from(&v1::DataPlane {
        instance_id: "i".repeat(40),
        ..v1::DataPlane::default()
    })
}

type Results = Result<Vec<v1::PublishResult>, Cause>;

/// One call that the service has received.
struct Received {
    shipment: Shipment,
    checks: Vec<v1::PublishCheck>,
    reply: oneshot::Sender<Results>,
}

impl Received {
    fn topics(&self) -> Vec<&str> {
        let checks = self.checks.iter();
        checks.map(|check| check.topic.as_str()).collect()
    }

    fn allow_all(self) {
        let ids = self.checks.iter();
        let ids = ids.map(|check| check.metadata.as_ref().unwrap().item_id);
        let results = ids.map(|id| result(id, yes())).collect();
        self.reply.send(Ok(results)).unwrap();
    }
}

struct Scene {
    capabilities: Arc<Capabilities>,
    lane: Lane<hook::Publish>,
    calls: mpsc::UnboundedReceiver<Received>,
    counters: Arc<Counters>,
}

impl Scene {
    fn new(change: impl FnOnce(&mut AuthzOptions)) -> Self {
        let mut options = AuthzOptions::default();
        change(&mut options);
        let settings = Settings::new::<hook::Publish>(&options, options.k_hard, Arc::default());
        let capabilities = Arc::clone(&settings.capabilities);
        let counters = Arc::<Counters>::default();
        let (send, calls) = mpsc::unbounded_channel();
        let service = service_fn(move |shipment: Shipment| {
            let (reply, answer) = oneshot::channel();
            let request = v1::AuthorizePublishRequest::decode(shipment.request.clone());
            let received = Received {
                checks: request.unwrap().checks,
                shipment,
                reply,
            };
            assert_eq!(received.checks.len(), received.shipment.size);
            send.send(received).unwrap();
            async { answer.await.unwrap_or_else(|_| panic!("the call panics")) }
        });
        Self {
            capabilities,
            lane: Lane::start(settings, service, preamble(), Arc::clone(&counters)),
            calls,
            counters,
        }
    }

    fn ask(&mut self, topic: &str) -> task::Spawn<Reply> {
        task::spawn(self.lane.call(publish(topic)))
    }

    /// Lets the lane and its calls do all they can without time passing.
    async fn settle(&mut self) {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    async fn next_call(&mut self) -> Received {
        self.settle().await;
        self.calls.try_recv().expect("the service is called")
    }

    async fn assert_no_call(&mut self) {
        self.settle().await;
        assert!(self.calls.try_recv().is_err(), "the service is called");
    }
}

fn assert_failed(answer: &mut task::Spawn<Reply>, cause: &Cause) {
    assert_eq!(&assert_ready!(answer.poll()).unwrap_err().cause, cause);
}

#[tokio::test(start_paused = true)]
async fn an_idle_check_leaves_alone_and_at_once() {
    let mut scene = Scene::new(|_| ());
    for topic in ["a", "b"] {
        let mut answer = scene.ask(topic);
        // It was not even polled.
        let call = scene.next_call().await;
        assert_eq!(call.topics(), [topic]);
        call.allow_all();
        scene.settle().await;
        let decision = assert_ready!(answer.poll()).unwrap();
        assert_eq!(decision.facts.batch_size, 1);
        assert_eq!(decision.facts.queued, Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn checks_gather_behind_a_call() {
    let mut scene = Scene::new(|_| ());
    let _first = scene.ask("a");
    let call = scene.next_call().await;
    let _others = ["b", "c", "d"].map(|topic| scene.ask(topic));
    scene.assert_no_call().await;
    call.allow_all();
    assert_eq!(scene.next_call().await.topics(), ["b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_call_holds_the_next_one_back_for_the_overflow_wait_only() {
    let mut scene = Scene::new(|_| ());
    let _first = scene.ask("a");
    let _slow = scene.next_call().await;
    let _second = scene.ask("b");
    advance(Duration::from_micros(900)).await;
    let _third = scene.ask("c");
    scene.assert_no_call().await;
    advance(Duration::from_millis(1)).await;
    assert_eq!(scene.next_call().await.topics(), ["b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_checks_become_full_batches_within_the_hard_limit() {
    let mut scene = Scene::new(|options| options.k_hard = 4);
    let answers: Vec<_> = (0..1000).map(|n| scene.ask(&n.to_string())).collect();
    let mut sizes = Vec::new();
    while sizes.iter().sum::<usize>() < 1000 {
        scene.settle().await;
        let mut flying = Vec::new();
        while let Ok(call) = scene.calls.try_recv() {
            flying.push(call);
        }
        assert!((1..=4).contains(&flying.len()), "{} calls", flying.len());
        for call in flying {
            sizes.push(call.checks.len());
            call.allow_all();
        }
    }
    assert!(sizes.iter().all(|size| *size <= 64), "{sizes:?}");
    assert!(sizes.len() <= 17, "{sizes:?}");
    for answer in answers {
        assert!(answer.into_inner().await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn ids_are_unique_within_a_call() {
    let mut scene = Scene::new(|_| ());
    let _answers: Vec<_> = (0..64).map(|n| scene.ask(&n.to_string())).collect();
    let call = scene.next_call().await;
    let ids = call.checks.iter();
    let ids: Vec<_> = ids
        .map(|check| check.metadata.as_ref().unwrap().item_id)
        .collect();
    assert_eq!(ids, (1..=64).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn batches_are_bounded_by_bytes_and_a_large_check_travels_alone() {
    let mut scene = Scene::new(|options| {
        // Two of the small ones.
        options.max_bytes = 110;
        options.max_check_bytes = 1000;
    });
    let (small, large) = ("s".repeat(40), "l".repeat(500));
    let topics = [&small, &small, &small, &large, &small];
    let _answers = topics.map(|topic| scene.ask(topic));
    let mut lengths: Vec<Vec<usize>> = Vec::new();
    scene.settle().await;
    advance(Duration::from_millis(2)).await;
    scene.settle().await;
    while let Ok(call) = scene.calls.try_recv() {
        lengths.push(call.topics().iter().map(|topic| topic.len()).collect());
    }
    assert_eq!(lengths, [vec![40, 40], vec![40], vec![500], vec![40]]);
}

#[tokio::test(start_paused = true)]
async fn a_check_above_the_limit_is_never_sent() {
    let mut scene = Scene::new(|options| options.max_check_bytes = 10);
    let mut answer = scene.ask("12345678901");
    let failure = assert_ready!(answer.poll()).unwrap_err();
    assert_eq!(failure.cause.why(), Why::TooLarge);
    scene.assert_no_call().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_and_a_crowded_one_asks_to_wait() {
    let mut scene = Scene::new(|options| options.queue_checks = 8);
    let queue = scene.lane.queue();
    let seat = publish("t").context.seat;
    let _queued: Vec<_> = (0..5).map(|_| scene.ask("t")).collect();
    assert!(!queue.must_wait(&seat));
    let _crowding: Vec<_> = (0..3).map(|_| scene.ask("t")).collect();
    assert!(queue.must_wait(&seat));
    assert_failed(&mut scene.ask("t"), &Cause::QueueFull);
    let mut eased = task::spawn(std::future::poll_fn(|cx| queue.poll_room(&seat, cx)));
    assert_pending!(eased.poll());
    scene.settle().await;
    assert!(eased.is_woken());
    assert_ready!(eased.poll());
}

#[tokio::test(start_paused = true)]
async fn a_queue_is_bounded_by_bytes() {
    let mut scene = Scene::new(|options| options.queue_bytes = 100);
    let _queued = scene.ask(&"t".repeat(60));
    assert_failed(&mut scene.ask(&"t".repeat(60)), &Cause::QueueFull);
}

#[tokio::test(start_paused = true)]
async fn what_would_be_late_is_not_sent() {
    let mut scene = Scene::new(|options| options.k_hard = 1);
    let _first = scene.ask("a");
    let hung = scene.next_call().await;
    let mut late = scene.ask("late");
    advance(Duration::from_millis(996)).await;
    let _fresh = scene.ask("fresh");
    hung.allow_all();
    assert_eq!(scene.next_call().await.topics(), ["fresh"]);
    let failure = assert_ready!(late.poll()).unwrap_err();
    assert_eq!(failure.cause, Cause::ExpiredInQueue);
    assert_eq!(failure.facts.queued, Duration::from_millis(996));
}

#[tokio::test(start_paused = true)]
async fn a_call_lives_as_long_as_its_most_patient_check() {
    let mut scene = Scene::new(|_| ());
    let now = Instant::now();
    let mut hasty = publish("hasty");
    hasty.context.deadline = now + Duration::from_millis(500);
    let _answers = [scene.lane.call(hasty), scene.lane.call(publish("patient"))];
    let call = scene.next_call().await;
    assert_eq!(call.topics(), ["hasty", "patient"]);
    assert_eq!(call.shipment.deadline, now + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_check_in_the_queue_is_not_sent() {
    let mut scene = Scene::new(|_| ());
    let _first = scene.ask("a");
    let call = scene.next_call().await;
    let cancelled = scene.ask("b");
    let _other = scene.ask("c");
    drop(cancelled);
    call.allow_all();
    assert_eq!(scene.next_call().await.topics(), ["c"]);
}

#[tokio::test(start_paused = true)]
async fn a_call_is_dropped_when_nobody_waits_any_more() {
    let mut scene = Scene::new(|_| ());
    let first = scene.ask("a");
    let second = scene.ask("b");
    let call = scene.next_call().await;
    drop(first);
    scene.settle().await;
    assert!(!call.reply.is_closed(), "the other one still waits");
    drop(second);
    scene.settle().await;
    assert!(call.reply.is_closed());
}

// Else nobody would hear that an endpoint is silent, and its dead connection would stay.
#[tokio::test(start_paused = true)]
async fn a_call_whose_checks_are_too_late_comes_to_its_own_end() {
    let mut scene = Scene::new(|_| {});
    let late = scene.ask("late");
    let call = scene.next_call().await;
    advance(call.shipment.deadline - Instant::now()).await;
    drop(late);
    scene.settle().await;
    assert!(!call.reply.is_closed());
    call.reply.send(Err(Cause::Timeout)).unwrap();
    scene.settle().await;
    let counts = scene.counters.hook(HookKind::Publish);
    assert_eq!(
        (counts.calls_ended.get(), counts.calls_failed.get()),
        (1, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_call_fails_all_of_its_checks() {
    let mut scene = Scene::new(|_| ());
    let mut answers = ["a", "b"].map(|topic| scene.ask(topic));
    let call = scene.next_call().await;
    call.reply.send(Err(Cause::NotGrpc(404))).unwrap();
    scene.settle().await;
    for answer in &mut answers {
        assert_failed(answer, &Cause::NotGrpc(404));
    }
}

#[tokio::test(start_paused = true)]
async fn results_are_matched_by_id_and_strangers_are_counted() {
    let mut scene = Scene::new(|_| ());
    let mut answers = ["a", "b", "c"].map(|topic| scene.ask(topic));
    let call = scene.next_call().await;
    let results = [(7, yes()), (3, yes()), (1, testing::no()), (0, yes())];
    let results = results.map(|(id, decision)| result(id, decision));
    call.reply.send(Ok(results.into())).unwrap();
    scene.settle().await;
    let [first, second, third] = &mut answers;
    let no = assert_ready!(first.poll()).unwrap();
    assert!(matches!(no.verdict, gatekeeper::Verdict::Deny(_)));
    assert_failed(second, &Cause::MissingResult);
    let yes = assert_ready!(third.poll()).unwrap();
    assert!(matches!(yes.verdict, gatekeeper::Verdict::Allow(_)));
    assert_eq!(scene.counters.protocol_errors.unknown_item.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_a_call_fails_its_checks_and_nothing_else() {
    let mut scene = Scene::new(|_| ());
    let mut answer = scene.ask("a");
    drop(scene.next_call().await);
    scene.settle().await;
    assert_failed(&mut answer, &Cause::Lost);
    let mut next = scene.ask("b");
    scene.next_call().await.allow_all();
    scene.settle().await;
    assert!(assert_ready!(next.poll()).is_ok());
    assert_eq!(scene.counters.hook(HookKind::Publish).panics.get(), 1);
}

/// Panics in the lane's own task.
struct PanicsOnce(Arc<AtomicBool>);

impl Clone for PanicsOnce {
    fn clone(&self) -> Self {
        assert!(self.0.swap(true, Ordering::Relaxed), "the lane panics");
        Self(Arc::clone(&self.0))
    }
}

impl Service<Shipment> for PanicsOnce {
    type Response = Vec<v1::PublishResult>;
    type Error = Cause;
    type Future = std::future::Ready<Results>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _shipment: Shipment) -> Self::Future {
        std::future::ready(Ok(vec![result(1, yes())]))
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_lane_fails_what_it_held_and_it_goes_on() {
    let settings = Settings::new::<hook::Publish>(&AuthzOptions::default(), 64, Arc::default());
    let counters = Arc::<Counters>::default();
    let service = PanicsOnce(Arc::default());
    let mut lane = Lane::<hook::Publish>::start(
        settings,
        service,
        Preamble::default(),
        Arc::clone(&counters),
    );
    let failure = lane.call(publish("a")).await.unwrap_err();
    assert_eq!(failure.cause, Cause::Lost);
    assert!(lane.call(publish("b")).await.is_ok());
    assert_eq!(counters.hook(HookKind::Publish).panics.get(), 1);
}

#[test]
fn a_lane_whose_runtime_is_gone_fails_at_once() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let service = service_fn(|_: Shipment| pending::<Results>());
    let settings = Settings::new::<hook::Publish>(&AuthzOptions::default(), 64, Arc::default());
    let mut lane = {
        let _inside = runtime.enter();
        Lane::<hook::Publish>::start(settings, service, Preamble::default(), Arc::default())
    };
    let mut under_way = task::spawn(lane.call(publish("a")));
    assert_pending!(under_way.poll());
    drop(runtime);
    assert_failed(&mut under_way, &Cause::Lost);
    assert_failed(&mut task::spawn(lane.call(publish("b"))), &Cause::Lost);
}

/// Answers calls until there are none, as long as they hold no `poison`; those fail.
async fn serve(scene: &mut Scene, poison: &str) -> Vec<usize> {
    let mut sizes = Vec::new();
    loop {
        scene.settle().await;
        let Ok(call) = scene.calls.try_recv() else {
            return sizes;
        };
        sizes.push(call.checks.len());
        if call.topics().contains(&poison) {
            let cause = Cause::Status {
                code: tonic::Code::Unknown,
                message: "poisoned".to_owned(),
            };
            call.reply.send(Err(cause)).unwrap();
        } else {
            call.allow_all();
        }
    }
}

/// Checks of another session, given its first one.
fn of_one_session(seat: &Arc<Seat>, topic: &str) -> Check<hook::Publish> {
    let mut check = publish(topic);
    check.context.seat = Arc::clone(seat);
    check
}

#[tokio::test(start_paused = true)]
async fn one_check_that_makes_calls_fail_costs_the_others_no_decision() {
    for place in [0, 5, 63] {
        let mut scene = Scene::new(|_| ());
        let topic = |n| if n == place { "poison" } else { "t" };
        let mut answers: Vec<_> = (0..64).map(|n| scene.ask(topic(n))).collect();
        let sizes = serve(&mut scene, "poison").await;
        // The batch, and both halves of each part with the check in it.
        assert_eq!(sizes.len(), 1 + 2 * 6, "{sizes:?}");
        for (n, answer) in answers.iter_mut().enumerate() {
            let outcome = assert_ready!(answer.poll());
            assert_eq!(outcome.is_ok(), n != place, "{n}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_makes_calls_fail_again_and_again_travels_alone() {
    let mut scene = Scene::new(|_| ());
    let seat = publish("").context.seat;
    for round in 0..4 {
        let _poison = scene.lane.call(of_one_session(&seat, "poison"));
        let mut others: Vec<_> = (0..15).map(|_| scene.ask("t")).collect();
        let sizes = serve(&mut scene, "poison").await;
        match round {
            0 | 1 => assert_eq!(sizes.len(), 1 + 2 * 4, "{sizes:?}"),
            _ => assert_eq!(sizes, [1, 15], "alone, and the others"),
        }
        for answer in &mut others {
            assert!(assert_ready!(answer.poll()).is_ok());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_always_fails_is_asked_hardly_more() {
    let mut scene = Scene::new(|options| options.k_soft_max = 1);
    let mut calls = 0;
    for _ in 0..100 {
        let _answers: Vec<_> = (0..64).map(|_| scene.ask("poison")).collect();
        calls += serve(&mut scene, "poison").await.len();
    }
    assert!((100..=100 + 10 + 64).contains(&calls), "{calls} calls");
}

#[tokio::test(start_paused = true)]
async fn a_transport_error_is_nobodys_fault() {
    let mut scene = Scene::new(|_| ());
    let mut answers = ["a", "b"].map(|topic| scene.ask(topic));
    let call = scene.next_call().await;
    let cause = Cause::Transport("reset".to_owned());
    call.reply.send(Err(cause.clone())).unwrap();
    scene.assert_no_call().await;
    for answer in &mut answers {
        assert_failed(answer, &cause);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_always_slow_is_found_out_and_holds_nobody_up() {
    let mut scene = Scene::new(|_| ());
    let slow = publish("").context.seat;
    let mut checks_of_slow = 0;
    let mut held_up = 0;
    for round in 0..100 {
        // Others have most of the calls.
        for _ in 0..4 {
            let _quick = scene.ask("t");
            scene.next_call().await.allow_all();
            scene.settle().await;
        }
        let first = (round % 4 == 0).then(|| scene.lane.call(of_one_session(&slow, "slow")));
        checks_of_slow += usize::from(first.is_some());
        let other = scene.ask("t");
        scene.settle().await;
        let mut calls = Vec::new();
        while let Ok(call) = scene.calls.try_recv() {
            calls.push(call);
        }
        let (slow_ones, quick_ones): (Vec<_>, Vec<_>) = calls
            .into_iter()
            .partition(|call| call.topics().contains(&"slow"));
        quick_ones.into_iter().for_each(Received::allow_all);
        scene.settle().await;
        if !slow_ones.is_empty() {
            held_up = checks_of_slow * usize::from(slow_ones[0].checks.len() > 1);
            advance(Duration::from_millis(20)).await;
        }
        slow_ones.into_iter().for_each(Received::allow_all);
        // What had to wait for the slow one.
        serve(&mut scene, "").await;
        drop((first, other));
        if checks_of_slow > 9 {
            assert_eq!(held_up, 0, "found out after nine checks");
        }
    }
    assert_eq!(checks_of_slow, 25);
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_one_session_leaves_room_for_others() {
    let mut scene = Scene::new(|options| options.queue_checks = 1000);
    let flood = publish("").context.seat;
    flood.identify("flood");
    let queue = scene.lane.queue();
    let mut asked = Vec::new();
    while !queue.must_wait(&flood) {
        asked.push(scene.lane.call(of_one_session(&flood, "flood")));
    }
    assert_eq!(asked.len(), 750);
    let modest = publish("").context.seat;
    assert!(!queue.must_wait(&modest));
    let _answer = scene.lane.call(of_one_session(&modest, "modest"));
    let topics = scene.next_call().await;
    assert!(topics.topics().contains(&"modest"), "in the next batch");
}

#[tokio::test(start_paused = true)]
async fn the_service_may_narrow_what_is_configured() {
    let mut scene = Scene::new(|_| ());
    // Four lanes, and a third of the calls is for this one.
    scene.capabilities.set(5, 400, 6);
    let _answers: Vec<_> = (0..64).map(|_| scene.ask("t")).collect();
    scene.settle().await;
    let calls: Vec<_> = std::iter::from_fn(|| scene.calls.try_recv().ok()).collect();
    let sizes: Vec<_> = calls.iter().map(|call| call.checks.len()).collect();
    assert_eq!(sizes, [5, 5], "two calls of five");
    // That would be for ever: one replica may say so of all.
    let mut large = scene.ask(&"l".repeat(65_536));
    let failure = assert_ready!(large.poll()).unwrap_err();
    assert_eq!(failure.cause.why(), Why::ServiceFailure);
    scene.capabilities.set(0, 0, 0);
    calls.into_iter().for_each(Received::allow_all);
    assert_eq!(scene.next_call().await.checks.len(), 54);
}

#[tokio::test(start_paused = true)]
async fn no_request_is_larger_than_the_service_wishes() {
    const WISH: usize = 70_000;

    let mut scene = Scene::new(|_| ());
    scene.capabilities.set(0, u32::try_from(WISH).unwrap(), 0);
    let _answers: Vec<_> = (0..64).map(|_| scene.ask(&"t".repeat(2_000))).collect();
    // As large as one may be, and one byte more.
    let fits = |size: &usize| {
        let check = publish(&"l".repeat(*size));
        preamble().len() + check.message.encoded_len() + MAX_ITEM_ID_BYTES <= WISH
    };
    let most = (WISH - 200..WISH).rev().find(fits).unwrap();
    let [_largest, mut larger] = [most, most + 1].map(|size| scene.ask(&"l".repeat(size)));
    let failure = assert_ready!(larger.poll()).unwrap_err();
    assert!(matches!(failure.cause, Cause::TooLargeForService { .. }));
    let (mut checks, mut most) = (0, 0);
    while checks < 65 {
        scene.settle().await;
        while let Ok(call) = scene.calls.try_recv() {
            checks += call.checks.len();
            most = most.max(call.shipment.request.len());
            call.allow_all();
        }
    }
    assert!((WISH - 10..=WISH).contains(&most), "{most} bytes");
}

#[tokio::test(start_paused = true)]
async fn connects_that_waited_a_second_are_shed_while_the_service_hangs() {
    let options = AuthzOptions::default();
    let settings = Settings::new::<hook::Connect>(&options, 1, Arc::default());
    let service = service_fn(|_: Shipment| pending::<Result<Vec<v1::ConnectResult>, Cause>>());
    let mut lane =
        Lane::<hook::Connect>::start(settings, service, Preamble::default(), Arc::default());
    let check = || Check::<hook::Connect> {
        message: testing::message(&v1::ConnectCheck::default()),
        context: testing::context("", Duration::from_secs(5)),
    };
    let mut hangs = task::spawn(lane.call(check()));
    tokio::task::yield_now().await;
    let waiting = lane.call(check());
    let asked_at = Instant::now();
    let failure = waiting.await.unwrap_err();
    assert_eq!(failure.cause, Cause::ExpiredInQueue);
    assert_eq!(failure.failed_at - asked_at, CONNECT_AGE);
    assert_pending!(hangs.poll());
}

// A directive may have overtaken its first answer.
#[tokio::test(start_paused = true)]
async fn a_connect_that_is_asked_again_after_a_second_has_not_waited_for_it() {
    let settings = Settings::new::<hook::Connect>(&AuthzOptions::default(), 64, Arc::default());
    let service = service_fn(|_: Shipment| pending::<Result<Vec<v1::ConnectResult>, Cause>>());
    let mut lane =
        Lane::<hook::Connect>::start(settings, service, Preamble::default(), Arc::default());
    let check = Check::<hook::Connect> {
        message: testing::message(&v1::ConnectCheck::default()),
        context: testing::context("", Duration::from_secs(5)),
    };
    advance(Duration::from_millis(1200)).await;
    let mut again = task::spawn(lane.call(check));
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_pending!(again.poll());
}
