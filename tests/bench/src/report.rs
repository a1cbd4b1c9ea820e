//! What is printed, and written as JSON.

mod table;

use std::{fs, path::Path};

use anyhow::Context as _;
use serde::Serialize;

use crate::{measure::Figures, rig::Machine};

/// Cores that others keep busy, above which the figures are worth less.
const NOISE: f64 = 0.3;

/// Everything that was found out, printed as it is.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    rows: Vec<Row>,
    figures: Vec<Single>,
    targets: Vec<Target>,
    skipped: Vec<String>,
    /// Most cores that others kept busy in a row of the table that was begun last.
    #[serde(skip)]
    noise: f64,
}

/// A load over a way.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub(crate) scenario: String,
    pub(crate) way: String,
    pub(crate) clients: usize,
    pub(crate) payload: usize,
    pub(crate) service_ms: u64,
    pub(crate) figures: Figures,
}

/// A figure that is no row.
#[derive(Debug, Serialize)]
struct Single {
    scenario: String,
    what: String,
    value: f64,
    unit: &'static str,
}

/// A figure beside what it shall be.
#[derive(Debug, Serialize)]
struct Target {
    what: String,
    value: f64,
    bound: f64,
    unit: &'static str,
    met: bool,
    /// Others kept the machine busy meanwhile: latencies say more about them.
    noisy: bool,
}

/// Which side of its bound a figure shall be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shall {
    BeAtMost,
    BeAtLeast,
}

impl Report {
    pub(crate) fn begin() -> Self {
        let machine = Machine::here();
        println!(
            "{}, {} cores, Linux {}, load average {:.1}",
            machine.cpu, machine.cores, machine.kernel, machine.load_average
        );
        Self {
            machine,
            rows: Vec::new(),
            figures: Vec::new(),
            targets: Vec::new(),
            skipped: Vec::new(),
            noise: 0.0,
        }
    }

    /// Begins a table.
    pub(crate) fn title(&mut self, scenario: &str, text: &str) {
        println!("\n{scenario}: {text}");
        println!("{}", table::HEAD);
        self.noise = 0.0;
    }

    /// Begins a list of single figures.
    pub(crate) fn heading(&mut self, scenario: &str, text: &str) {
        println!("\n{scenario}: {text}");
        self.noise = 0.0;
    }

    pub(crate) fn row(&mut self, row: Row) {
        println!("{}", table::line(&row));
        let figures = &row.figures;
        if figures.strangers > NOISE {
            println!(
                "    others kept {:.1} cores busy meanwhile",
                figures.strangers
            );
        }
        if figures.broken > 0 {
            println!(
                "    {} connections ended that should not have",
                figures.broken
            );
        }
        if figures.skipped > 0 {
            println!(
                "    the load was late, or its sockets full: it left out {}",
                figures.skipped
            );
        }
        self.noise = self.noise.max(figures.strangers);
        self.rows.push(row);
    }

    /// Cores that others kept busy during a measurement that is no row.
    pub(crate) fn strangers(&mut self, cores: f64) {
        if cores > NOISE {
            println!("    others kept {cores:.1} cores busy meanwhile");
        }
        self.noise = self.noise.max(cores);
    }

    /// A figure that is no row.
    pub(crate) fn figure(&mut self, scenario: &str, what: &str, value: f64, unit: &'static str) {
        println!("  {what}: {value:.1} {unit}");
        self.figures.push(Single {
            scenario: scenario.to_owned(),
            what: what.to_owned(),
            value,
            unit,
        });
    }

    /// A figure that shall be on one side of a bound.
    pub(crate) fn target(
        &mut self,
        what: &str,
        value: f64,
        shall: Shall,
        bound: f64,
        unit: &'static str,
    ) {
        let (met, sign) = match shall {
            Shall::BeAtMost => (value <= bound, "≤"),
            Shall::BeAtLeast => (value >= bound, "≥"),
        };
        let verdict = if met { "pass" } else { "MISS" };
        let noisy = self.noise > NOISE;
        let but = if noisy { ", but others were busy" } else { "" };
        println!("  {verdict}  {what}: {value:.2} {unit} (shall be {sign} {bound:.2}){but}");
        self.targets.push(Target {
            what: what.to_owned(),
            value,
            bound,
            unit,
            met,
            noisy,
        });
    }

    /// Something that was not measured, and why.
    pub(crate) fn skip(&mut self, what: &str) {
        println!("  SKIPPED  {what}");
        self.skipped.push(what.to_owned());
    }

    /// Says once more what was missed, and writes the file.
    pub(crate) fn end(&self, json: Option<&Path>) -> anyhow::Result<()> {
        let missed: Vec<&Target> = self.targets.iter().filter(|target| !target.met).collect();
        println!(
            "\n{} of {} targets met",
            self.targets.len() - missed.len(),
            self.targets.len()
        );
        for target in missed {
            println!(
                "  MISS  {}: {:.2} {}, bound {:.2}",
                target.what, target.value, target.unit, target.bound
            );
        }
        for what in &self.skipped {
            println!("  SKIPPED  {what}");
        }
        if let Some(path) = json {
            fs::write(path, serde_json::to_string_pretty(self)?)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }
}
