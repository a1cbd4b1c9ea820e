//! The command line.

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use crate::{
    measure::Timing,
    packets::{V5, V311},
    scenario::Scenario,
};

/// Measures Tidegate beside HAProxy: throughput, CPU per publish, latency, memory, isolation.
#[derive(Debug, Parser)]
#[command(name = "tidegate-bench", version)]
pub(crate) struct Options {
    /// What to measure; without any, all that the targets name.
    #[arg(value_enum)]
    pub(crate) scenarios: Vec<Scenario>,
    /// One short round each. The figures are good for nothing but to see that it works.
    #[arg(long)]
    pub(crate) quick: bool,
    /// The whole matrix as well: QoS 0 and 1; 1, 100, 1,000 clients; 64 B, 16 KiB; services of 0, 1, 20 ms.
    #[arg(long)]
    pub(crate) full: bool,
    /// Writes all figures into a file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Builds tidegate and tidegate-authz first, even if they are there.
    #[arg(long)]
    pub(crate) build: bool,
    /// The folder of tidegate and tidegate-authz, instead of that of this program.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) binaries: Option<PathBuf>,
    /// A setting of tidegate, such as `authz.publish.max_batch=128`. May be given more than once.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Publishes per second over all clients, where they are paced.
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    pub(crate) rate: u32,
    /// Rounds over the paths of a row; each figure is the median. By default 3.
    #[arg(long, value_name = "N")]
    rounds: Option<usize>,
    /// Seconds of each measurement. By default 3.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    /// Nice value of every process of the run, as a session ("autogroup"): on a machine where others are busy,
    /// a negative one keeps latencies meaningful. Below 0 only root may.
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub(crate) autogroup_nice: Option<i32>,
    /// The clients speak MQTT 5 instead of 3.1.1.
    #[arg(long)]
    v5: bool,
}

impl Options {
    /// How long to measure, and how often.
    pub(crate) fn timing(&self) -> Timing {
        let (warm_up, window, rounds) = if self.quick {
            (0.5, 1.0, 1)
        } else {
            (1.0, 3.0, 3)
        };
        Timing {
            warm_up: Duration::from_secs_f64(warm_up),
            window: Duration::from_secs_f64(self.seconds.unwrap_or(window).clamp(0.1, 600.0)),
            rounds: self.rounds.unwrap_or(rounds).max(1),
        }
    }

    /// The protocol level of the clients.
    pub(crate) fn level(&self) -> u8 {
        if self.v5 { V5 } else { V311 }
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}
