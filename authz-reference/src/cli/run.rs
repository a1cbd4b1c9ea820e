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

use super::{Failed, environment, systemd};
use crate::{
    app::{self, FileWatch, Reloader},
    config::{self, Config},
};

/// How long password checks that nobody waits for any more may keep the program from ending.
const LAST_JOBS: Duration = Duration::from_secs(1);

/// For the last spans to be exported.
const LAST_SPANS: Duration = Duration::from_secs(5);

/// Serves until a signal.
pub(super) fn run(file: Option<&Path>) -> Result<(), Failed> {
    // Before it is read: what changes meanwhile is a change.
    let mut watch = watch(file);
    let config = &Config::load(file, environment()).map_err(Failed::configuration)?;
    watch.add(config.read_with_it());
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
    let served = runtime.block_on(serve(config, file, watch, &telemetry));
    runtime.shutdown_timeout(LAST_JOBS);
    // Only now, and outside of any runtime: flushing blocks.
    telemetry.shutdown();
    served
}

async fn serve(
    config: &Config,
    file: Option<&Path>,
    watch: FileWatch,
    telemetry: &telemetry::Telemetry,
) -> Result<(), Failed> {
    let mut signals = Signals::listen().context("cannot listen for signals")?;
    let mut hang_up = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    let bound = app::build_with(config, telemetry.counters()).await?;
    if let Some(address) = bound.probes_address {
        info!(%address, "answering probes");
    }
    info!(address = %bound.address, "listening");
    systemd::tell("READY=1");
    // To the last moment, the end included.
    tokio::spawn(systemd::keep_alive());

    let log = telemetry.log_filter();
    let reloader = bound.reloader();
    let config::ShutdownConfig { delay, grace } = config.shutdown;
    let (stop, stopped) = oneshot::channel::<()>();
    let mut serving = pin!(bound.serve(async {
        // Nothing is ever sent: dropping the other end is the sign.
        stopped.await.unwrap_or_default();
    }));
    tokio::select! {
        () = &mut serving => return Ok(()),
        () = signals.next() => {
            systemd::stopping(delay + grace + LAST_JOBS + LAST_SPANS);
            drop(stop);
        }
        () = follow(&reloader, file, watch, &mut hang_up, &log) => {}
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

fn watch(file: Option<&Path>) -> FileWatch {
    FileWatch::new(file.map(Path::to_owned).into_iter().collect())
}

/// Reads the configuration again on SIGHUP and when a file has changed, for ever.
async fn follow(
    reloader: &Reloader,
    file: Option<&Path>,
    mut watched: FileWatch,
    hang_up: &mut Signal,
    log: &telemetry::LogFilter,
) {
    loop {
        tokio::select! {
            _ = hang_up.recv() => {}
            () = watched.changed() => {}
        }
        let (taker, log) = (reloader.clone(), log.clone());
        let file = file.map(Path::to_owned);
        let reading = spawn_blocking(move || {
            let mut watched = watch(file.as_deref());
            let read = Config::load(file.as_deref(), environment());
            watched.add(match &read {
                Ok(config) => config.read_with_it(),
                Err(_) => taker.config().read_with_it(),
            });
            // Logged and counted there.
            taker.take(read, Some(&log)).ok();
            watched
        });
        if let Ok(anew) = reading.await {
            watched = anew;
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
