//! The invariants of the gatekeeper hold after every step, whatever the client, the service, the
//! broker and the clock do.
//!
//! A [`case`] is drawn by `strategy`, run by `world` on a virtual clock, and watched by `shadow`.
//! `PROPTEST_CASES` raises the number of cases.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod broker;
mod case;
mod client;
mod fault;
#[path = "../support/packet.rs"]
mod packet;
mod service;
mod shadow;
mod strategy;
mod world;
#[path = "../support/write.rs"]
mod write;

use std::time::Instant;

use proptest::prelude::*;

/// The clock of all cases begins here, and only goes on as they say.
#[expect(
    clippy::disallowed_methods,
    reason = "an Instant comes from nowhere else"
)]
fn start() -> Instant {
    Instant::now()
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(4096),
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_goes_where_it_may_not(case in strategy::cases()) {
        let outcome = world::run(&case, start());
        prop_assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    }
}
