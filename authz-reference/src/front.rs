//! What the transport sees: the service, and what it answers, counted.

use std::time::Instant;

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

/// The service, with its counters. Clones are the same one.
#[derive(Debug, Clone)]
pub(crate) struct Front {
    service: Service,
    metrics: Metrics,
}

impl Front {
    pub(crate) fn new(service: Service, metrics: Metrics) -> Self {
        Self { service, metrics }
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
        let answer = self.service.authorize_connect(request).await;
        count!(self.metrics.connect, begun, answer, connect_result);
        answer
    }

    async fn authorize_publish(
        &self,
        request: Request<AuthorizePublishRequest>,
    ) -> Result<Response<AuthorizePublishResponse>, Status> {
        let begun = Instant::now();
        let answer = self.service.authorize_publish(request).await;
        count!(self.metrics.publish, begun, answer, publish_result);
        answer
    }

    async fn authorize_subscribe(
        &self,
        request: Request<AuthorizeSubscribeRequest>,
    ) -> Result<Response<AuthorizeSubscribeResponse>, Status> {
        let begun = Instant::now();
        let answer = self.service.authorize_subscribe(request).await;
        count!(self.metrics.subscribe, begun, answer, subscribe_result);
        answer
    }

    async fn get_capabilities(
        &self,
        request: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        self.service.get_capabilities(request).await
    }
}
