use std::{collections::VecDeque, sync::Mutex, time::SystemTime};

use gatekeeper::{Deny, PublishChanges};
use proptest::prelude::*;
use tokio::{sync::oneshot, time::advance};
use tokio_test::{assert_pending, assert_ready, task};

use super::*;
use crate::authz::{
    Facts, Message, SessionBytes,
    endpoints::Address,
    failure::Cause,
    hook,
    testing::{self, allowed},
};

/// A service whose answers the test gives one by one.
#[derive(Clone, Default)]
struct Script {
    asked: Arc<Mutex<VecDeque<oneshot::Sender<Outcome>>>>,
}

impl<H: Hook> Service<Check<H>> for Script {
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = Answer;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Check<H>) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.asked.lock().unwrap().push_back(reply);
        Answer(answer)
    }
}

struct Answer(oneshot::Receiver<Outcome>);

impl Future for Answer {
    type Output = Outcome;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let answer = Pin::new(&mut self.0).poll(cx);
        answer.map(|answer| answer.unwrap_or_else(|_| Err(Cause::Lost.into())))
    }
}

struct Scene {
    stack: Cache<Script>,
    service: Script,
    counters: Arc<Counters>,
    epochs: Arc<Epochs>,
    revisions: Revisions,
    seat: Arc<Seat>,
    session: SessionBytes,
    asked: u64,
}

const SECOND: Duration = Duration::from_secs(1);

impl Scene {
    fn new() -> Self {
        Self::with(|_| ())
    }

    fn with(change: impl FnOnce(&mut CacheOptions)) -> Self {
        let mut options = CacheOptions {
            max_ttl: SECOND * 60,
            max_stale: SECOND * 60,
            max_entries_per_session: 4,
            max_bytes: 1_000_000,
        };
        change(&mut options);
        let counters = Arc::<Counters>::default();
        let epochs = Arc::new(Epochs::watched(SECOND * 3600));
        epochs.heard();
        let shared = Shared {
            options,
            epochs: Arc::clone(&epochs),
            counters: Arc::clone(&counters),
            store: Store::default(),
        };
        let service = Script::default();
        Self {
            stack: Cache::new(service.clone(), HookKind::Publish, Some(Arc::new(shared))),
            service,
            counters,
            epochs,
            revisions: Revisions::default(),
            seat: testing::context("", SECOND).seat,
            session: SessionBytes::default(),
            asked: 0,
        }
    }

    fn check(&self, topic: &str) -> Check<hook::Publish> {
        let mut context = testing::context(topic, SECOND);
        context.seat = Arc::clone(&self.seat);
        let body = v1::PublishCheck {
            topic: topic.to_owned(),
            ..v1::PublishCheck::default()
        };
        Check {
            message: Message::new(self.asked, SystemTime::now(), &self.session, &body),
            context,
        }
    }

    fn ask(&mut self, topic: &str) -> task::Spawn<ResponseFuture<Answer>> {
        self.asked += 1;
        self.ask_again(topic, self.asked)
    }

    /// Asks for the packet that was the so-many-th, once more.
    fn ask_again(&mut self, topic: &str, asked: u64) -> task::Spawn<ResponseFuture<Answer>> {
        let last = std::mem::replace(&mut self.asked, asked);
        let check = self.check(topic);
        self.asked = last;
        task::spawn(self.stack.call(check))
    }

    /// How many checks the service has not answered.
    fn open(&self) -> usize {
        self.service.asked.lock().unwrap().len()
    }

    fn answer(&self, outcome: Outcome) {
        let reply = self.service.asked.lock().unwrap().pop_front().unwrap();
        let _ = reply.send(outcome);
    }

    /// A decision that may be used again for so long.
    fn hinted(&self, decision: Decision, ttl: Duration, stale: Duration) -> Outcome {
        let address = "http://127.0.0.1:1".parse().unwrap();
        let address = Address::of(&address).unwrap();
        let reuse = Reuse {
            ttl,
            stale_if_error: stale,
            maker: Some(self.revisions.note(&address, "1")),
        };
        Ok(Decision {
            facts: Facts {
                policy: "rule".to_owned(),
                reuse: Some(Box::new(reuse)),
                ..Facts::default()
            },
            ..decision
        })
    }

    fn allow(&self, ttl: Duration) -> Outcome {
        self.hinted(allowed(), ttl, Duration::ZERO)
    }

