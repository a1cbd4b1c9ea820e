//! User sources: how long they take, what they say, and whether they can be asked at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use prometheus_client::{
    metrics::{family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use super::Labels;
use crate::{
    deadline::Deadline,
    users::{
        Credential,
        source::{Found, Login, SourceError, UserSource},
        topic_oracle::{TopicAnswer, TopicOracle, TopicQuestion},
    },
};

const SECONDS: [f64; 14] = [
    0.000_01, 0.000_1, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
];

/// Handles of all sources.
#[derive(Debug, Clone)]
pub(crate) struct SourceMetrics {
    lookups: Family<Labels<2>, Histogram, fn() -> Histogram>,
    up: Family<Labels<1>, Gauge>,
}

impl SourceMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let make: fn() -> Histogram = || Histogram::new(SECONDS);
        let metrics = Self {
            lookups: Family::new_with_constructor(make),
            up: Family::default(),
        };
        registry.register_with_unit(
            "user_lookup_duration",
            "What user sources take at a CONNECT, and a gateway for a topic, by what they say; verifying a password comes on top",
            Unit::Seconds,
            metrics.lookups.clone(),
        );
        registry.register(
            "user_source_up",
            "Whether a user source could be asked the last time: 1 or 0",
            metrics.up.clone(),
        );
        metrics
    }

    fn asked(&self, source: &'static str, outcome: &'static str, begun: Instant) {
        let labels = [("source", source), ("outcome", outcome)];
        self.lookups
            .get_or_create(&labels)
            .observe(begun.elapsed().as_secs_f64());
    }

    fn is_up(&self, source: &'static str, is_up: bool) {
        self.up
            .get_or_create(&[("source", source)])
            .set(is_up.into());
    }
}

/// A source that is measured. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Metered {
    source: Arc<dyn UserSource>,
    metrics: SourceMetrics,
    /// Whether the last look-up came to nothing: what a source knows of itself may be older.
    is_down: Arc<AtomicBool>,
}

impl Metered {
    pub(crate) fn new(source: Box<dyn UserSource>, metrics: SourceMetrics) -> Self {
        Self {
            source: source.into(),
            metrics,
            is_down: Arc::default(),
        }
    }
}

#[tonic::async_trait]
impl UserSource for Metered {
    fn name(&self) -> &'static str {
        self.source.name()
    }

    fn tells_rules(&self) -> bool {
        self.source.tells_rules()
    }

    fn rules_are(&self, revision: &str) {
        self.source.rules_are(revision);
    }

    fn is_ready(&self) -> bool {
        let is_ready = self.source.is_ready();
        let is_up = is_ready && !self.is_down.load(Ordering::Relaxed);
        self.metrics.is_up(self.name(), is_up);
        is_ready
    }

    fn topic_oracle(&self) -> Option<Arc<dyn TopicOracle>> {
        let oracle = self.source.topic_oracle()?;
        Some(Arc::new(MeteredOracle {
            oracle,
            source: self.clone(),
        }))
    }

    async fn find(&self, login: &Login<'_>, deadline: Deadline) -> Result<Found, SourceError> {
        let begun = Instant::now();
        let mut asked = Asked {
            source: self,
            outcome: "late",
            begun,
        };
        let found = self.source.find(login, deadline).await;
        asked.outcome = match &found {
            Ok(Found::Stored(_, Credential::Known(_))) => "known",
            Ok(Found::Stored(..)) => "unknown",
            Ok(Found::Verified(_)) => "verified",
            Ok(Found::Refused(_)) => "refused",
            Ok(Found::NotMine) => "not_mine",
            Err(SourceError::Unavailable { .. }) => "unavailable",
            Err(SourceError::NotYet { .. }) => "not_yet",
            Err(SourceError::Busy(_)) => "busy",
        };
        found
    }
}

/// What a source says about topics, measured.
#[derive(Debug)]
struct MeteredOracle {
    oracle: Arc<dyn TopicOracle>,
    source: Metered,
}

#[tonic::async_trait]
impl TopicOracle for MeteredOracle {
    fn name(&self) -> &'static str {
        self.oracle.name()
    }

    async fn ask(
        &self,
        question: TopicQuestion<'_>,
        deadline: Deadline,
    ) -> Result<TopicAnswer, SourceError> {
        let mut asked = Asked {
            source: &self.source,
            outcome: "late",
            begun: Instant::now(),
        };
        let answer = self.oracle.ask(question, deadline).await;
        asked.outcome = match &answer {
            Ok(TopicAnswer::Permitted) => "topic_permitted",
            Ok(TopicAnswer::Refused) => "topic_refused",
            Err(SourceError::Unavailable { .. }) => "unavailable",
            Err(SourceError::NotYet { .. }) => "not_yet",
            Err(SourceError::Busy(_)) => "busy",
        };
        answer
    }
}

/// Counts on its end, also if nobody waited for the answer.
struct Asked<'a> {
    source: &'a Metered,
    outcome: &'static str,
    begun: Instant,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let Metered {
            metrics, is_down, ..
        } = self.source;
        let name = self.source.name();
        metrics.asked(name, self.outcome, self.begun);
        // One that is busy is there, and so is one that does not know something yet.
        let is_up = !matches!(self.outcome, "late" | "unavailable");
        is_down.store(!is_up, Ordering::Relaxed);
        metrics.is_up(name, is_up);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct Store(Option<Result<(), SourceError>>);

    #[tonic::async_trait]
    impl UserSource for Store {
        fn name(&self) -> &'static str {
            "store"
        }

        async fn find(&self, _: &Login<'_>, _: Deadline) -> Result<Found, SourceError> {
            match self.0.clone() {
                Some(answer) => answer.map(|()| Found::NotMine),
                None => std::future::pending().await,
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_hangs_or_fails_is_down_whatever_it_thinks_of_itself() {
        let metrics = SourceMetrics::register(&mut Registry::default());
        let login = Login {
            username: None,
            password: None,
            client_id: "c",
            tls: None,
            listener: "mqtt",
        };
        let source_name = "store";
        let unavailable = SourceError::Unavailable {
            source_name,
            problem: String::new(),
        };
        let not_yet = SourceError::NotYet {
            source_name,
            problem: "",
        };
        for (answer, expected) in [
            (Some(Ok(())), 1),
            (None, 0),
            (Some(Err(not_yet)), 1),
            (Some(Err(unavailable)), 0),
            (Some(Err(SourceError::Busy(source_name))), 1),
        ] {
            let answers = answer.is_some();
            let source = Metered::new(Box::new(Store(answer)), metrics.clone());
            assert!(source.is_ready());
            let deadline = Deadline::after(Duration::from_secs(1));
            let found = deadline.bound(source.find(&login, deadline)).await;
            assert_eq!(found.is_some(), answers);
            assert!(source.is_ready());
            let up = metrics.up.get_or_create(&[("source", "store")]).get();
            assert_eq!(up, expected, "{found:?}");
        }
    }
}
