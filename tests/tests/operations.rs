//! Running a gate: probes, the administrator's listener, the drain, new configurations, the command line, and the
//! manager that started it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "operations/admin.rs"]
mod admin;
#[path = "operations/broken.rs"]
mod broken;
#[path = "operations/command_line.rs"]
mod command_line;
#[path = "operations/drain.rs"]
mod drain;
#[path = "operations/probes.rs"]
mod probes;
#[path = "operations/reload.rs"]
mod reload;
#[path = "operations/systemd.rs"]
mod systemd;
