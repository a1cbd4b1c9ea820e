//! Stories about one session, one line a step: what somebody does, and what comes of it.
//!
//! A [`Scene`](scene::Scene) is strict: whatever the gate does has to be told, in its order, and
//! nothing may be left over when the next thing happens.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod alias;
mod allow;
mod change_publish;
mod change_subscribe;
mod codes;
mod connack;
mod connect;
mod delivery;
mod delivery_size;
mod delivery_window;
mod ending;
mod expiry;
mod explanation;
mod identifier;
mod keep_alive;
mod limits;
mod mount;
mod offer;
mod order;
#[path = "../support/packet.rs"]
mod packet;
mod permit;
mod publish;
mod purge;
mod qos2;
mod quota;
mod recheck;
mod redelivery;
mod revocation;
mod scene;
mod statements;
mod statements_flow;
mod subscribe;
mod unasked;
mod unsubscribe;
mod v31;
mod verdict;
mod violation;
mod will;
#[path = "../support/write.rs"]
mod write;
