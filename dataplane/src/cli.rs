//! The command line.

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tidegate_telemetry::{LogOptions, Options};
use tokio::signal::unix::{SignalKind, signal};
use tracing::{error, info, warn};

use crate::{app, config::Config};

/// Exit code for a configuration that can't be used (`EX_CONFIG` of sysexits).
const BAD_CONFIGURATION: u8 = 78;

/// The authorizing gate in front of an MQTT broker.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Source,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gate (the default).
    Run(Source),
    /// Read and check the configuration, and end.
    Check(Source),
}

#[derive(Debug, clap::Args)]
struct Source {
    /// The configuration file. Without it, defaults and environment decide.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
}

impl Source {
    fn load(&self) -> Result<Config, ExitCode> {
        let refuse = |error: &dyn std::error::Error| {
            eprintln!("tidegate: {error}");
            ExitCode::from(BAD_CONFIGURATION)
        };
        let config = Config::load(self.config.as_deref(), std::env::vars_os())
            .map_err(|error| refuse(&error))?;
        app::check(&config).map_err(|error| refuse(&error))?;
        Ok(config)
    }
}

/// Runs the program with these arguments, the name of the program among them. Exit codes: 0 clean,
/// 1 failure, 2 usage, 78 bad configuration.
pub fn cli(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    let result = match arguments.command {
        None => arguments.run.load().map(run),
        Some(Command::Run(source)) => source.load().map(run),
        Some(Command::Check(source)) => source.load().map(|_| {
            println!("the configuration is good");
            ExitCode::SUCCESS
        }),
    };
    result.unwrap_or_else(|code| code)
}

fn run(config: Config) -> ExitCode {
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
    let served = serve(&config, telemetry.tracing_enabled());
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

fn serve(config: &Config, tracing_enabled: bool) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(config.runtime.workers())
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let served = runtime.block_on(async {
        let stop = stop_signal()?;
        let bound = app::bind(config, tracing_enabled).await?;
        bound.serve(stop).await;
        info!("stopped");
        Ok(())
    });
    // Whatever still runs has had its time.
    runtime.shutdown_background();
    served
}

/// Done at the first SIGTERM or SIGINT; the second one ends the process at once.
fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot handle SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot handle SIGINT")?;
    let (first, stopped) = tokio::sync::oneshot::channel();
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
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
