//! Resident memory per idle client.

use std::{thread::sleep, time::Duration};

use crate::{
    actor::{LoadSpec, Mode, ServiceSpec},
    measure::Way,
    options::Options,
    report::{Report, Shall},
    rig::{Binaries, Load, Sink, resident_bytes},
};

/// Clients at once: few, and as many as 20,000 descriptors allow (each takes two of the proxy).
const CLIENTS: [usize; 2] = [1_000, 9_000];
const BOUND_KIB: f64 = 6.0;
/// From the last CONNACK to the look at the memory.
const REST: Duration = Duration::from_secs(2);
/// Clients before the base is taken, so that what is made once is part of it: the connection to the service,
/// the stacks of threads.
const FIRST: usize = 10;

pub(super) fn run(
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.heading(
        "memory",
        "resident memory per idle client, both legs, above that of the idle process",
    );
    for clients in CLIENTS {
        let sink = &mut Sink::start()?;
        let service = ServiceSpec::default();
        let gate = Way::gate(binaries, sink, service, &options.settings)?;
        let used = per_client(sink, &gate, clients, options)?;
        report.target(
            &format!("tidegate, {clients} idle clients"),
            used,
            Shall::BeAtMost,
            BOUND_KIB,
            "KiB",
        );
        drop(gate);
        if let Some(haproxy) = Way::haproxy(binaries, sink)? {
            let used = per_client(sink, &haproxy, clients, options)?;
            report.figure(
                "memory",
                &format!("haproxy, {clients} idle clients"),
                used,
                "KiB",
            );
        }
    }
    Ok(())
}

fn per_client(sink: &Sink, way: &Way, clients: usize, options: &Options) -> anyhow::Result<f64> {
    let load = |clients| LoadSpec {
        target: way.target(sink),
        clients,
        payload: 0,
        level: options.level(),
        special: None,
        mode: Mode::Idle,
    };
    drop(Load::start(&load(FIRST))?);
    sleep(REST);
    let base = resident(way)?;
    let _load = Load::start(&load(clients))?;
    sleep(REST);
    Ok((resident(way)? - base) / clients as f64 / 1024.0)
}

fn resident(way: &Way) -> anyhow::Result<f64> {
    let bytes = way.proxy_id().map(resident_bytes).transpose()?;
    Ok(bytes.unwrap_or(0) as f64)
}
