//! A reference authorization service for Tidegate: user lookup, and topics that belong to users.
//!
//! It is meant to be run, and to be read by those who write their own. The way of a check:
//!
//! 1. [`service`] takes a batch apart. A check ends as *allow*, *deny* or *failure*: "no" and
//!    "I cannot tell" are different types from here to the log.
//! 2. CONNECT: [`login`] asks the user sources one after the other; [`identity`] says which user names may
//!    exist at all; [`users`] finds the user, or a stand-in that costs the same; [`hashing`] verifies the password, or says at once that it is
//!    too busy; [`session_state`] seals what was found out into a few bytes.
//! 3. PUBLISH, wills and SUBSCRIBE: the sealed bytes come back with the check, so there is nothing
//!    to look up, but for users that have changed since ([`recent`]). [`policy`] decides, by whole topic levels and by
//!    containment of filters ([`topics`]): own prefix, grants of the user and of their roles ([`access`]).
//!
//! What changes while sessions are open ([`users::changes`], a reload) is told to the data planes by [`control`].
//!
//! Around it: [`config`] is one TOML file, [`app`] builds the service and serves it, [`cli`] is
//! the program.
//!
//! ```text
//! printf 'secret\n' | tidegate-authz user add alice --config authz.toml
//! tidegate-authz run --config authz.toml
//! ```

pub mod access;
pub mod app;
mod cache;
mod cli;
pub mod config;
pub mod control;
pub mod deadline;
mod front;
pub mod hashing;
mod health;
pub mod identity;
pub mod login;
mod metrics;
pub mod password;
pub mod policy;
mod probes;
pub mod recent;
mod server;
pub mod service;
pub mod session_state;
mod telemetry;
pub mod topics;
pub mod users;

pub use cli::cli;
