//! Whether the service can be asked: one answer for gRPC health, probes and load balancers.

use std::{pin::Pin, sync::Arc};

use futures_util::{Stream, stream};
use tidegate_proto::v1::{
    authorization_service_server::SERVICE_NAME as AUTHORIZATION,
    control_service_server::SERVICE_NAME as CONTROL,
};
use tokio::sync::watch;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health as Contract,
};

use crate::server::Lifetime;

/// The name under which gRPC health asks about the server as a whole.
const WHOLE_SERVER: &str = "";

/// What the service is up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// No user source has said yet that it can be asked.
    Waiting,
    /// It serves. An outage of the sources later is not told here: what is decided from session states goes on, and
    /// who is sent away from the last replica that answers hears nothing at all.
    Serving,
    /// It ends.
    Stopping,
}

impl Standing {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting for a user source",
            Self::Serving => "serving",
            Self::Stopping => "stopping",
        }
    }

    fn status(self) -> ServingStatus {
        match self {
            Self::Serving => ServingStatus::Serving,
            Self::Waiting | Self::Stopping => ServingStatus::NotServing,
        }
    }
}

/// The state of this process; clones are the same one's. Also the gRPC health service.
#[derive(Debug, Clone)]
pub(crate) struct Health(Arc<watch::Sender<Standing>>);

impl Health {
    pub(crate) fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Standing::Waiting)))
    }

    pub(crate) fn standing(&self) -> Standing {
        *self.0.borrow()
    }

    /// There is no way back from stopping.
    pub(crate) fn set(&self, standing: Standing) {
        self.0.send_if_modified(|now| {
            let changes = *now != Standing::Stopping && *now != standing;
            if changes {
                *now = standing;
            }
            changes
        });
    }
}

#[tonic::async_trait]
impl Contract for Health {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        if !is_known(&request.get_ref().service) {
            return Err(Status::not_found("there is no such service"));
        }
        Ok(Response::new(answer(self.standing().status())))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let watch = Watch {
            is_known: is_known(&request.get_ref().service),
            lifetime: request.extensions().get().cloned().unwrap_or_default(),
            news: self.0.subscribe(),
            told: None,
        };
        Ok(Response::new(Box::pin(stream::unfold(watch, Watch::next))))
    }
}

/// One stream. It ends with its connection's time, or the server would wait for it.
struct Watch {
    is_known: bool,
    lifetime: Lifetime,
    news: watch::Receiver<Standing>,
    told: Option<ServingStatus>,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<HealthCheckResponse, Status>, Self)> {
        loop {
            let status = if self.is_known {
                self.news.borrow_and_update().status()
            } else {
                ServingStatus::ServiceUnknown
            };
            if self.told.replace(status) != Some(status) {
                return Some((Ok(answer(status)), self));
            }
            tokio::select! {
                biased;
                changed = self.news.changed() => changed.ok()?,
                () = self.lifetime.aged() => return None,
            }
        }
    }
}

fn is_known(service: &str) -> bool {
    [WHOLE_SERVER, AUTHORIZATION, CONTROL].contains(&service)
}

fn answer(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse {
        status: status.into(),
    }
}
