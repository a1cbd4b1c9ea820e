//! Stories about one session, one line a step: what somebody does, and what comes of it.
//!
//! A [`Scene`](scene::Scene) is strict: whatever the gate does has to be told, in its order, and
//! nothing may be left over when the next thing happens.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod alias;
mod change_publish;
mod change_subscribe;
mod connack;
mod connect;
mod delivery;
mod ending;
mod explanation;
mod keep_alive;
mod mount;
mod order;
#[path = "../support/packet.rs"]
mod packet;
mod publish;
mod qos2;
mod scene;
mod subscribe;
mod verdict;
mod violation;
#[path = "../support/write.rs"]
mod write;