    /// Asks about a topic, and answers.
    fn learn(&mut self, topic: &str, outcome: Outcome) {
        let mut answer = self.ask(topic);
        assert_pending!(answer.poll(), "{topic} is not asked");
        self.answer(outcome);
        let _ = assert_ready!(answer.poll());
    }

    /// Whether a topic is decided without the service.
    fn knows(&mut self, topic: &str) -> bool {
        let mut answer = self.ask(topic);
        match answer.poll() {
            Poll::Ready(decision) => {
                assert!(decision.unwrap().facts.cached);
                true
            }
            Poll::Pending => {
                self.answer(Err(Cause::Lost.into()));
                let _ = assert_ready!(answer.poll());
                false
            }
        }
    }
}

fn denied() -> Decision {
    Decision {
        verdict: Verdict::Deny(Deny::default()),
        ..allowed()
    }
}

#[tokio::test(start_paused = true)]
async fn a_decision_is_used_for_as_long_as_both_say() {
    let mut scene = Scene::with(|options| options.max_ttl = SECOND * 10);
    scene.learn("a", scene.allow(SECOND * 2));
    scene.learn("b", scene.allow(SECOND * 3600));
    scene.learn("c", scene.hinted(denied(), SECOND * 2, SECOND * 60));
    let mut again = scene.ask("a");
    let decision = assert_ready!(again.poll()).unwrap();
    assert_eq!(decision.verdict, allowed().verdict);
    assert_eq!(decision.facts.policy, "rule");
    assert!(scene.knows("c"), "denials, too");
    advance(SECOND * 2).await;
    assert!(!scene.knows("a"));
    assert!(!scene.knows("c"));
    advance(SECOND * 7).await;
    assert!(scene.knows("b"));
    advance(SECOND).await;
    assert!(!scene.knows("b"));
    let counts = scene.counters.hook(HookKind::Publish);
    assert_eq!((counts.cache_hits.get(), counts.cache_misses.get()), (3, 6));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_used_again_is_asked_again() {
    let mut scene = Scene::new();
    scene.learn("no hint", Ok(allowed()));
    assert!(!scene.knows("no hint"));
    let changed = Decision {
        verdict: Verdict::Allow(Allow::Publish(Some(Box::new(PublishChanges {
            topic: Some("other".into()),
            ..PublishChanges::default()
        })))),
        ..allowed()
    };
    scene.learn("changed", scene.hinted(changed, SECOND, SECOND));
    assert!(!scene.knows("changed"));
    scene.learn("failed", Err(Cause::Timeout.into()));
    assert!(!scene.knows("failed"));
    assert_eq!(scene.counters.cache.entries(), 0);
    assert!(scene.seat.decisions().is_none(), "nothing is allocated");
}

#[tokio::test(start_paused = true)]
async fn a_new_revision_a_directive_and_another_session_end_it() {
    let mut scene = Scene::new();
    scene.learn("a", scene.allow(SECOND));
    let address = "http://127.0.0.1:1".parse().unwrap();
    let address = Address::of(&address).unwrap();
    scene.revisions.note(&address, "2");
    assert!(!scene.knows("a"));

    let mut scene = Scene::new();
    scene.learn("a", scene.allow(SECOND));
    let epoch = scene.epochs.advance(None);
    assert!(scene.knows("a"), "it concerns somebody else");
    scene.seat.stamp().touch(epoch);
    assert!(!scene.knows("a"));
    scene.learn("a", scene.allow(SECOND));
    assert!(scene.knows("a"), "asked after the directive");

    scene.session = SessionBytes::from(&v1::Session {
        principal: "bob".to_owned(),
        ..v1::Session::default()
    });
    assert!(!scene.knows("a"));
    assert_eq!(scene.counters.cache.entries(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_decision_that_a_directive_overtakes_is_not_used_again() {
    let mut scene = Scene::new();
    let mut answer = scene.ask("a");
    assert_pending!(answer.poll());
    scene.seat.stamp().touch(scene.epochs.advance(None));
    scene.answer(scene.allow(SECOND));
    assert_ready!(answer.poll()).unwrap();
    assert!(!scene.knows("a"));
}

#[tokio::test(start_paused = true)]
async fn no_allow_is_used_while_directives_do_not_reach_us() {
    let mut scene = Scene::new();
    scene.learn("a", scene.hinted(allowed(), SECOND, SECOND));
    scene.learn("b", scene.hinted(denied(), SECOND, SECOND));
    scene.epochs.lost();
    assert!(!scene.knows("a"));
    assert!(stale(&scene.check("a")).is_none());
    assert!(scene.knows("b"));
    scene.epochs.heard();
    assert!(scene.knows("a"));
}

#[tokio::test(start_paused = true)]
async fn an_allow_may_outlive_its_time_while_the_service_fails() {
    let mut scene = Scene::with(|options| options.max_stale = SECOND * 5);
    scene.learn("a", scene.hinted(allowed(), SECOND, SECOND * 60));
    scene.learn("b", scene.hinted(denied(), SECOND, SECOND * 60));
    scene.learn("c", scene.allow(SECOND));
    advance(SECOND * 2).await;
    assert!(
        !scene.knows("a"),
        "as long as the service answers it is asked"
    );
    assert!(stale(&scene.check("a")).unwrap().facts.cached);
    assert!(stale(&scene.check("b")).is_none(), "only allows");
    assert!(
        stale(&scene.check("c")).is_none(),
        "only if the service said so"
    );
    advance(SECOND * 4).await;
    assert!(stale(&scene.check("a")).is_none());
}

/// A hit may wait for long behind another packet of its session.
#[tokio::test(start_paused = true)]
async fn what_ends_a_decision_before_its_turn_comes_makes_it_asked() {
    type Change = fn(&mut Scene);
    let changes: [Change; 4] = [
        |_| (),
        |scene| {
            let address = "http://127.0.0.1:1".parse().unwrap();
            scene.revisions.note(&Address::of(&address).unwrap(), "2");
        },
        |scene| scene.epochs.lost(),
        |scene| scene.seat.stamp().touch(scene.epochs.advance(None)),
    ];
    for (index, change) in changes.into_iter().enumerate() {
        let mut scene = Scene::new();
        scene.learn("a", scene.allow(SECOND * 2));
        let mut behind = scene.ask("a");
        let mut leader = scene.ask("b");
        assert_pending!(leader.poll());
        let mut follower = scene.ask("b");
        scene.answer(scene.allow(SECOND * 2));
        assert_ready!(leader.poll()).unwrap();
        assert_eq!(scene.open(), 0);
        if index == 0 {
            advance(SECOND * 2).await;
        }
        change(&mut scene);
        for waiting in [&mut behind, &mut follower] {
            assert_pending!(waiting.poll(), "{index}");
            scene.answer(Ok(denied()));
            let decision = assert_ready!(waiting.poll()).unwrap();
            assert_eq!(decision, denied(), "{index}");
        }
        let counts = scene.counters.hook(HookKind::Publish);
        assert_eq!((counts.cache_hits.get(), counts.cache_misses.get()), (0, 4));
    }
}

/// The session is about to be stamped: the directive has its number already.
#[tokio::test(start_paused = true)]
async fn a_hit_of_before_a_directive_is_not_as_new_as_its_asking() {
    let mut scene = Scene::new();
    scene.learn("a", scene.allow(SECOND));
    let (epochs, counters) = (Arc::clone(&scene.epochs), Arc::clone(&scene.counters));
    let mut current = crate::authz::current::Current::new(scene.stack.clone(), epochs, counters);
    let epoch = scene.epochs.advance(None);
    let hit = scene.stack.call(scene.check("a"));
    let mut late = task::spawn(current.call(scene.check("a")));
    // Found before, and looked at before; the session's stamp comes between that and its use.
    let decision = assert_ready!(task::spawn(hit).poll()).unwrap();
    assert!(decision.facts.asked_in < epoch);
    scene.seat.stamp().touch(epoch);
    assert_pending!(late.poll());
    scene.answer(Ok(denied()));
    assert_eq!(assert_ready!(late.poll()), Ok(denied()));
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_goes_with_the_session() {
    let mut scene = Scene::new();
    for topic in ["a", "b", "c", "d"] {
        scene.learn(topic, scene.allow(SECOND));
    }
    assert!(scene.knows("a"));
    scene.learn("e", scene.allow(SECOND));
    assert!(scene.knows("a"), "it was used last");
    assert_eq!(scene.counters.cache.entries(), 4);
    assert_eq!(scene.counters.cache.evictions.get(), 1);
    assert!(!scene.knows("b"));
    scene.seat = testing::context("", SECOND).seat;
    assert!(!scene.knows("a"), "another session knows nothing");
    assert_eq!(scene.counters.cache.entries(), 0);
    assert_eq!(scene.counters.cache.bytes(), 0);

    let mut scene = Scene::with(|options| options.max_bytes = 1000);
    for topic in ["a", "b", "c"] {
        scene.learn(topic, scene.allow(SECOND));
    }
    assert_eq!(scene.counters.cache.entries(), 2);
    assert!(scene.counters.cache.bytes() <= 1000);
}

/// A session of somebody else.
fn stranger(number: u8) -> Arc<Seat> {
    Arc::new(Seat::new([10, 0, 0, number].into()))
}

#[tokio::test(start_paused = true)]
async fn what_is_over_makes_room_wherever_it_is() {
    let mut scene = Scene::with(|options| options.max_bytes = 4 * ROOM);
    let mut idle = Vec::new();
    for number in 0..4 {
        idle.push(std::mem::replace(&mut scene.seat, stranger(number)));
        scene.learn("a", scene.allow(SECOND));
    }
    assert_eq!(scene.counters.cache.entries(), 4, "it is full");
    idle.push(std::mem::replace(&mut scene.seat, stranger(9)));
    scene.learn("a", scene.allow(SECOND));
    assert!(!scene.knows("a"), "what is of use stays");
    advance(SECOND).await;
    scene.learn("a", scene.allow(SECOND));
    assert!(scene.knows("a"));
    assert!(scene.counters.cache.entries() < 4, "some were looked at");
}

#[tokio::test(start_paused = true)]
async fn nobody_takes_all_by_many_sessions() {
    let mut scene = Scene::with(|options| options.max_bytes = 8 * ROOM);
    let mut of_one = Vec::new();
    for _ in 0..8 {
        of_one.push(std::mem::replace(&mut scene.seat, stranger(1)));
        scene.learn("a", scene.allow(SECOND));
    }
    assert_eq!(scene.counters.cache.entries(), 6, "three quarters");
    let last = std::mem::replace(&mut scene.seat, stranger(2));
    scene.learn("a", scene.allow(SECOND));
    assert!(scene.knows("a"), "there is room for another");
    drop((of_one, last));
    assert_eq!(scene.counters.cache.entries(), 1);
    assert_eq!(scene.counters.cache.bytes(), ROOM);
}

/// What one of these decisions takes.
const ROOM: usize = 320 + "a".len() + 2 + "rule".len();

#[tokio::test(start_paused = true)]
async fn identical_checks_wait_for_one_answer() {
    let mut scene = Scene::new();
    scene.learn("a", scene.allow(SECOND));
    advance(SECOND).await;
    let mut leader = scene.ask("a");
    let mut followers = [scene.ask("a"), scene.ask("a")];
    let mut other = scene.ask("b");
    assert_eq!(scene.open(), 2, "one for each topic");
    assert_pending!(leader.poll());
    assert_pending!(followers[0].poll());
    scene.answer(scene.allow(SECOND));
    assert!(!assert_ready!(leader.poll()).unwrap().facts.cached);
    assert!(followers[0].is_woken());
    for follower in &mut followers {
        assert!(assert_ready!(follower.poll()).unwrap().facts.cached);
    }
    assert_pending!(other.poll());
}

#[tokio::test(start_paused = true)]
async fn followers_are_asked_together_if_there_is_nothing_to_share() {
    let failure = || Err(Cause::Timeout.into());
    let outcomes: [&dyn Fn() -> Outcome; 3] = [&failure, &|| Ok(allowed()), &|| Ok(denied())];
    for outcome in outcomes {
        let mut scene = Scene::new();
        scene.learn("a", scene.allow(SECOND));
        advance(SECOND).await;
        let mut leader = scene.ask("a");
        let mut followers = [scene.ask("a"), scene.ask("a"), scene.ask("a")];
        assert_eq!(scene.open(), 1);
        scene.answer(outcome());
        let _ = assert_ready!(leader.poll());
        assert_eq!(scene.open(), 3);
        for follower in &mut followers {
            assert_pending!(follower.poll());
            scene.answer(Ok(allowed()));
            assert!(!assert_ready!(follower.poll()).unwrap().facts.cached);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_leaves_leaves_nobody_behind() {
    let mut scene = Scene::new();
    scene.learn("a", scene.allow(SECOND));
    advance(SECOND).await;
    let leader = scene.ask("a");
    let mut follower = scene.ask("a");
    let gone = scene.ask("a");
    drop(gone);
    drop(leader);
    assert_eq!(
        scene.open(),
        2,
        "the leader's, and one of those that followed"
    );
    scene.answer(Ok(denied()));
    scene.answer(scene.allow(SECOND));
    assert!(!assert_ready!(follower.poll()).unwrap().facts.cached);
    assert!(scene.knows("a"));
}

/// Only the first check of a session is looked at, so it would wait for one that nobody looks at.
#[tokio::test(start_paused = true)]
async fn who_is_asked_again_follows_nobody_behind() {
    let mut scene = Scene::new();
    let mut first = scene.ask("z");
    let mut head = scene.ask("a");
    let place = scene.asked;
    assert_pending!(first.poll());
    // From here on answers may be shared.
    scene.answer(scene.allow(SECOND * 60));
    assert_ready!(first.poll()).unwrap();
    let mut behind = scene.ask("a");
    scene.answer(Err(Cause::Timeout.into()));
    assert_ready!(head.poll()).unwrap_err();
    let mut again = scene.ask_again("a", place);
    assert_eq!(scene.open(), 2, "both are asked");
    let mut last = scene.ask("a");
    assert_eq!(scene.open(), 2, "who stands behind follows");
    scene.answer(scene.allow(SECOND * 60));
    scene.answer(Ok(denied()));
    assert_eq!(assert_ready!(again.poll()), Ok(denied()));
    assert!(!assert_ready!(behind.poll()).unwrap().facts.cached);
    assert!(assert_ready!(last.poll()).unwrap().facts.cached);
}

#[tokio::test(start_paused = true)]
async fn connects_and_wills_are_always_asked() {
    for hook in [HookKind::Connect, HookKind::Will] {
        let Scene { stack, .. } = Scene::new();
        assert!(Cache::new((), hook, stack.shared).shared.is_none());
    }
}

fn texts() -> impl Strategy<Value = String> {
    // Few, so that many are equal; with bytes that could pass for another field.
    prop::sample::select(vec!["", "a", "b", "a\u{1}", "\u{12}\u{1}a"]).prop_map(str::to_owned)
}

fn checks() -> impl Strategy<Value = v1::PublishCheck> {
    let properties = prop::collection::vec((texts(), texts()), 0..3);
    let flags = (0u32..3, any::<bool>(), any::<bool>(), 0i32..3, 0u32..3);
    (texts(), flags, texts(), texts(), properties).prop_map(
        |(topic, (qos, retain, dup, origin, payload_size), content, response, properties)| {
            v1::PublishCheck {
                topic,
                qos,
                retain,
                dup,
                origin,
                payload_size,
                content_type: content,
                response_topic: response,
                user_properties: properties
                    .into_iter()
                    .map(|(key, value)| v1::UserProperty { key, value })
                    .collect(),
                ..v1::PublishCheck::default()
            }
        },
    )
}

proptest! {
    /// Two checks have the same key if, and only if, the service is told the same about them.
    #[test]
    fn the_key_is_all_that_the_service_is_told(one in checks(), other in checks()) {
        let key = |body: &v1::PublishCheck, sequence| {
            let message = Message::<hook::Publish>::new(
                sequence,
                SystemTime::now(),
                &SessionBytes::default(),
                body,
            );
            Key::of(&Check { message, context: testing::context("", SECOND) })
        };
        prop_assert_eq!(key(&one, 1) == key(&other, 2), one == other);
        prop_assert_eq!(key(&one, 1), key(&one.clone(), 2));
    }

    #[test]
    fn a_filter_with_another_option_has_another_key(
        one in filters(), other in filters(), as_publish in checks(),
    ) {
        let key = |body: &v1::SubscribeCheck| {
            let message = testing::message::<hook::Subscribe>(body);
            Key::of(&Check { message, context: testing::context("", SECOND) })
        };
        prop_assert_eq!(key(&one) == key(&other), one == other);
        let message = testing::message::<hook::Publish>(&as_publish);
        let publish = Key::of(&Check { message, context: testing::context("", SECOND) });
        prop_assert_ne!(key(&one), publish);
    }
}

fn filters() -> impl Strategy<Value = v1::SubscribeCheck> {
    let flags = (0u32..3, any::<bool>(), any::<bool>(), 0u32..3);
    (texts(), texts(), flags).prop_map(
        |(topic_filter, share_name, (qos, no_local, retain_as_published, retain_handling))| {
            v1::SubscribeCheck {
                topic_filter,
                share_name,
                qos,
                no_local,
                retain_as_published,
                retain_handling,
                ..v1::SubscribeCheck::default()
            }
        },
    )
}
