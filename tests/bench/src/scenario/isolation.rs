//! One bad client beside 99 good ones.

use std::time::Duration;

use super::throughput::Plan;
use crate::{
    actor::{LoadSpec, Mode, POISON, SLOW},
    measure::{Figures, Timing, Way, measure},
    options::Options,
    report::{Report, Row, Shall},
    rig::{Binaries, Sink},
};

/// Publishes per second of all clients together: the machine is far from busy, and what is measured is not how
/// they share it.
const RATE: u32 = 5_000;
/// What the others' p99 may become with the slow client beside them.
const BOUND: f64 = 2.0;
/// Warm-ups in which a slow client shall have been recognised.
const RECOGNITION: u32 = 3;
/// What counts as the beginning: the bad client has its first 50 checks in it.
const FIRST: Duration = Duration::from_secs(1);

fn plan(name: &'static str) -> Plan {
    Plan {
        name,
        mode: Mode::Paced(RATE),
        clients: super::CLIENTS,
        payload: super::PAYLOAD,
        service_ms: 0,
    }
}

/// A client whose decisions take 20 ms.
pub(super) fn slow(
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let [without, _, with] = beside(plan("isolation"), SLOW, options, binaries, report)?;
    if let (Some(without), Some(with)) = (without.p99_us, with.p99_us) {
        report.target(
            "isolation: p99 of the others beside a slow client",
            with / without,
            Shall::BeAtMost,
            BOUND,
            "×",
        );
    }
    Ok(())
}

/// A client whose checks make the service fail the whole batch.
pub(super) fn poison(
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let [_, first, with] = beside(plan("poison"), POISON, options, binaries, report)?;
    let lost = (first.lost_others + with.lost_others) as f64;
    report.target(
        "poison: publishes of the others lost",
        lost,
        Shall::BeAtMost,
        0.0,
        "",
    );
    Ok(())
}

/// The others' figures without a special client among them, with one in its first second, and later.
fn beside(
    plan: Plan,
    special: &str,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<[Figures; 3]> {
    let sink = &mut Sink::start()?;
    let mut way = Way::gate(binaries, sink, plan.service(), &options.settings)?;
    let timing = options.timing();
    let timing = Timing {
        warm_up: timing.warm_up * RECOGNITION,
        ..timing
    };
    let good = plan.load(options);
    let bad = LoadSpec {
        special: Some(special.to_owned()),
        ..good.clone()
    };
    let at_first = Timing {
        warm_up: Duration::ZERO,
        window: FIRST,
        ..timing
    };
    let mut rounds = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..timing.rounds {
        rounds[0].push(measure(sink, &mut way, &good, timing)?);
        rounds[1].push(measure(sink, &mut way, &bad, at_first)?);
        rounds[2].push(measure(sink, &mut way, &bad, timing)?);
    }
    let [without, first, with] = rounds.map(|rounds| Figures::median(&rounds));
    report.title(
        plan.name,
        &format!("{} (latencies of the others)", plan.text()),
    );
    let rows = [
        ("all good".to_owned(), &without),
        (format!("{special}, at first"), &first),
        (special.to_owned(), &with),
    ];
    for (way, figures) in rows {
        report.row(Row {
            scenario: plan.name.to_owned(),
            way,
            clients: plan.clients,
            payload: plan.payload,
            service_ms: plan.service_ms,
            figures: figures.clone(),
        });
    }
    if let Some(p50) = with.special_p50_us {
        report.figure(plan.name, "p50 of the bad client itself", p50 / 1e3, "ms");
    }
    Ok([without, first, with])
}
