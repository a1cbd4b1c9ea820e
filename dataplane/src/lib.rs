//! Tidegate, the `ext_authz` data plane for MQTT.
//!
//! ```text
//! client ─► listener ─► (transport) ─► framing ─► session ───────────► framing ─► upstream ─► broker
//!           accept,                    bytes to   drives the                      one per
//!           permits                    packets    gatekeeper (pure)               client
//!                                                   │ Ask     ▲ Verdict
//!                                                   ▼         │
//!                                        authz: fail closed ► observe ► deadline ► batch ► call ─► service
//! ```
//!
//! The rooms, in walking order:
//!
//! * [`cli`](cli()) reads the command line, [`config`] the configuration, [`app`] builds from it.
//! * `listener` accepts, within the bounds of `admission`, and tunes each `socket`.
//! * `transport` takes PROXY protocol, TLS and WebSocket off it.
//! * `framing` turns bytes into packets and packets into bytes.
//! * [`session`] is one task per client around a [`gatekeeper::Gatekeeper`], which decides about
//!   every byte and does no IO.
//! * [`authz`] brings its questions to the authorization service, and an answer back in any case.
//! * `control` carries out what the service wants of sessions, and [`events`] tells it what happened.
//! * [`upstream`] dials the broker, once the CONNECT is allowed.
//! * `probes` and `admin` are two HTTP listeners (`web`) for those who run it; `reload` takes a new
//!   configuration, `drain` is the end, [`systemd`] hears of both.
//!
//! `ARCHITECTURE.md` beside the sources is the map: a packet's way, what fails closed where, and how
//! to change what.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod admin;
mod admission;
pub mod app;
pub mod authz;
mod cli;
pub mod config;
mod control;
mod descriptors;
mod drain;
pub mod events;
mod framing;
mod in_force;
mod listener;
mod live;
mod log_limit;
pub mod metrics;
pub mod mount;
mod probes;
pub mod reload;
pub mod session;
mod socket;
pub mod systemd;
mod tls;
mod transport;
pub mod upstream;
mod web;

pub use self::cli::cli;
