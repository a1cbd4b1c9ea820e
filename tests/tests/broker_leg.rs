//! The way from the gate to the broker: every kind of it, right and wrong. Mosquitto and HAProxy
//! are the receivers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "broker_leg/matrix.rs"]
mod matrix;
#[path = "broker_leg/proxy_header.rs"]
mod proxy_header;
#[path = "broker_leg/refusals.rs"]
mod refusals;
#[path = "broker_leg/replicas.rs"]
mod replicas;
