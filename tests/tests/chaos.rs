//! Every failure that the network and the service know, for every hook, QoS and version: what the client
//! gets, which counter tells of it, and that the broker sees nothing that was not allowed.
//!
//! `cargo test -p tidegate-tests --test chaos -- --nocapture` prints a table fault × packet, and how long
//! it took until all was well again. A directive that races an allow is in another suite.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "chaos/cells.rs"]
mod cells;
#[path = "chaos/faults.rs"]
mod faults;
#[path = "chaos/flood.rs"]
mod flood;
#[path = "chaos/outages.rs"]
mod outages;
#[path = "chaos/outcomes.rs"]
mod outcomes;
#[path = "chaos/replicas.rs"]
mod replicas;
#[path = "chaos/restarts.rs"]
mod restarts;
#[path = "chaos/table.rs"]
mod table;
