//! The way of a sampled span to the collector.
//!
//! Span → queue ([`processor`]) → batches ([`exporter`]) → OTLP over gRPC. The gRPC client lives in a
//! runtime of its own: the program's runtime has ended by the time the last spans are flushed, and
//! a flush that blocks a thread of the runtime it waits for would wait for ever.

pub(crate) mod counters;
pub(crate) mod endpoint;
mod exporter;
mod processor;
mod resource;

use crate::{Error, Options, TRACE_TARGET};
use counters::Counters;
use exporter::CountingExporter;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{WithExportConfig, WithTonicConfig};
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider,
};
use processor::CountingProcessor;
use std::{env, time::Duration};
use tokio::runtime::{self, Runtime};
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

/// Spans that wait for export or are on their way. More are dropped: the data path never waits for
/// telemetry.
const MAX_QUEUE: usize = 16_384;
/// Spans in one export.
const MAX_BATCH: usize = 1_024;
/// How long a span waits for others to fill its batch.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// One export, retries included.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(3);
/// The last flush. Room for one export that hangs and one that does not.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(4_500);

/// A running export. Dropping it flushes.
#[derive(Debug)]
pub(crate) struct Exporting {
    provider: SdkTracerProvider,
    counters: Counters,
    /// `None` only while dropping.
    runtime: Option<Runtime>,
}

impl Exporting {
    /// Starts the export, or returns `None` if there is nowhere to export to.
    pub(crate) fn start(options: &Options) -> Result<Option<Self>, Error> {
        let environment = |name: &str| env::var(name).ok();
        let configured = options.otlp_endpoint.as_deref();
        let Some(endpoint) = endpoint::resolve(configured, environment)? else {
            return Ok(None);
        };

        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("telemetry")
            .enable_all()
            .build()?;
        let counters = Counters::default();

        // The exporter's channel spawns its worker where it is built.
        let entered = runtime.enter();
        let otlp = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(EXPORT_TIMEOUT)
            .with_retry_policy(opentelemetry_otlp::RetryPolicy::recommended())
            .build()?;
        drop(entered);

        let exporter = CountingExporter::new(otlp, runtime.handle().clone(), counters.clone());
        let batches = BatchSpanProcessor::builder(exporter)
            .with_batch_config(
                BatchConfigBuilder::default()
                    .with_max_queue_size(MAX_QUEUE)
                    .with_max_export_batch_size(MAX_BATCH)
                    .with_scheduled_delay(BATCH_DELAY)
                    .build(),
            )
            .build();
        let provider = SdkTracerProvider::builder()
            .with_resource(resource::detect(options, environment))
            // Who builds a span has decided already; a remote parent's decision is obeyed.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_span_processor(CountingProcessor::new(batches, counters.clone()))
            .build();
        Ok(Some(Self {
            provider,
            counters,
            runtime: Some(runtime),
        }))
    }

    /// The layer that turns spans of [`TRACE_TARGET`] into OpenTelemetry spans.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + use<S>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        // Source locations, threads and busy times are the debugger's, not the operator's. The
        // OpenTelemetry context stays as it is: all spans here are tracing spans.
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
            .with_filter(Targets::new().with_target(TRACE_TARGET, LevelFilter::INFO))
    }

    pub(crate) fn counters(&self) -> Counters {
        self.counters.clone()
    }
}

impl Drop for Exporting {
    fn drop(&mut self) {
        if let Err(error) = self.provider.shutdown_with_timeout(SHUTDOWN_TIMEOUT) {
            tracing::debug!(%error, "the last flush has failed");
        }
        let lost = self.counters.give_up();
        if lost > 0 {
            tracing::warn!(lost, "the collector did not take the last spans in time");
        }
        if let Some(runtime) = self.runtime.take() {
            // Not a plain drop: that waits, and panics inside another runtime.
            runtime.shutdown_background();
        }
    }
}
