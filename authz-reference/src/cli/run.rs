//! `tidegate-authz run`: telemetry, runtime, service, signals.

use std::{pin::pin, time::Duration};

use anyhow::Context as _;
use tidegate_telemetry as telemetry;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
};
use tracing::info;

use super::Failed;
use crate::{app, config::Config};

/// How long password checks that nobody waits for any more may keep the program from ending.
const LAST_JOBS: Duration = Duration::from_secs(1);

/// Serves until a signal.
pub(super) fn run(config: &Config) -> Result<(), Failed> {
    let telemetry = telemetry::init(telemetry::Options {
        service_name: "tidegate-authz",
        service_version: env!("CARGO_PKG_VERSION"),
        otlp_endpoint: config.telemetry.otlp_endpoint.clone(),
        log: config.log.clone(),
    })
    // What is in the file has been checked before: this is the environment's or the system's.
    .map_err(|error| match error {
        telemetry::Error::Endpoint { .. } | telemetry::Error::Filter { .. } => {
            Failed::configuration(error)
        }
        error => Failed::Runtime(error.into()),
    })?;
    let runtime = Runtime::new().context("cannot start the runtime")?;
    let served = runtime.block_on(serve(config));
    runtime.shutdown_timeout(LAST_JOBS);
    // Only now, and outside of any runtime: flushing blocks.
    telemetry.shutdown();
    served
}

async fn serve(config: &Config) -> Result<(), Failed> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let bound = app::build(config).await?;
    info!(address = %bound.addr, "listening");

    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = pin!(bound.serve(async {
        // Nothing is ever sent: dropping the other end is the sign.
        stopped.await.unwrap_or_default();
    }));
    tokio::select! {
        served = &mut serving => return Ok(served?),
        () = signals.next() => drop(stop),
    }
    tokio::select! {
        served = serving => Ok(served?),
        () = signals.next() => {
            // Whoever asks twice does not want to wait for anything, the last spans included.
            info!("stopping at once");
            std::process::exit(1)
        }
    }
}

/// The signals that mean "stop".
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn listen() -> std::io::Result<Self> {
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        Ok(Self {
            terminate,
            interrupt,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
