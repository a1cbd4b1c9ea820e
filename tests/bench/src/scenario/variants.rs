//! Tidegate in other settings, and with the other service.

use super::throughput::{self, Plan};
use crate::{
    actor::Mode,
    measure::Way,
    options::Options,
    report::Report,
    rig::{Binaries, Settings, Sink, knows},
};

/// Most checks in a call. No setting makes a check wait for company: it gathers while calls are in flight.
const BATCH: &str = "authz.publish.max_batch";
const BATCHES: [&str; 5] = ["1", "4", "16", "64", "256"];

/// What switches the decision cache on. The trivial service names no time to live, so that the hit rate is up
/// to what the gate makes of that.
const CACHE: [(&str, &str); 1] = [("authz.cache.enabled", "true")];

/// CPU against latency.
pub(super) fn batches(
    plan: &Plan,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let settings = BATCHES.map(|checks| vec![(BATCH.to_owned(), checks.to_owned())]);
    let labels = BATCHES.map(|checks| format!("batches of {checks}"));
    compare(plan, &labels, &settings, options, binaries, report)
}

/// With decisions that are reused.
pub(super) fn cache(
    plan: &Plan,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let with = CACHE
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
    let labels = ["no cache", "cache"].map(str::to_owned);
    compare(
        plan,
        &labels,
        &[Vec::new(), with],
        options,
        binaries,
        report,
    )
}

fn compare(
    plan: &Plan,
    labels: &[String],
    settings: &[Settings],
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let sink = &mut Sink::start()?;
    let mut ways = Vec::new();
    for (label, settings) in labels.iter().zip(settings) {
        if !knows(binaries, settings)? {
            report.skip(&format!(
                "{}: this tidegate does not take {settings:?}",
                plan.name
            ));
            return Ok(());
        }
        let settings = [settings.clone(), options.settings.clone()].concat();
        ways.push(Way::gate(binaries, sink, plan.service(), &settings)?.called(label));
    }
    throughput::in_turns(plan, sink, &mut ways, options, report)?;
    Ok(())
}

/// The trivial service beside the reference service.
pub(super) fn reference(
    plan: &Plan,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let sink = &mut Sink::start()?;
    let mut ways = [
        Way::gate(binaries, sink, plan.service(), &options.settings)?.called("trivial"),
        Way::reference(binaries, sink, &options.settings)?,
    ];
    throughput::in_turns(plan, sink, &mut ways, options, report)?;
    Ok(())
}

/// Every combination, without targets.
pub(super) fn matrix(
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    for mode in [Mode::Flat, super::WINDOW, Mode::Paced(options.rate)] {
        for payload in [super::PAYLOAD, 16 * 1024] {
            for clients in [1, super::CLIENTS, 1_000] {
                for service_ms in [0, 1, 20] {
                    let plan = Plan {
                        name: "matrix",
                        mode,
                        clients,
                        payload,
                        service_ms,
                    };
                    throughput::rows(&plan, options, binaries, report)?;
                }
            }
        }
    }
    Ok(())
}
