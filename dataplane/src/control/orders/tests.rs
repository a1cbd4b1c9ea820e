use std::time::Duration;

use gatekeeper::ReasonCode;
use tidegate_proto::v1::EventKind;
use tokio::task::yield_now;

use super::*;
use crate::{
    authz::{Epochs, Seat, Who},
    events::Events,
    metrics::ControlMetrics,
    session::testing::{Session, enter},
};

struct Rig {
    orders: Orders,
    registry: Arc<Registry>,
    events: Events,
}

impl Rig {
    fn new() -> Self {
        let epochs = Arc::new(Epochs::watched(Duration::from_secs(75)));
        let registry = Arc::new(Registry::new(epochs));
        let events = Events::keeping(&[EventKind::DirectiveApplied]);
        let orders = Orders::new(ControlParts {
            registry: Arc::clone(&registry),
            terminations: Arc::new(Budget::new(1)),
            events: events.clone(),
            metrics: ControlMetrics::default(),
        });
        Self {
            orders,
            registry,
            events,
        }
    }

    fn enter(&self, client_id: &str) -> Session {
        let who = Who {
            session_id: format!("session of {client_id}"),
            client_id: client_id.to_owned(),
            ..Who::default()
        };
        enter(
            &self.registry,
            Arc::new(Seat::new([127, 0, 0, 1].into())),
            Arc::new(who),
        )
    }

    fn order(&self, directive: Directive, token: &str) {
        self.orders.carry_out(directive, token);
    }

    /// Tokens of the directives that are told to be carried out, since the last look.
    fn applied(&self) -> Vec<String> {
        self.events.take_tokens()
    }
}

fn terminate(client_id: &str) -> Directive {
    let farewell = Farewell {
        code: ReasonCode::NOT_AUTHORIZED,
        reason_string: None,
        at_once: false,
    };
    Directive::Terminate(Selector::Client(client_id.to_owned()), farewell)
}

#[tokio::test(start_paused = true)]
async fn a_directive_is_carried_out_when_its_sessions_have_done_it_and_those_before_it_are() {
    let rig = Rig::new();
    let (mut alice, mut bob) = (rig.enter("alice"), rig.enter("bob"));
    rig.order(Directive::Recheck(Selector::Client("alice".into())), "1");
    rig.order(terminate("bob"), "2");
    rig.order(Directive::Heartbeat, "3");
    rig.order(Directive::Invalidate(Selector::All), "4");
    assert!(rig.applied().is_empty());
    let (recheck, of_alice) = alice.orders();
    assert!(recheck && of_alice.is_some());
    let (recheck, of_bob) = bob.orders();
    assert!(!recheck && of_bob.is_some());
    drop((of_bob, bob));
    assert!(rig.applied().is_empty(), "the first is not carried out");
    drop(of_alice);
    // Nothing was to be done for a heartbeat.
    assert_eq!(rig.applied(), ["1", "2", "4"]);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_gone_has_done_what_it_was_told() {
    let rig = Rig::new();
    let alice = rig.enter("alice");
    rig.order(Directive::Recheck(Selector::All), "1");
    assert!(rig.applied().is_empty());
    drop(alice);
    assert_eq!(rig.applied(), ["1"]);
    rig.order(Directive::Recheck(Selector::All), "2");
    assert_eq!(rig.applied(), ["2"], "nobody is there");
}

#[tokio::test(start_paused = true)]
async fn orders_that_become_one_count_as_the_oldest() {
    let rig = Rig::new();
    let mut alice = rig.enter("alice");
    for token in ["1", "2", "3"] {
        rig.order(Directive::Recheck(Selector::All), token);
    }
    let (_, carrying) = alice.orders();
    assert!(rig.applied().is_empty());
    drop(carrying);
    assert_eq!(rig.applied(), ["1", "2", "3"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_known_concerns_everybody() {
    let rig = Rig::new();
    let mut alice = rig.enter("alice");
    let asked = rig.registry.epochs().current();
    rig.order(Directive::Unknown, "1");
    assert!(alice.seat().stamp().outdates(asked));
    assert!(alice.orders().0);
}

#[tokio::test(start_paused = true)]
async fn doubt_concerns_whoever_is_there() {
    let rig = Rig::new();
    rig.orders.doubt_everything();
    let mut alice = rig.enter("alice");
    let asked = rig.registry.epochs().current();
    rig.orders.doubt_everything();
    assert!(alice.seat().stamp().outdates(asked));
    assert!(alice.orders().0);
}

#[tokio::test(start_paused = true)]
async fn everybody_comes_back_one_after_the_other() {
    let mut rig = Rig::new();
    let mut sessions = ["a", "b", "c"].map(|name| rig.enter(name));
    rig.orders.reconnect_everybody();
    let mut ended = 0;
    for _ in 0..3 {
        for _ in 0..10 {
            yield_now().await;
        }
        let told = sessions.iter_mut().filter_map(Session::farewell).count();
        assert!(told <= 1, "one per second");
        ended += told;
        tokio::time::advance(Duration::from_secs(2)).await;
    }
    assert_eq!(ended, 3);
}
