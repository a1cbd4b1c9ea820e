//! One measurement: a load over a path, for a while.

mod figures;
mod way;

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::ensure;

pub(crate) use self::{
    figures::{Figures, middle},
    way::Way,
};
use crate::{
    actor::{LoadSpec, ServiceReport, SinkReport},
    histogram::{Histogram, Sparse},
    rig::{Busy, Cpu, Load, Sink, cpu},
};

/// How long to measure, and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
    pub(crate) rounds: usize,
}

/// For what is on its way when a load has stopped: as long as something still arrives.
const STILL: Duration = Duration::from_millis(1_000);
const DRAIN: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// All counters at one moment.
struct Moment {
    at: Instant,
    sink: SinkReport,
    asked: Option<ServiceReport>,
    busy: Busy,
    cpu: Spent,
}

/// CPU times so far of those who take part.
#[derive(Clone, Copy)]
struct Spent {
    proxy: Option<Cpu>,
    service: Option<Cpu>,
    sink: Cpu,
    load: Cpu,
}

/// Measures a load over a way, once.
pub(crate) fn measure(
    sink: &mut Sink,
    way: &mut Way,
    spec: &LoadSpec,
    timing: Timing,
) -> anyhow::Result<Figures> {
    let spec = LoadSpec {
        target: way.target(sink),
        ..spec.clone()
    };
    let before = sink.report()?;
    let mut load = Load::start(&spec)?;
    sleep(timing.warm_up);
    let begin = moment(sink, way, &load)?;
    sleep(timing.window);
    let end = moment(sink, way, &load)?;
    let sent = load.stop()?;
    let arrived = drain(sink, &before, sent.sent.total())?;
    ensure!(
        arrived.garbled == before.garbled,
        "the sink got what is not MQTT"
    );

    let mut figures = between(&begin, &end);
    let sent_others = sent.sent.others;
    let arrived_others = arrived.publishes.others - before.publishes.others;
    figures.lost_others = sent_others.saturating_sub(arrived_others);
    let arrived = arrived.publishes.total() - before.publishes.total();
    figures.lost = sent.sent.total().saturating_sub(arrived);
    figures.skipped = sent.skipped;
    figures.broken = sent.broken;
    Ok(figures)
}

fn moment(sink: &mut Sink, way: &mut Way, load: &Load) -> anyhow::Result<Moment> {
    let cpu = Spent {
        proxy: way.proxy_id().map(cpu).transpose()?,
        service: way.service_id().map(cpu).transpose()?,
        sink: cpu(sink.child.id())?,
        load: cpu(load.child.id())?,
    };
    Ok(Moment {
        at: Instant::now(),
        busy: Busy::now(),
        sink: sink.report()?,
        asked: way.asked()?,
        cpu,
    })
}

/// Waits until all that was sent has arrived, or nothing arrives any more.
fn drain(sink: &mut Sink, before: &SinkReport, sent: u64) -> anyhow::Result<SinkReport> {
    let give_up = Instant::now() + DRAIN;
    let mut last = sink.report()?;
    let mut moved_at = Instant::now();
    loop {
        let has_all = last.publishes.total() - before.publishes.total() >= sent;
        if has_all || moved_at.elapsed() > STILL || Instant::now() > give_up {
            return Ok(last);
        }
        sleep(LOOK);
        let next = sink.report()?;
        if next.publishes != last.publishes {
            moved_at = Instant::now();
        }
        last = next;
    }
}

fn between(begin: &Moment, end: &Moment) -> Figures {
    let seconds = (end.sink.at_ns - begin.sink.at_ns) as f64 / 1e9;
    let publishes = end.sink.publishes.total() - begin.sink.publishes.total();
    let each = |used: Duration| used.as_secs_f64() * 1e6 / publishes.max(1) as f64;
    let used = |end: Option<Cpu>, begin: Option<Cpu>| Some(end? - begin?);
    let proxy = used(end.cpu.proxy, begin.cpu.proxy);
    let service = used(end.cpu.service, begin.cpu.service);
    let (sink, load) = (end.cpu.sink - begin.cpu.sink, end.cpu.load - begin.cpu.load);
    let ours: Duration = [proxy, service, Some(sink), Some(load)]
        .into_iter()
        .flatten()
        .map(Cpu::total)
        .sum();
    let elapsed = (end.at - begin.at).as_secs_f64();
    let latency = |of: fn(&SinkReport) -> &Sparse| {
        Histogram::from(of(&end.sink)).since(&of(&begin.sink).into())
    };
    let (others, special) = (
        latency(|report| &report.others),
        latency(|report| &report.special),
    );
    let us = |histogram: &Histogram, share| histogram.quantile(share).map(|ns| ns / 1e3);
    let calls = |begin: ServiceReport, end: ServiceReport| {
        (end.checks - begin.checks) as f64 / (end.calls - begin.calls).max(1) as f64
    };
    Figures {
        per_second: publishes as f64 / seconds,
        proxy_us: proxy.map(|cpu| each(cpu.total())),
        proxy_system_us: proxy.map(|cpu| each(cpu.system)),
        service_us: service.map(|cpu| each(cpu.total())),
        sink_us: each(sink.total()),
        load_us: each(load.total()),
        checks_per_call: begin
            .asked
            .zip(end.asked)
            .map(|(begin, end)| calls(begin, end)),
        p50_us: us(&others, 0.5),
        p99_us: us(&others, 0.99),
        special_p50_us: us(&special, 0.5),
        strangers: end
            .busy
            .since(begin.busy)
            .saturating_sub(ours)
            .as_secs_f64()
            / elapsed,
        ..Figures::default()
    }
}
