//! Rows: the same load straight, over HAProxy and over Tidegate, in turns.

use crate::{
    actor::{LoadSpec, Mode, ServiceSpec},
    measure::{Figures, Way, measure},
    options::Options,
    report::{Report, Row, Shall},
    rig::{Binaries, Sink},
};

/// A load, and how far away the service is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plan {
    pub(super) name: &'static str,
    pub(super) mode: Mode,
    pub(super) clients: usize,
    pub(super) payload: usize,
    pub(super) service_ms: u64,
}

impl Plan {
    pub(super) fn load(&self, options: &Options) -> LoadSpec {
        LoadSpec {
            // Replaced by each way's own.
            target: ([127, 0, 0, 1], 0).into(),
            clients: self.clients,
            payload: self.payload,
            level: options.level(),
            special: None,
            mode: self.mode,
        }
    }

    pub(super) fn service(&self) -> ServiceSpec {
        ServiceSpec {
            delay_ms: self.service_ms,
        }
    }

    pub(super) fn text(&self) -> String {
        let load = match self.mode {
            Mode::Flat => "QoS 0 flat out".to_owned(),
            Mode::Window { size, in_blocks } => {
                let writes = if in_blocks {
                    "in blocks"
                } else {
                    "one per write"
                };
                format!("QoS 1, {size} unacknowledged per client, {writes}")
            }
            Mode::Paced(rate) => format!("QoS 0, {rate}/s in all, one per write"),
            other => format!("{other:?}"),
        };
        let Self {
            clients,
            payload,
            service_ms,
            ..
        } = self;
        format!("{load}, {clients} clients, {payload} B, service {service_ms} ms")
    }
}

/// The three ways that most rows compare. HAProxy is missing if it isn't installed.
pub(super) struct Rows {
    pub(super) straight: Figures,
    pub(super) haproxy: Option<Figures>,
    pub(super) gate: Figures,
}

/// Measures the three ways.
pub(super) fn rows(
    plan: &Plan,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<Rows> {
    let sink = &mut Sink::start()?;
    let mut ways = vec![Way::straight()];
    ways.extend(Way::haproxy(binaries, sink)?);
    ways.push(Way::gate(
        binaries,
        sink,
        plan.service(),
        &options.settings,
    )?);
    let mut figures = in_turns(plan, sink, &mut ways, options, report)?.into_iter();
    let (first, last) = (figures.next(), figures.next_back());
    Ok(Rows {
        straight: first.unwrap_or_default(),
        gate: last.unwrap_or_default(),
        haproxy: figures.next(),
    })
}

/// Measures these ways one after the other, round by round, so that what others do on the machine hits all
/// of them, and prints a row for each.
pub(super) fn in_turns(
    plan: &Plan,
    sink: &mut Sink,
    ways: &mut [Way],
    options: &Options,
    report: &mut Report,
) -> anyhow::Result<Vec<Figures>> {
    let timing = options.timing();
    let load = plan.load(options);
    let mut rounds = vec![Vec::new(); ways.len()];
    for _ in 0..timing.rounds {
        for (way, found) in ways.iter_mut().zip(&mut rounds) {
            found.push(measure(sink, way, &load, timing)?);
        }
    }
    report.title(plan.name, &plan.text());
    let mut medians = Vec::new();
    for (way, rounds) in ways.iter().zip(&rounds) {
        let figures = Figures::median(rounds);
        report.row(Row {
            scenario: plan.name.to_owned(),
            way: way.label.clone(),
            clients: plan.clients,
            payload: plan.payload,
            service_ms: plan.service_ms,
            figures: figures.clone(),
        });
        medians.push(figures);
    }
    Ok(medians)
}

pub(super) fn flat(
    plan: &Plan,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let rows = rows(plan, options, binaries, report)?;
    let cpu = rows.gate.proxy_us.unwrap_or(f64::NAN);
    report.target(
        "QoS 0 flat out: CPU per publish",
        cpu,
        Shall::BeAtMost,
        4.0,
        "µs",
    );
    Ok(())
}

pub(super) fn qos1(
    plan: &Plan,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let rows = rows(plan, options, binaries, report)?;
    against_haproxy(&rows, "QoS 1: CPU per publish", 2.0, report);
    Ok(())
}

pub(super) fn paced(
    plan: &Plan,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let rows = rows(plan, options, binaries, report)?;
    against_haproxy(&rows, "QoS 0 paced: CPU per publish", 2.5, report);
    if let (Some(with), Some(without)) = (rows.gate.p99_us, rows.straight.p99_us) {
        report.target(
            "QoS 0 paced: added latency p99",
            (with - without) / 1e3,
            Shall::BeAtMost,
            2.0,
            "ms",
        );
    }
    Ok(())
}

pub(super) fn single(
    plan: &Plan,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let rows = rows(plan, options, binaries, report)?;
    let rate = rows.gate.per_second;
    report.target(
        "one client, service 1 ms away",
        rate,
        Shall::BeAtLeast,
        50_000.0,
        "publishes/s",
    );
    Ok(())
}

fn against_haproxy(rows: &Rows, what: &str, bound: f64, report: &mut Report) {
    match (
        rows.gate.proxy_us,
        rows.haproxy.as_ref().and_then(|figures| figures.proxy_us),
    ) {
        (Some(gate), Some(haproxy)) => {
            report.target(what, gate / haproxy, Shall::BeAtMost, bound, "× HAProxy");
        }
        _ => report.skip(&format!("{what}: nothing to compare with")),
    }
}
