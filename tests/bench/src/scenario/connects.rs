//! New clients per second, up to their CONNACK.

use std::thread::sleep;

use crate::{
    actor::{LoadSpec, Mode, ServiceSpec},
    histogram::Histogram,
    measure::Way,
    options::Options,
    report::Report,
    rig::{Binaries, Cpu, Load, Sink, cpu},
};

/// Handshakes at once.
const CLIENTS: usize = 32;

pub(super) fn run(
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.heading(
        "connect",
        &format!("new clients per second, {CLIENTS} at a time, gone after the CONNACK"),
    );
    let sink = &mut Sink::start()?;
    let mut ways = vec![Way::straight()];
    ways.extend(Way::haproxy(binaries, sink)?);
    ways.push(Way::gate(
        binaries,
        sink,
        ServiceSpec::default(),
        &options.settings,
    )?);
    for way in &ways {
        let mut load = Load::start(&LoadSpec {
            target: way.target(sink),
            clients: CLIENTS,
            payload: 0,
            level: options.level(),
            special: None,
            mode: Mode::Storm,
        })?;
        let timing = options.timing();
        sleep(timing.warm_up);
        let spent = || way.proxy_id().map(cpu).transpose();
        let (begin, cpu_begin) = (load.report()?, spent()?);
        sleep(timing.window);
        let (end, cpu_end) = (load.stop()?, spent()?);

        let connects = (end.acked - begin.acked) as f64;
        let rate = connects / ((end.at_ns - begin.at_ns) as f64 / 1e9);
        report.figure(
            "connect",
            &format!("{}: rate", way.label),
            rate,
            "clients/s",
        );
        let latency = Histogram::from(&end.latency).since(&Histogram::from(&begin.latency));
        for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
            let us = latency.quantile(share).unwrap_or(f64::NAN) / 1e3;
            report.figure(
                "connect",
                &format!("{}: to CONNACK, {name}", way.label),
                us,
                "µs",
            );
        }
        if let Some((begin, end)) = cpu_begin.zip(cpu_end) {
            let used: Cpu = end - begin;
            let each = used.total().as_secs_f64() * 1e6 / connects.max(1.0);
            report.figure(
                "connect",
                &format!("{}: CPU of the proxy per client", way.label),
                each,
                "µs",
            );
        }
        if end.broken > begin.broken {
            let refused = (end.broken - begin.broken) as f64;
            report.figure(
                "connect",
                &format!("{}: refused or broken", way.label),
                refused,
                "clients",
            );
        }
    }
    Ok(())
}
