//! Probes and metrics: `/healthz`, `/readyz`, `/metrics`. Read-only, for whoever can reach it.
//!
//! Alive is whoever answers. Ready is whoever has had a first answer of the authorization service: not one that
//! waits for it still. An outage later is not told here, or load balancers would turn it into refused TCP
//! connections, and clients would hear nothing at all.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use http::{Request, Response, StatusCode};
use prometheus_client::registry::Registry;
use tokio::time::sleep;

use crate::{
    authz::Counters,
    drain::{Ending, Stop},
    metrics,
    web::{Handler, is_read, method_not_allowed, plain},
};

/// How often it is looked whether the service has answered, until it has.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What a gate is up to. Clones are the same gate's.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    has_answered: Arc<AtomicBool>,
    stop: Stop,
}

/// One word for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The authorization service has not answered yet.
    Waiting,
    /// It serves.
    Ready,
    /// It ends.
    Draining,
}

impl Standing {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting for the first answer of the authorization service",
            Self::Ready => "ready",
            Self::Draining => "draining",
        }
    }
}

impl Readiness {
    pub(crate) fn new(stop: Stop) -> Self {
        Self {
            has_answered: Arc::default(),
            stop,
        }
    }

    pub(crate) fn standing(&self) -> Standing {
        if self.stop.asked() > Ending::None {
            Standing::Draining
        } else if self.has_answered.load(Ordering::Relaxed) {
            Standing::Ready
        } else {
            Standing::Waiting
        }
    }

    /// Looks until the service has answered.
    pub(crate) async fn watch(self, counters: Arc<Counters>) {
        while !counters.has_answered() {
            sleep(LOOK_EVERY).await;
        }
        self.has_answered.store(true, Ordering::Relaxed);
    }
}

/// What is served.
#[derive(Debug)]
pub(crate) struct Probes {
    pub(crate) readiness: Readiness,
    pub(crate) registry: Registry,
}

impl Handler for Probes {
    fn answer(&self, request: &Request<String>) -> Response<String> {
        let path = request.uri().path();
        if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
            return plain(
                StatusCode::NOT_FOUND,
                "here are /healthz, /readyz and /metrics\n",
            );
        }
        if !is_read(request.method()) {
            return method_not_allowed("GET, HEAD");
        }
        match path {
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => {
                let standing = self.readiness.standing();
                let status = match standing {
                    Standing::Ready => StatusCode::OK,
                    Standing::Waiting | Standing::Draining => StatusCode::SERVICE_UNAVAILABLE,
                };
                plain(status, format!("{}\n", standing.as_str()))
            }
            _ => metrics::page(request, &self.registry),
        }
    }
}
