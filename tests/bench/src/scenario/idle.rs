//! One publish at a time, beside the bare call that it needs.

use std::thread::sleep;

use anyhow::Context as _;

use super::throughput::{self, Plan};
use crate::{
    actor::{LoadSpec, Mode},
    histogram::Histogram,
    measure::{Figures, Way},
    options::Options,
    report::{Report, Shall},
    rig::{Binaries, Load, Sink},
};

/// Publishes per second: each finds everything at rest.
const RATE: u32 = 500;
/// What may be added to the call.
const BOUND_US: f64 = 60.0;

pub(super) fn run(
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let plan = Plan {
        name: "idle",
        mode: Mode::Paced(RATE),
        clients: 1,
        payload: super::PAYLOAD,
        service_ms: 0,
    };
    let sink = &mut Sink::start()?;
    let mut ways = vec![Way::straight()];
    ways.extend(Way::haproxy(binaries, sink)?);
    let gate = Way::gate(binaries, sink, plan.service(), &options.settings)?;
    let service = gate.service().context("no service")?;
    ways.push(gate);
    // Before, between and after the rows there is no other load: the call is measured in the same minute.
    let before = bare_call(service, options)?;
    let rows = throughput::in_turns(&plan, sink, &mut ways, options, report)?;
    let after = bare_call(service, options)?;

    let call = (before + after) / 2.0;
    report.figure("idle", "bare gRPC call p50", call, "µs");
    let p50 = |figures: Option<&Figures>| {
        figures
            .and_then(|figures| figures.p50_us)
            .unwrap_or(f64::NAN)
    };
    let added = p50(rows.last()) - p50(rows.first());
    report.figure("idle", "added by tidegate, p50", added, "µs");
    if rows.len() > 2 {
        let haproxy = p50(rows.get(1)) - p50(rows.first());
        report.figure("idle", "added by haproxy, p50", haproxy, "µs");
    }
    report.target(
        "idle: added latency p50 beyond the bare call",
        added - call,
        Shall::BeAtMost,
        BOUND_US,
        "µs",
    );
    Ok(())
}

/// The p50 of a call with one check, in microseconds.
fn bare_call(service: std::net::SocketAddr, options: &Options) -> anyhow::Result<f64> {
    let timing = options.timing();
    let mut load = Load::start(&LoadSpec {
        target: service,
        clients: 1,
        payload: super::PAYLOAD,
        level: options.level(),
        special: None,
        mode: Mode::Grpc(RATE),
    })?;
    sleep(timing.warm_up);
    let begin = Histogram::from(&load.report()?.latency);
    sleep(timing.window);
    let calls = Histogram::from(&load.stop()?.latency).since(&begin);
    Ok(calls.quantile(0.5).context("no call was answered")? / 1e3)
}
