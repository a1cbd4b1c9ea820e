//! Two replicas of the reference service on one PostgreSQL, each behind two data planes: what changes at one place
//! counts at all of them. The times are printed, and decide nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "reference_replicas/grants.rs"]
mod grants;
#[path = "reference_replicas/scene.rs"]
mod scene;
#[path = "reference_replicas/session_state.rs"]
mod session_state;
#[path = "reference_replicas/shutdown.rs"]
mod shutdown;
#[path = "reference_replicas/users.rs"]
mod users;
