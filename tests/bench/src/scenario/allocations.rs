//! How often Tidegate asks for memory, per publish.

use std::thread::sleep;

use anyhow::Context as _;

use super::throughput::Plan;
use crate::{
    measure::Way,
    options::Options,
    report::Report,
    rig::{Binaries, Load, Sink},
};

pub(super) fn run(
    plans: [Plan; 3],
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.heading(
        "allocations",
        "calls of the allocator per publish that arrived",
    );
    for plan in plans {
        let sink = &mut Sink::start()?;
        let Some(mut way) = Way::counted(binaries, sink, &options.settings)? else {
            report.skip(
                "allocations: tidegate-counted is not built \
                 (cargo build --release -p tidegate-bench --features count-allocations)",
            );
            return Ok(());
        };
        let mut load = plan.load(options);
        load.target = way.target(sink);
        let _load = Load::start(&load)?;
        let timing = options.timing();
        sleep(timing.warm_up);
        let proxy = way.proxy_mut().context("no proxy")?;
        let (begin, begun) = (proxy.allocations()?, sink.report()?);
        sleep(timing.window);
        let (end, ended) = (proxy.allocations()?, sink.report()?);

        let publishes = (ended.publishes.total() - begun.publishes.total()).max(1) as f64;
        let mut figure = |what, end: u64, begin: u64, unit| {
            let what = format!("{}: {what}", plan.text());
            report.figure("allocations", &what, (end - begin) as f64 / publishes, unit);
        };
        figure(
            "allocations",
            end.allocations,
            begin.allocations,
            "per publish",
        );
        figure(
            "reallocations",
            end.reallocations,
            begin.reallocations,
            "per publish",
        );
        figure("size", end.bytes, begin.bytes, "B per publish");
    }
    Ok(())
}
