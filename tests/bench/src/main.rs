//! The benchmark of Tidegate. One command starts everything that is needed, each in a process of its own:
//!
//! ```text
//! cargo run --release -p tidegate-bench -- [--quick] [--full] [--json FILE] [scenario…]
//!
//!   load ──► (nothing | HAProxy in TCP mode | Tidegate ◄─► service) ──► sink
//! ```
//!
//! README.md says how to read what it prints.

mod actor;
mod clock;
mod histogram;
mod measure;
mod options;
mod packets;
mod report;
mod rig;
mod scenario;

use std::{env, process::ExitCode};

use clap::Parser as _;

use self::{
    options::Options,
    report::Report,
    rig::{Binaries, launch},
};

fn main() -> ExitCode {
    if env::args_os()
        .nth(1)
        .is_some_and(|verb| verb == launch::VERB)
    {
        return match launch::become_program(env::args_os().skip(2)) {
            Ok(never) => match never {},
            Err(error) => failed(&error),
        };
    }
    let arguments: Vec<String> = env::args().collect();
    if let [_, verb, spec] = &*arguments
        && let Some(ended) = actor::run(verb, spec)
    {
        return ended;
    }
    match bench(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("tidegate-bench: {error:#}");
    ExitCode::FAILURE
}

fn bench(options: &Options) -> anyhow::Result<()> {
    if let Some(nice) = options.autogroup_nice {
        launch::be_nice(nice);
    }
    let binaries = Binaries::find(options.binaries.as_deref(), options.build)?;
    let mut report = Report::begin();
    if binaries.haproxy.is_none() {
        report.skip(
            "haproxy: not installed; no figure is set beside it (Debian: apt-get install haproxy)",
        );
    }
    let ran = scenario::run(options, &binaries, &mut report);
    // Also after an error: what was measured before was measured.
    report.end(options.json.as_deref())?;
    ran
}
