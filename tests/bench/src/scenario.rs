//! What is measured.

mod allocations;
mod connects;
mod handshakes;
mod idle;
mod isolation;
mod memory;
mod throughput;
mod variants;

use clap::ValueEnum;

use self::throughput::Plan;
use crate::{actor::Mode, options::Options, report::Report, rig::Binaries};

/// A group of measurements.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scenario {
    /// QoS 0 flat out, 100 clients, 64 B.
    Flat,
    /// QoS 1, 64 unacknowledged per client, 100 clients, 64 B.
    Qos1,
    /// The same, but all that has become free goes out in one write.
    Qos1Blocks,
    /// QoS 0, 20,000 a second in all, one per write, 100 clients, 64 B.
    Paced,
    /// One client, QoS 0 flat out, a service 1 ms away.
    Single,
    /// One publish at a time, beside a bare gRPC call.
    Idle,
    /// 99 clients beside one whose decisions take 20 ms.
    Isolation,
    /// 99 clients beside one whose checks make the service answer UNKNOWN.
    Poison,
    /// Resident memory per idle client.
    Memory,
    /// New clients per second.
    Connect,
    /// TLS handshakes: CPU of each, beside HAProxy with the same certificate.
    Handshakes,
    /// Calls of the allocator per publish; needs the feature `count-allocations`.
    Allocations,
    /// The reference service instead of the trivial one.
    Reference,
    /// Paced, with batches of 1 to 256 checks.
    Batches,
    /// QoS 1 with the decision cache.
    Cache,
    /// All combinations of QoS, size, clients and service; takes most of an hour.
    Matrix,
}

/// What runs unless something is named: all but the matrix.
const DEFAULT: [Scenario; 15] = [
    Scenario::Flat,
    Scenario::Qos1,
    Scenario::Qos1Blocks,
    Scenario::Paced,
    Scenario::Single,
    Scenario::Idle,
    Scenario::Isolation,
    Scenario::Poison,
    Scenario::Memory,
    Scenario::Connect,
    Scenario::Handshakes,
    Scenario::Allocations,
    Scenario::Reference,
    Scenario::Batches,
    Scenario::Cache,
];

/// Clients of most rows.
const CLIENTS: usize = 100;
/// Bytes of payload of most rows.
const PAYLOAD: usize = 64;
/// QoS 1 as a client library does it: a write for each PUBLISH.
const WINDOW: Mode = Mode::Window {
    size: 64,
    in_blocks: false,
};
/// QoS 1 with the fewest possible writes.
const BLOCKS: Mode = Mode::Window {
    size: 64,
    in_blocks: true,
};

/// Runs what was chosen, in this order.
pub(crate) fn run(
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut chosen = options.scenarios.clone();
    if chosen.is_empty() {
        chosen.extend(DEFAULT);
    }
    if options.full {
        chosen.push(Scenario::Matrix);
    }
    for scenario in chosen {
        one(scenario, options, binaries, report)?;
    }
    Ok(())
}

fn one(
    scenario: Scenario,
    options: &Options,
    binaries: &Binaries,
    report: &mut Report,
) -> anyhow::Result<()> {
    let plan = |name, mode| Plan {
        name,
        mode,
        clients: CLIENTS,
        payload: PAYLOAD,
        service_ms: 0,
    };
    let (flat, qos1, paced) = (Mode::Flat, WINDOW, Mode::Paced(options.rate));
    match scenario {
        Scenario::Flat => throughput::flat(&plan("flat", flat), options, binaries, report),
        Scenario::Qos1 => throughput::qos1(&plan("qos1", qos1), options, binaries, report),
        Scenario::Qos1Blocks => {
            throughput::rows(&plan("qos1-blocks", BLOCKS), options, binaries, report)?;
            Ok(())
        }
        Scenario::Paced => throughput::paced(&plan("paced", paced), options, binaries, report),
        Scenario::Single => {
            let plan = Plan {
                clients: 1,
                service_ms: 1,
                ..plan("single", flat)
            };
            throughput::single(&plan, options, binaries, report)
        }
        Scenario::Idle => idle::run(options, binaries, report),
        Scenario::Isolation => isolation::slow(options, binaries, report),
        Scenario::Poison => isolation::poison(options, binaries, report),
        Scenario::Memory => memory::run(options, binaries, report),
        Scenario::Connect => connects::run(options, binaries, report),
        Scenario::Handshakes => handshakes::run(options, binaries, report),
        Scenario::Allocations => {
            let plans = [flat, qos1, paced].map(|mode| plan("allocations", mode));
            allocations::run(plans, options, binaries, report)
        }
        Scenario::Reference => {
            variants::reference(&plan("reference", flat), options, binaries, report)
        }
        Scenario::Batches => variants::batches(&plan("batches", paced), options, binaries, report),
        Scenario::Cache => variants::cache(&plan("cache", qos1), options, binaries, report),
        Scenario::Matrix => variants::matrix(options, binaries, report),
    }
}
