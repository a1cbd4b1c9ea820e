//! `tidegate-authz run`: telemetry, runtime, service, signals.

use std::{path::Path, pin::pin, time::Duration};

use anyhow::Context as _;
use tidegate_telemetry as telemetry;
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::spawn_blocking,
};
use tracing::info;

use super::{Failed, environment};
use crate::{
    app::{self, FileWatch, Reloader},
    config::Config,
};

/// How long password checks that nobody waits for any more may keep the program from ending.
const LAST_JOBS: Duration = Duration::from_secs(1);

/// Serves until a signal. `file` is what `config` was read from.
pub(super) fn run(config: &Config, file: Option<&Path>) -> Result<(), Failed> {
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
    let served = runtime.block_on(serve(config, file, telemetry.log_filter()));
    runtime.shutdown_timeout(LAST_JOBS);
    // Only now, and outside of any runtime: flushing blocks.
    telemetry.shutdown();
    served
}

async fn serve(
    config: &Config,
    file: Option<&Path>,
    log: telemetry::LogFilter,
) -> Result<(), Failed> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    let bound = app::build(config).await?;
    if let Some(address) = bound.probes_address {
        info!(%address, "answering probes");
    }
    info!(address = %bound.address, "listening");

    let reloader = bound.reloader();
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = pin!(bound.serve(async {
        // Nothing is ever sent: dropping the other end is the sign.
        stopped.await.unwrap_or_default();
    }));
    tokio::select! {
        () = &mut serving => return Ok(()),
        () = signals.next() => drop(stop),
        () = follow(&reloader, file, &mut hang_up, &log) => {}
    }
    tokio::select! {
        () = serving => Ok(()),
        () = signals.next() => {
            // Whoever asks twice does not want to wait for anything, the last spans included.
            info!("stopping at once");
            std::process::exit(1)
        }
    }
}

/// Reads the configuration again on SIGHUP and when a file has changed, for ever.
async fn follow(
    reloader: &Reloader,
    file: Option<&Path>,
    hang_up: &mut Signal,
    log: &telemetry::LogFilter,
) {
    let watched = || {
        let mut files = reloader.files();
        files.extend(file.map(Path::to_owned));
        FileWatch::new(files)
    };
    let mut watch = watched();
    loop {
        tokio::select! {
            _ = hang_up.recv() => {}
            () = watch.changed() => {}
        }
        // Before reading: what changes meanwhile is another change.
        watch = watched();
        let (taker, log) = (reloader.clone(), log.clone());
        let file = file.map(Path::to_owned);
        let reading = spawn_blocking(move || {
            let read = Config::load(file.as_deref(), environment());
            // Logged and counted there.
            taker.take(read, Some(&log)).ok();
        });
        reading.await.ok();
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
