//! The processes that the benchmark starts of itself: sink, service and loads. Each says one line when it
//! is ready, answers each line of its standard input with one, and ends with it.

mod control;
mod handshakes;
mod load;
mod service;
mod sink;

use std::process::ExitCode;

pub(crate) use self::{
    handshakes::{Report as HandshakesReport, Spec as HandshakesSpec},
    load::{Mode, Ready as LoadReady, Report as LoadReport, Spec as LoadSpec},
    service::{Report as ServiceReport, Spec as ServiceSpec},
    sink::Report as SinkReport,
};

/// Clients whose identifier begins like this are told apart from the others, by the sink in its counts and
/// by the service in what it does.
pub(crate) const SLOW: &str = "slow";
/// See [`SLOW`].
pub(crate) const POISON: &str = "poison";

/// The verbs by which the benchmark starts itself again.
pub(crate) const SINK: &str = "__sink";
pub(crate) const SERVICE: &str = "__service";
pub(crate) const LOAD: &str = "__load";
pub(crate) const HANDSHAKES: &str = "__handshakes";

/// Runs one of them, if the first argument is its verb.
pub(crate) fn run(verb: &str, spec: &str) -> Option<ExitCode> {
    let ran = match verb {
        SINK => sink::run(),
        SERVICE => control::spec(spec).and_then(service::run),
        HANDSHAKES => control::spec(spec).and_then(handshakes::run),
        LOAD => control::spec(spec).and_then(load::run),
        _ => return None,
    };
    Some(match ran {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{verb}: {error:#}");
            ExitCode::FAILURE
        }
    })
}

/// A number for each of two kinds of clients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Split {
    /// All clients but the special ones.
    pub(crate) others: u64,
    /// Those whose names begin with [`SLOW`] or [`POISON`].
    pub(crate) special: u64,
}

impl Split {
    pub(crate) fn total(self) -> u64 {
        self.others + self.special
    }
}

/// Whether this is the identifier of a special client.
pub(crate) fn is_special(client_id: &[u8]) -> bool {
    client_id.starts_with(SLOW.as_bytes()) || client_id.starts_with(POISON.as_bytes())
}
