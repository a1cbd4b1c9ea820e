//! From a number to a session.

use std::ops::Range;

use gatekeeper::Version;
use proptest::{
    prelude::RngExt,
    strategy::{BoxedStrategy, Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};

use crate::{
    case::{Admission, Answer, BrokerId, Case, Dial, Greeting, How, Op, Says, Step},
    strategy,
};

/// What `cargo test` runs.
const DEFAULT: Range<u64> = 0..600;

/// Every session with a seed that this divides is a long one.
const LONG_EVERY: u64 = 8;

/// Steps of a case that a long session has.
const LONG: usize = 1500;

/// Cases that a long session has its steps of. To draw takes longer than to run.
const POOL: usize = 8;

/// The seeds to run: `GATEKEEPER_SWEEP_SEEDS`, which is `a..b` or one number.
pub(crate) fn seeds() -> Range<u64> {
    let Ok(asked) = std::env::var("GATEKEEPER_SWEEP_SEEDS") else {
        return DEFAULT;
    };
    let number = |text: &str| text.trim().parse::<u64>().expect("a number");
    match asked.split_once("..") {
        Some((from, to)) => number(from)..number(to),
        None => number(&asked)..number(&asked) + 1,
    }
}

/// The strategies; to build them takes longer than to use them.
pub(crate) struct Sessions {
    any: BoxedStrategy<Case>,
    calm: BoxedStrategy<Case>,
}

impl Sessions {
    pub(crate) fn new() -> Self {
        Self {
            any: strategy::cases().boxed(),
            calm: strategy::calm_cases().boxed(),
        }
    }

    /// The session of this seed.
    pub(crate) fn draw(&self, seed: u64) -> Case {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let config = Config {
            failure_persistence: None,
            ..Config::default()
        };
        let mut runner = TestRunner::new_with_rng(config, rng);
        let mut draw = |from: &BoxedStrategy<Case>| {
            from.new_tree(&mut runner)
                .expect("nothing is rejected")
                .current()
        };
        if !seed.is_multiple_of(LONG_EVERY) {
            return draw(&self.any);
        }
        let mut case = draw(&self.calm);
        lasting(&mut case);
        let mut pool: Vec<Step> = (0..POOL).flat_map(|_| draw(&self.calm).steps).collect();
        if case.version.is_v3() {
            pool.retain(|step| !matches!(step.op, Op::Stray { .. }));
        }
        if !pool.is_empty() {
            let pick = || pool[runner.rng().random_range(0..pool.len())].clone();
            case.steps.extend(std::iter::repeat_with(pick).take(LONG));
        }
        case
    }
}

/// Nothing keeps the session from beginning, and no end is set to it.
fn lasting(case: &mut Case) {
    let allow = Answer {
        delay: 0,
        says: Says::Allow,
        twice: false,
    };
    case.admission = Admission {
        connect: allow.clone(),
        will: allow,
        broker_id: BrokerId::Own,
        expires_after: None,
    };
    case.dial = Dial {
        delay: 0,
        works: true,
    };
    case.greeting = Greeting::Accept {
        delay: 0,
        maximum_packet_size: None,
        topic_alias_maximum: None,
        server_keep_alive: None,
        receive_maximum: None,
        keeps_session: case.version != Version::V31,
        withholds: None,
    };
    // A client that is silent, a packet that is too large and a PINGREQ that nobody answers end it.
    case.hello.keep_alive = 60;
    case.rules.limits.max_packet_size = 1 << 20;
    for reply in &mut case.replies {
        if matches!(reply.how, How::Never) {
            reply.how = How::Refusing;
        }
    }
    // 3.x ends with the first message that nobody decides about.
    if case.version.is_v3() {
        for answer in &mut case.answers {
            answer.delay %= 40;
            if !matches!(answer.says, Says::Allow | Says::Deny { .. }) {
                answer.says = Says::Allow;
            }
        }
    }
}
