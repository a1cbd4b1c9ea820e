//! What a TLS handshake costs, beside HAProxy with the same certificate.
//!
//! CPU time is what counts: the clients share the processor with whom they greet.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::ensure;

use crate::{
    actor::{HandshakesReport, HandshakesSpec},
    measure::{Way, middle},
    options::Options,
    report::{Report, Shall},
    rig::{Binaries, Busy, Certificate, Cpu, Handshakes, KeyKind, Sink, cpu},
};

/// Handshakes at once: well below what the gate lets one address have undecided.
const CLIENTS: usize = 16;
/// Times HAProxy's CPU time.
const BOUND: f64 = 1.5;
/// The part of handshakes that have to be of the kind that is measured.
const OF_A_KIND: f64 = 0.99;

/// What clients do.
struct Case {
    name: &'static str,
    key: KeyKind,
    resume: bool,
    /// Whether a CONNECT and its CONNACK follow. Then Tidegate asks the service about it as well, and HAProxy
    /// does not: that is no comparison, and has no target.
    connect: bool,
}

const CASES: [Case; 5] = [
    Case::full("full, ECDSA P-256", KeyKind::EcdsaP256),
    Case::full("full, RSA-2048", KeyKind::Rsa2048),
    Case {
        resume: true,
        ..Case::full("resumed, ECDSA P-256", KeyKind::EcdsaP256)
    },
    Case {
        resume: true,
        ..Case::full("resumed, RSA-2048", KeyKind::Rsa2048)
    },
    Case {
        connect: true,
        ..Case::full("full, ECDSA P-256, to CONNACK", KeyKind::EcdsaP256)
    },
];

impl Case {
    const fn full(name: &'static str, key: KeyKind) -> Self {
        Self {
            name,
            key,
            resume: false,
            connect: false,
        }
    }
}

/// One measurement.
#[derive(Debug, Clone, Copy)]
struct Figures {
    per_second: f64,
    /// CPU time of the proxy for each, in microseconds, and the system's part of it.
    cpu_us: f64,
    system_us: f64,
    broken: u64,
    /// Cores that others kept busy meanwhile.
    strangers: f64,
}

pub(super) fn run(
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.heading(
        "handshakes",
        &format!("TLS 1.3 handshakes, {CLIENTS} at a time, closed by the client"),
    );
    for case in &CASES {
        one(case, options, binaries, report)?;
    }
    Ok(())
}

fn one(
    case: &Case,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let certificate = Certificate::make(case.key)?;
    let sink = &Sink::start()?;
    let mut ways: Vec<_> = Way::haproxy_by(binaries, sink, Some(&certificate))?
        .into_iter()
        .collect();
    let settings = &options.settings;
    ways.push(Way::gate_by(binaries, sink, settings, &certificate)?);
    let mut rounds = vec![Vec::new(); ways.len()];
    for _ in 0..options.timing().rounds {
        for (way, figures) in ways.iter().zip(&mut rounds) {
            figures.push(measure(case, &certificate, way, sink, options)?);
        }
    }
    let mut cpu = Vec::new();
    for (way, figures) in ways.iter().zip(&rounds) {
        let of = |figure: fn(&Figures) -> f64| {
            middle(figures.iter().map(figure).collect()).unwrap_or(f64::NAN)
        };
        let mut tell = |what: &str, value, unit| {
            let what = format!("{}, {}: {what}", case.name, way.label);
            report.figure("handshakes", &what, value, unit);
        };
        tell("rate", of(|figures| figures.per_second), "/s");
        tell("CPU of each", of(|figures| figures.cpu_us), "µs");
        tell("system's part", of(|figures| figures.system_us), "µs");
        let broken: u64 = figures.iter().map(|figures| figures.broken).sum();
        if broken > 0 {
            tell("broken", broken as f64, "connections");
        }
        report.strangers(of(|figures| figures.strangers));
        cpu.push(of(|figures| figures.cpu_us));
    }
    if let [haproxy, tidegate] = *cpu {
        let (what, ratio) = (format!("handshakes, {}", case.name), tidegate / haproxy);
        if case.connect {
            let what = format!("{}: tidegate, beside haproxy", case.name);
            report.figure("handshakes", &what, ratio, "times its CPU");
        } else {
            let unit = "times HAProxy's CPU";
            report.target(&what, ratio, Shall::BeAtMost, BOUND, unit);
        }
    }
    Ok(())
}

fn measure(
    case: &Case,
    certificate: &Certificate,
    way: &Way,
    sink: &Sink,
    options: &Options,
) -> anyhow::Result<Figures> {
    let mut clients = Handshakes::start(&HandshakesSpec {
        target: way.target(sink),
        name: Certificate::NAME.to_owned(),
        cert: certificate.cert.clone(),
        clients: CLIENTS,
        resume: case.resume,
        connect: case.connect.then(|| options.level()),
    })?;
    let timing = options.timing();
    sleep(timing.warm_up);
    let begin = moment(way, sink, &mut clients)?;
    sleep(timing.window);
    let end = moment(way, sink, &mut clients)?;

    let done = (end.clients.done - begin.clients.done) as f64;
    let (case_name, label) = (case.name, &way.label);
    ensure!(done > 0.0, "{case_name}, {label}: no handshake at all");
    let resumed = (end.clients.resumed - begin.clients.resumed) as f64 / done;
    let of_the_kind = if case.resume { resumed } else { 1.0 - resumed };
    ensure!(
        of_the_kind >= OF_A_KIND,
        "{case_name}, {label}: {resumed:.2} of all resumed a session"
    );
    let used = end.proxy - begin.proxy;
    let ours = used.total() + end.others.saturating_sub(begin.others);
    let strangers = end.busy.since(begin.busy).saturating_sub(ours);
    Ok(Figures {
        per_second: done / ((end.clients.at_ns - begin.clients.at_ns) as f64 / 1e9),
        cpu_us: used.total().as_secs_f64() * 1e6 / done,
        system_us: used.system.as_secs_f64() * 1e6 / done,
        broken: end.clients.broken - begin.clients.broken,
        strangers: strangers.as_secs_f64() / (end.at - begin.at).as_secs_f64(),
    })
}

/// All counters at one moment.
struct Moment {
    at: Instant,
    clients: HandshakesReport,
    proxy: Cpu,
    /// CPU time of all others who take part.
    others: Duration,
    busy: Busy,
}

fn moment(way: &Way, sink: &Sink, clients: &mut Handshakes) -> anyhow::Result<Moment> {
    let others = [
        Some(sink.child.id()),
        Some(clients.child.id()),
        way.service_id(),
    ];
    let others = others.into_iter().flatten().map(cpu);
    Ok(Moment {
        at: Instant::now(),
        clients: clients.report()?,
        proxy: way.proxy_id().map(cpu).transpose()?.unwrap_or_default(),
        others: others
            .map(|cpu| cpu.map(Cpu::total))
            .sum::<anyhow::Result<_>>()?,
        busy: Busy::now(),
    })
}
