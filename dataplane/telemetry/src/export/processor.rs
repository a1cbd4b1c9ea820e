//! The bounded queue's doorkeeper.

use super::{MAX_QUEUE, counters::Counters};
use opentelemetry::Context;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{Span, SpanData, SpanProcessor},
};
use std::time::Duration;

/// Counts the spans that wait, and turns away those that find no room.
///
/// The SDK's processor has the same bound but keeps its count of dropped spans to itself. Here a
/// span counts until its export has ended, so the SDK's queue never holds more than is counted, and
/// never drops on its own.
#[derive(Debug)]
pub(super) struct CountingProcessor<P> {
    inner: P,
    counters: Counters,
}

impl<P> CountingProcessor<P> {
    pub(super) fn new(inner: P, counters: Counters) -> Self {
        Self { inner, counters }
    }
}

impl<P: SpanProcessor> SpanProcessor for CountingProcessor<P> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.inner.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.counters.enqueue(MAX_QUEUE as u64) {
            self.inner.on_end(span);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}
