//! The load: many clients in one thread, with packets that were made before.

mod clients;
mod flat;
mod grpc;
mod paced;
mod storm;
mod tally;
mod window;

use std::{net::SocketAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use tokio::runtime::Builder;

use self::tally::Tally;
use super::{Split, control};
use crate::histogram::Sparse;

/// Whom to load, and how.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// A broker, or what stands before it; for [`Mode::Grpc`] the service.
    pub(crate) target: SocketAddr,
    /// Clients at once.
    pub(crate) clients: usize,
    /// Bytes of payload.
    pub(crate) payload: usize,
    /// Protocol level: 4 is MQTT 3.1.1, 5 is MQTT 5.
    pub(crate) level: u8,
    /// Begins the identifier of the first client, to make it a special one.
    pub(crate) special: Option<String>,
    pub(crate) mode: Mode,
}

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// PUBLISH with QoS 0 as fast as the socket takes it, many packets per write.
    Flat,
    /// PUBLISH with QoS 1, with so many unacknowledged per client.
    Window {
        size: usize,
        /// What has become free goes out in one write, instead of one for each packet.
        in_blocks: bool,
    },
    /// PUBLISH with QoS 0, so many per second over all clients, each in a write of its own, with its time.
    Paced(u32),
    /// Nothing, once connected.
    Idle,
    /// Connect, wait for CONNACK, disconnect, again.
    Storm,
    /// No MQTT: bare gRPC calls with one check each, so many per second, one after the other.
    Grpc(u32),
}

/// What the load has done so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// When, by the shared clock.
    pub(crate) at_ns: u64,
    /// PUBLISH packets written as a whole.
    pub(crate) sent: Split,
    /// Acknowledgements, CONNACKs of a storm, answers of gRPC.
    pub(crate) acked: u64,
    /// Connections that ended though nobody asked for it, refusals, and acknowledgements out of order.
    pub(crate) broken: u64,
    /// Publishes that were not made because the generator itself was too late, or the socket full.
    pub(crate) skipped: u64,
    /// From the question to its answer (storm and gRPC).
    pub(crate) latency: Sparse,
}

/// Said when all clients are connected.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Ready {
    /// Milliseconds that it took.
    pub(crate) connected_ms: u64,
}

pub(super) fn run(spec: Spec) -> anyhow::Result<()> {
    let tally = Arc::new(Tally::default());
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let start = tokio::time::Instant::now();
        let clients = match spec.mode {
            Mode::Storm | Mode::Grpc(_) => Vec::new(),
            _ => clients::connect(&spec).await?,
        };
        let grpc = match spec.mode {
            Mode::Grpc(rate) => Some((grpc::connect(spec.target).await?, rate)),
            _ => None,
        };
        let connected_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        let controlled = Arc::clone(&tally);
        control::serve(&Ready { connected_ms }, move |command| {
            if command == "stop" {
                controlled.stop();
            }
            controlled.report()
        })?;
        match spec.mode {
            Mode::Flat => flat::run(clients, &tally).await,
            Mode::Window { size, in_blocks } => window::run(clients, size, in_blocks, &tally).await,
            Mode::Paced(rate) => paced::run(clients, rate, &tally)?,
            Mode::Storm => storm::run(&spec, &tally).await,
            Mode::Idle => {}
            Mode::Grpc(_) => {
                if let Some((client, rate)) = grpc {
                    grpc::run(client, rate, spec.payload, &tally).await;
                }
            }
        }
        // Until the standard input ends. The connections stay: `clients` may still be held by tasks.
        std::future::pending::<()>().await;
        Ok(())
    })
}
