//! Limits, of the broker and of the gate's own: what the client is told, and what becomes of those
//! who do not listen.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "limits/broker.rs"]
mod broker;
#[path = "limits/descriptors.rs"]
mod descriptors;
#[path = "limits/mosquitto.rs"]
mod mosquitto;
#[path = "limits/own.rs"]
mod own;
#[path = "limits/rate.rs"]
mod rate;
#[path = "limits/receive_maximum.rs"]
mod receive_maximum;
#[path = "limits/times.rs"]
mod times;
#[path = "limits/told.rs"]
mod told;

use tidegate_tests::{Packet, Topology};

/// The packets behind the CONNECT of the newest connection that the recorder has, once it is closed.
#[track_caller]
fn seen_behind_connect(topology: &Topology) -> Vec<Packet> {
    let index = topology.recorder().connections() - 1;
    topology.recorder().wait_closed(index);
    topology.recorder().connection(index).split_off(1)
}
