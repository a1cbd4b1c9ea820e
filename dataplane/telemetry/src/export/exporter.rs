//! The exporter that keeps count and complains in moderation.

use super::{
    EXPORT_TIMEOUT,
    counters::{Counters, Stats},
};
use opentelemetry_sdk::{
    Resource,
    error::{OTelSdkError, OTelSdkResult},
    trace::{SpanData, SpanExporter},
};
use std::{
    mem,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::runtime::Handle;

/// Exports in the telemetry runtime, within [`EXPORT_TIMEOUT`], and counts what became of the spans.
#[derive(Debug)]
pub(super) struct CountingExporter<E> {
    inner: Arc<E>,
    runtime: Handle,
    counters: Counters,
    complaints: Mutex<Complaints>,
}

impl<E> CountingExporter<E> {
    pub(super) fn new(inner: E, runtime: Handle, counters: Counters) -> Self {
        Self {
            inner: Arc::new(inner),
            runtime,
            counters,
            complaints: Mutex::default(),
        }
    }

    fn complain(&self, result: &OTelSdkResult) {
        let mut complaints = self
            .complaints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        complaints.after_export(result, self.counters.snapshot(), Instant::now());
    }
}

impl<E: SpanExporter + 'static> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;

        // Spawned, because the thread that drives this future belongs to no runtime, and the
        // client's timers do; and because the client's own timeout does not bound its retries.
        let inner = Arc::clone(&self.inner);
        let export = self.runtime.spawn(async move {
            let export = inner.export(batch);
            tokio::time::timeout(EXPORT_TIMEOUT, export).await
        });
        let result = match export.await {
            Ok(Ok(result)) => result,
            Ok(Err(_elapsed)) => Err(OTelSdkError::Timeout(EXPORT_TIMEOUT)),
            Err(join) => Err(OTelSdkError::InternalFailure(join.to_string())),
        };

        match result {
            Ok(()) => self.counters.exported(spans),
            Err(_) => self.counters.dropped(spans),
        }
        self.complain(&result);
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        // The resource is set once, before the first export, so there is no other holder.
        if let Some(inner) = Arc::get_mut(&mut self.inner) {
            inner.set_resource(resource);
        }
    }
}

/// At most one warning a minute that spans are being lost, and one line when that is over.
#[derive(Debug, Default)]
struct Complaints {
    last_warning: Option<Instant>,
    /// A warning was given and not yet taken back.
    warned: bool,
    /// `Stats::dropped` as of the last look.
    dropped: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Complaint {
    None,
    Losing,
    Over,
}

impl Complaints {
    const EVERY: Duration = Duration::from_secs(60);

    fn after_export(&mut self, result: &OTelSdkResult, stats: Stats, now: Instant) {
        let Stats {
            exported, dropped, ..
        } = stats;
        match (self.due(result.is_ok(), dropped, now), result) {
            (Complaint::None, _) => {}
            (Complaint::Over, _) => tracing::info!(exported, dropped, "spans are exported again"),
            (Complaint::Losing, Ok(())) => {
                tracing::warn!(
                    exported,
                    dropped,
                    "spans are being lost: the queue was full"
                );
            }
            (Complaint::Losing, Err(error)) => {
                tracing::warn!(exported, dropped, %error, "spans are being lost");
            }
        }
    }

    fn due(&mut self, healthy: bool, dropped: u64, now: Instant) -> Complaint {
        if dropped == self.dropped {
            let over = healthy && mem::take(&mut self.warned);
            return if over {
                Complaint::Over
            } else {
                Complaint::None
            };
        }
        self.dropped = dropped;

        let since = self
            .last_warning
            .map(|last| now.saturating_duration_since(last));
        if since.is_some_and(|since| since < Self::EVERY) {
            return Complaint::None;
        }
        self.last_warning = Some(now);
        self.warned = true;
        Complaint::Losing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said at these seconds, given whether the export went well and the spans dropped so
    /// far.
    fn said(exports: &[(u64, bool, u64)]) -> Vec<Complaint> {
        let mut complaints = Complaints::default();
        let start = Instant::now();
        let mut say = |(second, healthy, dropped)| {
            complaints.due(healthy, dropped, start + Duration::from_secs(second))
        };
        exports.iter().map(|export| say(*export)).collect()
    }

    #[test]
    fn a_collector_that_stays_down_is_a_warning_a_minute() {
        use Complaint::{Losing, None};
        let exports = [
            (0, false, 1),
            (1, false, 2),
            (59, false, 3),
            (60, false, 4),
            (61, false, 5),
        ];
        assert_eq!(said(&exports), [Losing, None, None, Losing, None]);
    }

    #[test]
    fn one_that_comes_and_goes_is_no_more_than_that() {
        use Complaint::{Losing, None, Over};
        let exports = [
            (0, false, 1),
            (1, true, 1),
            (2, true, 1),
            (3, false, 2),
            (4, true, 2),
        ];
        assert_eq!(said(&exports), [Losing, Over, None, None, None]);
    }

    #[test]
    fn a_full_queue_counts_though_the_export_went_well() {
        use Complaint::{Losing, None, Over};
        let exports = [(0, true, 0), (1, true, 7), (2, true, 7)];
        assert_eq!(said(&exports), [None, Losing, Over]);
    }

    #[test]
    fn spans_that_were_given_up_already_are_no_recovery() {
        use Complaint::{Losing, None};
        let exports = [(0, false, 1), (1, false, 1)];
        assert_eq!(said(&exports), [Losing, None]);
    }
}
