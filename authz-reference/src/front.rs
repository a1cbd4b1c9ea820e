//! What the transport sees: the service in force, and what it answers, counted.
//!
//! A reload puts another [`Service`] in the place of the old one. Calls that have begun end with the old one.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Instant,
};

use tidegate_proto::v1::{
    AuthorizeConnectRequest, AuthorizeConnectResponse, AuthorizePublishRequest,
    AuthorizePublishResponse, AuthorizeSubscribeRequest, AuthorizeSubscribeResponse,
    GetCapabilitiesRequest, GetCapabilitiesResponse, ResultMetadata,
    authorization_service_server::AuthorizationService, connect_result, publish_result,
    subscribe_result,
};
use tonic::{Request, Response, Status};

use crate::{
    metrics::{Metrics, Tally},
    service::Service,
};

/// The service in force. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    current: Arc<RwLock<Service>>,
    metrics: Metrics,
}

impl Front {
    pub(crate) fn new(service: Service, metrics: Metrics) -> Self {
        Self {
            current: Arc::new(RwLock::new(service)),
            metrics,
        }
    }

    /// From the next call on.
    pub(crate) fn set(&self, service: Service) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = service;
    }

    fn current(&self) -> Service {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }
}

/// Counts the results of one call.
macro_rules! count {
    ($hook:expr, $begun:expr, $answer:expr, $module:ident) => {
        if let Ok(answer) = &$answer {
            let mut tally = Tally::default();
            for result in &answer.get_ref().results {
                let outcome = match &result.decision {
                    Some($module::Decision::Allow(_)) => "allow",
                    Some($module::Decision::Deny(_)) => "deny",
                    Some($module::Decision::Failure(_)) | None => "failure",
                };
                tally.add(outcome, rule(result.metadata.as_ref()));
            }
            $hook.answered(&tally, $begun.elapsed());
        }
    };
}

fn rule(metadata: Option<&ResultMetadata>) -> &str {
    metadata.map_or("", |metadata| &metadata.policy)
}

#[tonic::async_trait]
impl AuthorizationService for Front {
    async fn authorize_connect(
        &self,
        request: Request<AuthorizeConnectRequest>,
    ) -> Result<Response<AuthorizeConnectResponse>, Status> {
        let begun = Instant::now();
        let answer = self.current().authorize_connect(request).await;
        count!(self.metrics.connect, begun, answer, connect_result);
        answer
    }

    async fn authorize_publish(
        &self,
        request: Request<AuthorizePublishRequest>,
    ) -> Result<Response<AuthorizePublishResponse>, Status> {
        let begun = Instant::now();
        let answer = self.current().authorize_publish(request).await;
        count!(self.metrics.publish, begun, answer, publish_result);
        answer
    }

    async fn authorize_subscribe(
        &self,
        request: Request<AuthorizeSubscribeRequest>,
    ) -> Result<Response<AuthorizeSubscribeResponse>, Status> {
        let begun = Instant::now();
        let answer = self.current().authorize_subscribe(request).await;
        count!(self.metrics.subscribe, begun, answer, subscribe_result);
        answer
    }

    async fn get_capabilities(
        &self,
        request: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        self.current().get_capabilities(request).await
    }
}
