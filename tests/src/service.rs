//! An authorization service that answers as a closure says, wrong answers included.

mod answer;
mod companions;
mod hooks;

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::future::try_join_all;
use tidegate_proto::v1::{
    AuthorizeConnectRequest, AuthorizeConnectResponse, AuthorizePublishRequest,
    AuthorizePublishResponse, AuthorizeSubscribeRequest, AuthorizeSubscribeResponse,
    GetCapabilitiesRequest, GetCapabilitiesResponse,
    authorization_service_server::{AuthorizationService, AuthorizationServiceServer},
    control_service_server::ControlServiceServer,
    event_service_server::EventServiceServer,
};
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Request, Response, Status,
    metadata::MetadataMap,
    transport::{Server, server::TcpIncoming},
};

pub use answer::{Answer, Hold};
use companions::Companions;
pub use companions::{choosing, directive, heartbeat};
use hooks::Ask;
pub use hooks::{Change, Check, Hook};

use crate::wait::eventually;

/// A service on a port of its own that allows everything until told otherwise.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    script: Arc<Script>,
    companions: Arc<Companions>,
    /// A runtime of its own, so that stopping it breaks its connections as a crash does.
    running: Option<Runtime>,
}

/// One call, as opposed to the checks in it.
#[derive(Debug, Clone)]
pub struct Call {
    /// The method.
    pub hook: Hook,
    /// How many checks it held.
    pub size: usize,
    /// `traceparent` of its metadata, if there was one.
    pub traceparent: Option<String>,
}

type Policy = Arc<dyn Fn(&Check) -> Answer + Send + Sync>;

struct Script {
    policy: Mutex<Policy>,
    record: Mutex<Record>,
}

#[derive(Debug, Default)]
struct Record {
    checks: Vec<Check>,
    calls: Vec<Call>,
}

impl Scripted {
    /// Starts a service that allows everything.
    #[must_use]
    pub fn start() -> Self {
        let mut service = Self {
            address: ([127, 0, 0, 1], 0).into(),
            script: Arc::new(Script {
                policy: Mutex::new(Arc::new(|_| Answer::Allow)),
                record: Mutex::default(),
            }),
            companions: Arc::default(),
            running: None,
        };
        service.restart();
        service
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The endpoint, for the configuration of the gate.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on, answers each check as the closure says.
    pub fn answer(&self, policy: impl Fn(&Check) -> Answer + Send + Sync + 'static) {
        *self.script.policy.lock().unwrap() = Arc::new(policy);
    }

    /// From now on, answers each check of one hook as the closure says, and allows the others.
    pub fn answer_hook(
        &self,
        hook: Hook,
        policy: impl Fn(&Check) -> Answer + Send + Sync + 'static,
    ) {
        self.answer(move |check| match check.hook() == hook {
            true => policy(check),
            false => Answer::Allow,
        });
    }

    /// All checks so far, in the order in which they came.
    #[must_use]
    pub fn checks(&self) -> Vec<Check> {
        self.record().checks.clone()
    }

    /// The checks of one hook so far.
    #[must_use]
    pub fn checks_of(&self, hook: Hook) -> Vec<Check> {
        self.checks()
            .into_iter()
            .filter(|check| check.hook() == hook)
            .collect()
    }

    /// All calls so far.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.record().calls.clone()
    }

    /// Waits until there are at least `count` checks of a hook, and returns them.
    #[track_caller]
    pub fn wait_for(&self, hook: Hook, count: usize) -> Vec<Check> {
        eventually(&format!("{count} {hook:?} checks"), || {
            Some(self.checks_of(hook)).filter(|checks| checks.len() >= count)
        })
    }

    /// Goes away: connections break, new ones are refused.
    pub fn stop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_timeout(Duration::from_secs(5));
        }
    }

    /// Comes back on the same port.
    pub fn restart(&mut self) {
        self.stop();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("scripted service")
            .enable_all()
            .build()
            .expect("a runtime for the service");
        let incoming = runtime.block_on(async { TcpIncoming::bind(self.address) });
        // tonic leaves Nagle on for listeners that it is given, which makes answers 40 ms late.
        let incoming = incoming
            .expect("the port of the service")
            .with_nodelay(Some(true));
        self.address = incoming.local_addr().expect("a bound listener");
        let service = AuthorizationServiceServer::from_arc(Arc::clone(&self.script));
        let control = ControlServiceServer::from_arc(Arc::clone(&self.companions));
        let events = EventServiceServer::from_arc(Arc::clone(&self.companions));
        runtime.spawn(async move {
            let server = Server::builder()
                .add_service(service)
                .add_service(control)
                .add_service(events)
                .serve_with_incoming(incoming);
            server.await.expect("the scripted service serves");
        });
        self.running = Some(runtime);
    }

    fn record(&self) -> MutexGuard<'_, Record> {
        self.script.record.lock().unwrap()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        if let Some(runtime) = self.running.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Script").field(&self.record).finish()
    }
}

impl Script {
    /// Answers one call: every check on its own and at the same time.
    async fn decide<A: Ask>(
        &self,
        metadata: &MetadataMap,
        asked: Vec<A>,
    ) -> Result<Vec<A::Result>, Status> {
        let policy = Arc::clone(&self.policy.lock().unwrap());
        let traceparent = metadata
            .get("traceparent")
            .and_then(|value| value.to_str().ok());
        let mut pending = Vec::new();
        {
            let mut record = self.record.lock().unwrap();
            record.calls.push(Call {
                hook: A::HOOK,
                size: asked.len(),
                traceparent: traceparent.map(str::to_owned),
            });
            for ask in asked {
                let item_id = ask.item_id();
                let check = ask.into_check();
                pending.push(policy(&check).settle::<A>(item_id));
                record.checks.push(check);
            }
        }
        Ok(try_join_all(pending).await?.concat())
    }
}

#[tonic::async_trait]
impl AuthorizationService for Script {
    async fn authorize_connect(
        &self,
        request: Request<AuthorizeConnectRequest>,
    ) -> Result<Response<AuthorizeConnectResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        Ok(Response::new(AuthorizeConnectResponse {
            results: self.decide(&metadata, request.checks).await?,
            policy_revision: String::new(),
        }))
    }

    async fn authorize_publish(
        &self,
        request: Request<AuthorizePublishRequest>,
    ) -> Result<Response<AuthorizePublishResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        Ok(Response::new(AuthorizePublishResponse {
            results: self.decide(&metadata, request.checks).await?,
            policy_revision: String::new(),
        }))
    }

    async fn authorize_subscribe(
        &self,
        request: Request<AuthorizeSubscribeRequest>,
    ) -> Result<Response<AuthorizeSubscribeResponse>, Status> {
        let (metadata, _, request) = request.into_parts();
        Ok(Response::new(AuthorizeSubscribeResponse {
            results: self.decide(&metadata, request.checks).await?,
            policy_revision: String::new(),
        }))
    }

    async fn get_capabilities(
        &self,
        _: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        Err(Status::unimplemented(
            "the scripted service has no opinion on limits",
        ))
    }
}
