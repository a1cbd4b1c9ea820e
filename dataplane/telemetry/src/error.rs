//! Why telemetry did not start.

use std::io;

/// Why telemetry did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The collector's address is none.
    #[error("OTLP endpoint `{endpoint}` {reason}; expected http://host:port")]
    Endpoint {
        /// What was given.
        endpoint: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The log filter could not be read.
    #[error("log filter `{filter}` from {origin}: {reason}; expected e.g. `info,tidegate=debug`")]
    Filter {
        /// What was given.
        filter: String,
        /// `RUST_LOG` or the configuration.
        origin: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The threads or the I/O driver of the exporter could not be had.
    #[error("cannot start the telemetry runtime: {0}")]
    Runtime(#[from] io::Error),
    /// The exporter refused its settings, for instance those in `OTEL_EXPORTER_OTLP_*`.
    #[error("cannot build the OTLP exporter: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// `init` was called twice, or something else has installed a subscriber.
    #[error("a tracing subscriber is installed already")]
    AlreadyInstalled,
}
