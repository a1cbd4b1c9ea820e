//! Sessions by number: the cases of `tests/invariants`, drawn from a seed instead of from chance, so
//! that many of them can be run, counted, and any of them again.
//!
//! ```text
//! cargo test -p gatekeeper --test sweep -- --nocapture                               a short one
//! GATEKEEPER_SWEEP_SEEDS=0..200000 cargo test --release -p gatekeeper --test sweep …  a long one
//! GATEKEEPER_SWEEP_SEEDS=17 cargo test -p gatekeeper --test sweep -- --nocapture      one, shown
//! ```
//!
//! A step is one input to the gatekeeper: a packet, a verdict, an end, a timer. After each of them
//! the shadow model looks at what came out. A seed means the same session as long as the strategies
//! and the version of `proptest` stay the same.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod broker;
mod case;
mod client;
mod fault;
#[path = "../support/packet.rs"]
mod packet;
mod seeds;
mod service;
mod shadow;
mod strategy;
mod world;
#[path = "../support/write.rs"]
mod write;

use std::{
    panic::{self, AssertUnwindSafe},
    time::Instant,
};

use self::{
    case::Case,
    fault::Fault,
    seeds::{Sessions, seeds},
    world::Summary,
};

/// The clock of all sessions begins here, and only goes on as they say.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant comes from nowhere else"
)]
fn start() -> Instant {
    Instant::now()
}

/// Runs a session; a panic is a fault too.
fn run(case: &Case, start: Instant) -> Result<Summary, Fault> {
    panic::catch_unwind(AssertUnwindSafe(|| world::run(case, start)))
        .unwrap_or_else(|_| Err("a panic".to_owned()))
}

#[test]
fn no_session_breaks_an_invariant() {
    let (sessions, start, seeds) = (Sessions::new(), start(), seeds());
    let (mut steps, mut longest, mut admitted, mut connected) = (0, 0, 0, 0_u64);
    for seed in seeds.clone() {
        let case = sessions.draw(seed);
        if seeds.end - seeds.start == 1 {
            println!("{case:#?}");
        }
        let summary = run(&case, start).unwrap_or_else(|fault| {
            panic!(
                "seed {seed}: {fault}\nagain, and shown: GATEKEEPER_SWEEP_SEEDS={seed} \
                 cargo test -p gatekeeper --test sweep -- --nocapture"
            )
        });
        steps += summary.steps;
        longest = longest.max(summary.steps);
        admitted += summary.admitted;
        connected += u64::from(summary.connected);
    }
    let count = seeds.end - seeds.start;
    println!(
        "seeds {}..{}: {count} sessions, {connected} of them accepted by the broker; {steps} steps, \
         {longest} in the longest session; {admitted} packets to the broker; no fault",
        seeds.start, seeds.end
    );
    assert!(
        count < 100 || connected > count / 2,
        "most sessions end before they begin"
    );
}
