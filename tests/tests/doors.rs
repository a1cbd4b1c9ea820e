//! Every door by which clients come in: TCP, TLS, TLS with client certificates, WebSocket, WebSocket over TLS.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "doors/certificates.rs"]
mod certificates;
#[path = "doors/facts.rs"]
mod facts;
#[path = "doors/limits.rs"]
mod limits;
#[path = "doors/matrix.rs"]
mod matrix;
#[path = "doors/memory.rs"]
mod memory;
#[path = "doors/proxy_protocol.rs"]
mod proxy_protocol;
#[path = "doors/websocket.rs"]
mod websocket;

use tidegate_tests::topology::Plan;

/// Time for those who come by the thousand, on a machine that has other things to do.
fn patient(plan: Plan) -> Plan {
    plan.set("limits.handshake_deadline", "60s")
        .set("authz.connect.deadline", "60s")
        .set("broker.connect_timeout", "60s")
}
