//! The contract's `AuthorizationService`: batches in, one result per check out.
//!
//! * `connect` decides who a client is,
//! * `sessions` whose a session is by then,
//! * `topics` what it may publish and subscribe to,
//! * `verdict` is what they come to,
//! * `result` makes it the answer.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::SystemTime,
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

use self::{result::Check, sessions::Sessions, topics::Topics, verdict::Verdict};
use crate::{
    deadline::Deadline,
    login::Logins,
    policy::Rules,
    recent::Recent,
    session_state::Sealer,
    telemetry::{Call, Hook},
};

mod connect;
mod result;
mod sessions;
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
    /// Replaced as a whole by a reload.
    sessions: RwLock<Arc<Sessions>>,
    recent: Arc<Recent>,
    logins: Logins,
    /// Sets the decision ids of this process apart from those of others.
    process: u32,
    decisions: AtomicU64,
}

impl Service {
    /// Puts the parts together; `process` is a random number for decision ids. Whoever hears of changed users notes
    /// them in `recent`.
    #[must_use]
    pub fn new(
        rules: Rules,
        sealer: Sealer,
        recent: Arc<Recent>,
        logins: Logins,
        process: u32,
    ) -> Self {
        Self(Arc::new(Inner {
            sessions: RwLock::new(Arc::new(Sessions::new(rules, sealer))),
            recent,
            logins,
            process,
            decisions: AtomicU64::default(),
        }))
    }

    /// Decides by other rules and keys from the next call on. Live sessions have to be asked about again
    /// (`InvalidateDecisions`, `RecheckSubscriptions`): that is the caller's to see to.
    pub fn replace(&self, rules: Rules, sealer: Sealer) {
        let new = Arc::new(Sessions::new(rules, sealer));
        *self
            .0
            .sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner) = new;
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

        let sessions = self.0.sessions();
        // All at once: the hashing pool decides how many of them are.
        let checks = request.into_inner().checks.into_iter();
        let checks = checks.map(|check| self.0.answer_connect(&call, check, &sessions, deadline));
        let results = join_all(checks).instrument(call.span().clone()).await;

        call.answered();
        let policy_revision = sessions.rules.revision().to_owned();
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
        let sessions = self.0.sessions();
        let topics = self.0.topics(&sessions);
        let answer = |check| self.0.answer(&call, check, |check| topics.publish(check));
        let results = call.span().in_scope(|| checks.iter().map(answer).collect());

        call.answered();
        let policy_revision = sessions.rules.revision().to_owned();
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
        let sessions = self.0.sessions();
        let topics = self.0.topics(&sessions);
        let answer = |check| self.0.answer(&call, check, |check| topics.subscribe(check));
        let results = call.span().in_scope(|| checks.iter().map(answer).collect());

        call.answered();
        let policy_revision = sessions.rules.revision().to_owned();
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
    fn sessions(&self) -> Arc<Sessions> {
        Arc::clone(&self.sessions.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn topics<'a>(&'a self, sessions: &'a Sessions) -> Topics<'a> {
        Topics {
            sessions,
            recent: &self.recent,
            now: SystemTime::now(),
        }
    }

    async fn answer_connect(
        &self,
        call: &Call,
        mut check: ConnectCheck,
        sessions: &Sessions,
        deadline: Deadline,
    ) -> ConnectResult {
        let span = call.check_span(check.metadata.as_ref());
        let verdict = self
            .connect(&mut check, sessions, deadline, &span)
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
