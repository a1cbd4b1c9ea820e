//! wip
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]
pub mod deadline;
pub mod hashing;
pub mod identity;
pub mod password;
pub mod policy;
pub mod session_state;
pub mod topics;
pub mod users;
