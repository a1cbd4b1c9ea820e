//! The contract's `AuthorizationService`: batches in, one result per check out.
//!
//! * `connect` decides who a client is,
//! * `topics` what a session may publish and subscribe to,
//! * `verdict` is what they come to,
//! * `result` makes it the answer.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use futures_util::future::join_all;
use tidegate_proto::v1::{
    AuthorizeConnectRequest, AuthorizeConnectResponse, AuthorizePublishRequest,
    AuthorizePublishResponse, AuthorizeSubscribeRequest, AuthorizeSubscribeResponse, ConnectCheck,
    ConnectResult, GetCapabilitiesRequest, GetCapabilitiesResponse,
    authorization_service_server::AuthorizationService,
};
use tonic::{Request, Response, Status};
use tracing::Instrument;

use self::{result::Check, verdict::Verdict};
use crate::{
    config::PolicyConfig,
    deadline::Deadline,
    login::Logins,
    session_state::Sealer,
    telemetry::{Call, Hook},
};

mod connect;
mod result;
mod topics;
mod verdict;

/// Enough for any batch to be worth its call; more only makes the first check wait for the last.
const MAX_BATCH_SIZE: u32 = 256;
/// The largest request that is read.
pub const MAX_REQUEST_BYTES: usize = 4 * 1024 * 1024;
/// Calls that one connection may have open.
pub const MAX_CONCURRENT_CALLS: u32 = 256;

/// The service. Cheap to clone: all clones are one.
#[derive(Debug, Clone)]
pub struct Service(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    policy: PolicyConfig,
    logins: Arc<Logins>,
    sealer: Sealer,
    revision: String,
    /// Sets the decision ids of this process apart from those of others.
    process: u32,
    decisions: AtomicU64,
}

impl Service {
    /// Puts the parts together; `process` is a random number for decision ids.
    #[must_use]
    pub fn new(policy: PolicyConfig, logins: Arc<Logins>, sealer: Sealer, process: u32) -> Self {
        // Decisions about topics depend on the rules and on the session state, not on the user
        // base: a new user is no reason to forget them.
        let PolicyConfig {
            anonymous,
            client_ids,
        } = &policy;
        let revision = format!(
            "{};anonymous={anonymous};client_ids={client_ids:?}",
            env!("CARGO_PKG_VERSION")
        );
        let decisions = AtomicU64::default();
        Self(Arc::new(Inner {
            policy,
            logins,
            sealer,
            revision,
            process,
            decisions,
        }))
    }
}

#[tonic::async_trait]
impl AuthorizationService for Service {
    async fn authorize_connect(
        &self,
        request: Request<AuthorizeConnectRequest>,
    ) -> Result<Response<AuthorizeConnectResponse>, Status> {
        let deadline = Deadline::of_call(request.metadata());
        let checks = &request.get_ref().checks;
        let call = Call::begin(Hook::Connect, request.metadata(), checks.len());

        // All at once: the hashing pool decides how many of them are.
        let checks = request.into_inner().checks.into_iter();
        let checks = checks.map(|check| self.0.answer_connect(&call, check, deadline));
        let results = join_all(checks).instrument(call.span().clone()).await;

        call.answered();
        let policy_revision = self.0.revision.clone();
        Ok(Response::new(AuthorizeConnectResponse {
            results,
            policy_revision,
        }))
    }

    async fn authorize_publish(
        &self,
        request: Request<AuthorizePublishRequest>,
    ) -> Result<Response<AuthorizePublishResponse>, Status> {
        let checks = &request.get_ref().checks;
        let call = Call::begin(Hook::Publish, request.metadata(), checks.len());
        let answer = |check| self.0.answer(&call, check, |check| self.0.publish(check));
        let results = call.span().in_scope(|| checks.iter().map(answer).collect());

        call.answered();
        let policy_revision = self.0.revision.clone();
        Ok(Response::new(AuthorizePublishResponse {
            results,
            policy_revision,
        }))
    }

    async fn authorize_subscribe(
        &self,
        request: Request<AuthorizeSubscribeRequest>,
    ) -> Result<Response<AuthorizeSubscribeResponse>, Status> {
        let checks = &request.get_ref().checks;
        let call = Call::begin(Hook::Subscribe, request.metadata(), checks.len());
        let answer = |check| self.0.answer(&call, check, |check| self.0.subscribe(check));
        let results = call.span().in_scope(|| checks.iter().map(answer).collect());

        call.answered();
        let policy_revision = self.0.revision.clone();
        Ok(Response::new(AuthorizeSubscribeResponse {
            results,
            policy_revision,
        }))
    }

    async fn get_capabilities(
        &self,
        _: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        Ok(Response::new(GetCapabilitiesResponse {
            api_revision: tidegate_proto::API_REVISION,
            max_batch_size: MAX_BATCH_SIZE,
            max_request_bytes: u32::try_from(MAX_REQUEST_BYTES).unwrap_or(u32::MAX),
            max_concurrent_calls: MAX_CONCURRENT_CALLS,
            implementation: concat!("tidegate-authz ", env!("CARGO_PKG_VERSION")).to_owned(),
        }))
    }
}

impl Inner {
    async fn answer_connect(
        &self,
        call: &Call,
        mut check: ConnectCheck,
        deadline: Deadline,
    ) -> ConnectResult {
        let span = call.check_span(check.metadata.as_ref());
        let verdict = self
            .connect(&mut check, deadline, &span)
            .instrument(span.clone())
            .await;
        result::conclude(call, &span, &check, verdict, self.decision_id())
    }

    fn answer<C: Check>(
        &self,
        call: &Call,
        check: &C,
        decide: impl FnOnce(&C) -> Verdict<C::Allow>,
    ) -> C::Result {
        let span = call.check_span(check.metadata());
        let verdict = span.in_scope(|| decide(check));
        result::conclude(call, &span, check, verdict, self.decision_id())
    }

    /// Unique for ever as far as 32 random bits per process go, and free of cost.
    fn decision_id(&self) -> String {
        let number = self.decisions.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-{number}", self.process)
    }
}
