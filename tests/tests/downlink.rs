//! What the broker sends, on its way to the client: codes that may not stand there, and deliveries
//! that the client has not promised to take.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "downlink/codes.rs"]
mod codes;
#[path = "downlink/receive_maximum.rs"]
mod receive_maximum;
#[path = "downlink/size.rs"]
mod size;
