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

use self::{
    result::Check,
    sessions::Sessions,
    topics::Topics,
    verdict::{Allowed, Decided, Fault, Question, Verdict},
};
use crate::{
    deadline::Deadline,
    login::Logins,
    policy::{Grant, Refusal, Rules},
    recent::Recent,
    session_state::Sealer,
    telemetry::{Call, Hook},
    users::topic_oracle::{self, TopicAction, TopicAnswer, TopicOracle, TopicQuestion},
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
    /// Who decides about the topics of some users in place of the rules.
    oracle: Option<Arc<dyn TopicOracle>>,
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
        oracle: Option<Arc<dyn TopicOracle>>,
        process: u32,
    ) -> Self {
        Self(Arc::new(Inner {
            sessions: RwLock::new(Arc::new(Sessions::new(rules, sealer))),
            recent,
            logins,
            oracle,
            process,
            decisions: AtomicU64::default(),
        }))
    }

    /// Decides by other rules and keys from the next call on. Live sessions have to be asked about again
    /// (`InvalidateDecisions`, `RecheckSubscriptions`): that is the caller's to see to. Whether there were states that
    /// do not open any more.
    pub fn replace(&self, rules: Rules, sealer: Sealer) -> bool {
        let new = Arc::new(Sessions::new(rules, sealer));
        let mut sessions = self
            .0
            .sessions
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let lost_keys = !new.sealer.opens_all_of(&sessions.sealer);
        *sessions = new;
        lost_keys
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
        let deadline = Deadline::of_call(request.metadata());
        let checks = &request.get_ref().checks;
        let call = Call::begin(Hook::Publish, request.metadata(), checks.len());
        let sessions = self.0.sessions();
        let topics = self.0.topics(&sessions);
        let decide = |check: &_| topics.publish(check);
        let results = self.0.answer(&call, checks, deadline, decide).await;

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
        let deadline = Deadline::of_call(request.metadata());
        let checks = &request.get_ref().checks;
        let call = Call::begin(Hook::Subscribe, request.metadata(), checks.len());
        let sessions = self.0.sessions();
        let topics = self.0.topics(&sessions);
        let decide = |check: &_| topics.subscribe(check);
        let results = self.0.answer(&call, checks, deadline, decide).await;

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

    /// Answers all checks of a call, those that the rules decide first.
    async fn answer<C: Check>(
        &self,
        call: &Call,
        checks: &[C],
        deadline: Deadline,
        decide: impl Fn(&C) -> Decided<C::Allow>,
    ) -> Vec<C::Result> {
        let mut asked = Vec::new();
        let mut results = Vec::with_capacity(checks.len());
        call.span().in_scope(|| {
            for check in checks {
                let span = call.check_span(check.metadata());
                match span.in_scope(|| decide(check)) {
                    Decided::Now(verdict) => {
                        let id = self.decision_id();
                        results.push(result::conclude(call, &span, check, verdict, id));
                    }
                    Decided::Ask(question) => asked.push((check, span, question)),
                }
            }
        });
        if !asked.is_empty() {
            let asked = asked.into_iter().map(async |(check, span, question)| {
                let answer = self.ask(question, deadline).instrument(span.clone());
                let verdict = answer.await;
                result::conclude(call, &span, check, verdict, self.decision_id())
            });
            let asked = join_all(asked).instrument(call.span().clone());
            results.extend(asked.await);
        }
        results
    }

    /// Asks who decides in place of the rules of this service.
    async fn ask<A: Default>(&self, question: Question, deadline: Deadline) -> Verdict<A> {
        let oracle = self.oracle.as_deref();
        let rule = oracle.map_or("", TopicOracle::name);
        let ask = |topic, action| {
            let asked = TopicQuestion {
                user: &question.user,
                client_id: &question.client_id,
                topic,
                action,
            };
            topic_oracle::ask(oracle, asked, deadline)
        };
        let answer = ask(&question.topic, question.action).await;
        if answer.map_err(Fault::from)? == TopicAnswer::Refused {
            return Err(Refusal::Oracle(rule).into());
        }
        // Whoever answers a request publishes with their own rights.
        if !question.response_topic.is_empty() {
            let answer = ask(&question.response_topic, TopicAction::Publish).await;
            if answer.map_err(Fault::from)? == TopicAnswer::Refused {
                return Err(Refusal::ResponseTopic.into());
            }
        }
        Ok(Allowed {
            grant: Grant::Oracle(rule),
            allow: A::default(),
        })
    }

    /// Unique for ever as far as 32 random bits per process go, and free of cost.
    fn decision_id(&self) -> String {
        let number = self.decisions.fetch_add(1, Ordering::Relaxed);
        format!("{:08x}-{number}", self.process)
    }
}

#[cfg(test)]
mod tests;
