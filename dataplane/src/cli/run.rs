//! `run`: the gate, from the first file to the last signal.

use std::process::ExitCode;

use anyhow::Context as _;
use tidegate_settings::Loaded;
use tidegate_telemetry::{LogOptions, Options};
use tokio::{
    select,
    signal::unix::{Signal, SignalKind, signal},
    sync::oneshot,
    task::spawn_blocking,
};
use tracing::{error, info, warn};

use super::{BAD_CONFIGURATION, load};
use crate::{
    app::{self, Host},
    config::{Config, Source},
    drain::{Ending, Stop},
    reload::{Reloader, Watch},
    systemd::{Notifier, Sockets},
};

/// Runs the gate to its end.
pub(super) fn run(source: Source) -> ExitCode {
    // First of all: it changes the environment, which only one thread may do.
    let sockets = Sockets::from_env();
    // Before the file is read: what changes from now on is to be seen.
    let watch = source.file().map(Watch::new);
    let loaded = match load(&source) {
        Ok(loaded) => loaded,
        Err(code) => return code,
    };
    let config = &loaded.value;
    let telemetry = tidegate_telemetry::init(Options {
        service_name: "tidegate",
        service_version: env!("CARGO_PKG_VERSION"),
        otlp_endpoint: config.telemetry.otlp_endpoint.clone(),
        log: LogOptions {
            format: config.log.format,
            filter: config.log.filter.clone(),
        },
    });
    let telemetry = match telemetry {
        Ok(telemetry) => telemetry,
        Err(error) => {
            eprintln!("tidegate: {error}");
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    let host = || -> anyhow::Result<Host> {
        Ok(Host {
            tracing_enabled: telemetry.tracing_enabled(),
            spans: telemetry.counters(),
            log: Some(telemetry.log_filter()),
            // A manager that cannot be told has its own opinion of that.
            notifier: Notifier::from_env().unwrap_or_else(|error| {
                warn!(%error, "NOTIFY_SOCKET cannot be used");
                Notifier::default()
            }),
            sockets: sockets?,
        })
    };
    let watch = watch.filter(|_| config.reload.watch);
    let served = host().and_then(|host| serve(source, loaded, host, watch));
    // After the runtime has ended: it blocks until the last spans are out, for a few seconds at most.
    telemetry.shutdown();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(
    source: Source,
    loaded: Loaded<Config>,
    host: Host,
    watch: Option<Watch>,
) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(loaded.value.runtime.workers())
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let served = runtime.block_on(async {
        let stop = stop_signal()?;
        let hang_up = signal(SignalKind::hangup()).context("cannot handle SIGHUP")?;
        let notifier = host.notifier.clone();
        let bound = app::bind_in(loaded, host).await?;
        tokio::spawn(follow(Following {
            source,
            reloader: bound.reloader(),
            stop: bound.stop(),
            notifier,
            hang_up,
            watch,
        }));
        bound.serve(stop).await;
        info!("stopped");
        Ok(())
    });
    // Whatever still runs has had its time.
    runtime.shutdown_background();
    served
}

/// What it takes to follow the configuration.
struct Following {
    source: Source,
    reloader: Reloader,
    stop: Stop,
    notifier: Notifier,
    hang_up: Signal,
    watch: Option<Watch>,
}

/// Takes a new configuration whenever somebody says so, or the file changes, until the end begins.
async fn follow(following: Following) {
    let Following {
        source,
        reloader,
        stop,
        notifier,
        mut hang_up,
        mut watch,
    } = following;
    loop {
        let changed = async {
            match &mut watch {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        select! {
            biased;
            () = stop.reached(Ending::Drain) => break,
            _ = hang_up.recv() => {
                info!("SIGHUP: reading the configuration again");
                if let Some(watch) = &mut watch {
                    // Else the same change would be read twice.
                    watch.note().await;
                }
            }
            () = changed => info!("the configuration file has changed: reading it again"),
        }
        notifier.reloading();
        let (source, reloader) = (source.clone(), reloader.clone());
        // Files may be slow.
        let taken = spawn_blocking(move || reloader.take(source.load())).await;
        let status = match taken {
            Ok(Ok(())) => "serving".to_owned(),
            Ok(Err(error)) => format!("serving; the last configuration was refused: {error}"),
            Err(_) => "serving; the last configuration could not be read".to_owned(),
        };
        notifier.ready(&status);
    }
    while hang_up.recv().await.is_some() {
        info!("SIGHUP: the gate is about to end, and reads nothing any more");
    }
}

/// Done at the first SIGTERM or SIGINT; the second one ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let (first, stopped) = oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        next().await;
        let _ = first.send(());
        next().await;
        warn!("stopped by a second signal");
        std::process::exit(1);
    });
    Ok(async move {
        let _ = stopped.await;
    })
}
