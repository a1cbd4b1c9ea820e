//! One command that shows Tidegate at work: a broker, the authorization service with two users, and
//! the gate, with its decisions as they fall.
//!
//! ```text
//! quickstart ─┬─ broker           embedded, or Mosquitto, or one that runs already
//!             ├─ tidegate-authz   the same code as the program of that name
//!             └─ tidegate         likewise
//! ```
//!
//! The rooms, in walking order:
//!
//! * [`options`] is the command line. [`quickstart`] starts all, waits and ends all.
//! * [`files`] is the configuration that the programs are given.
//! * [`child`] starts this same executable again, once for each program, as one of its [`role`]s.
//!   Each is on a [`leash`], so that none outlives the parent.
//! * [`line`](mod@line) reads what the programs log, and [`decision`] how they decided. A [`report`]
//!   is what the quick start's own children say. [`screen`] shows it, [`welcome`] says what to try.
//! * [`broker`] is the embedded one, [`mosquitto`] runs a real one.
//! * [`demo`] is a client that tries it, for those who have none.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod broker;
mod child;
mod decision;
mod demo;
mod files;
mod leash;
mod line;
mod mosquitto;
mod options;
mod quickstart;
mod report;
mod role;
mod screen;
mod welcome;

use clap::Parser;
use options::Options;
use role::Role;
use std::{env, process::ExitCode};

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    if let Some(role) = arguments.next().as_deref().and_then(Role::from_verb) {
        return role.play(arguments);
    }

    let options = Options::parse();
    match quickstart::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("quickstart: {error:#}");
            ExitCode::FAILURE
        }
    }
}
