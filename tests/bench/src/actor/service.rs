//! An authorization service that allows everything, after a while if it is told so.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tidegate_proto::v1::{
    AuthorizeConnectRequest, AuthorizeConnectResponse, AuthorizePublishRequest,
    AuthorizePublishResponse, AuthorizeSubscribeRequest, AuthorizeSubscribeResponse, CheckMetadata,
    ConnectAllow, ConnectResult, GetCapabilitiesRequest, GetCapabilitiesResponse, PublishAllow,
    PublishCheck, PublishResult, ResultMetadata, SubscribeAllow, SubscribeResult,
    authorization_service_server::{AuthorizationService, AuthorizationServiceServer},
    connect_result, publish_result, subscribe_result,
};
use tokio::{net::TcpListener, runtime::Builder, time::sleep};
use tonic::{
    Request, Response, Status, async_trait,
    transport::{Server, server::TcpIncoming},
};

use super::{POISON, SLOW, control};

/// HTTP/2 windows, as the reference service has them.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;

/// What a call takes that holds a check of a slow client.
const SLOW_CALL: Duration = Duration::from_millis(20);

/// How the service behaves. CONNECT is always answered at once.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// Milliseconds that every call about a PUBLISH takes. The timer is that of Tokio: it is up to a
    /// millisecond late.
    pub(crate) delay_ms: u64,
}

/// What the service has been asked so far.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Calls of `AuthorizePublish`.
    pub(crate) calls: u64,
    /// Checks in them.
    pub(crate) checks: u64,
}

#[derive(Debug, Default)]
struct Counts {
    calls: AtomicU64,
    checks: AtomicU64,
}

pub(super) fn run(spec: Spec) -> anyhow::Result<()> {
    Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(async {
            let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
            let counts = Arc::new(Counts::default());
            let reported = Arc::clone(&counts);
            control::serve(&listener.local_addr()?, move |_| Report {
                calls: reported.calls.load(Relaxed),
                checks: reported.checks.load(Relaxed),
            })?;
            // Not the builder's option, which does not hold for sockets that come from elsewhere.
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
            Server::builder()
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .add_service(AuthorizationServiceServer::new(Service { spec, counts }))
                .serve_with_incoming(incoming)
                .await?;
            Ok(())
        })
}

struct Service {
    spec: Spec,
    counts: Arc<Counts>,
}

impl Service {
    /// What a call about these checks costs in time. `Err`: one of them can't be borne.
    fn time_for(&self, checks: &[PublishCheck]) -> Result<Duration, Status> {
        let mut time = Duration::from_millis(self.spec.delay_ms);
        for check in checks {
            let client_id = check
                .session
                .as_ref()
                .map_or("", |session| &session.client_id);
            if client_id.starts_with(POISON) {
                return Err(Status::unknown("a check of the poisonous client"));
            }
            if client_id.starts_with(SLOW) {
                time = time.max(SLOW_CALL);
            }
        }
        Ok(time)
    }
}

#[async_trait]
impl AuthorizationService for Service {
    async fn authorize_connect(
        &self,
        request: Request<AuthorizeConnectRequest>,
    ) -> Result<Response<AuthorizeConnectResponse>, Status> {
        let checks = request.into_inner().checks.into_iter();
        let results = checks.map(|check| ConnectResult {
            metadata: Some(answered(check.metadata)),
            decision: Some(connect_result::Decision::Allow(ConnectAllow {
                principal: check
                    .session
                    .map(|session| session.client_id)
                    .unwrap_or_default(),
                ..ConnectAllow::default()
            })),
        });
        Ok(Response::new(AuthorizeConnectResponse {
            results: results.collect(),
            ..AuthorizeConnectResponse::default()
        }))
    }

    async fn authorize_publish(
        &self,
        request: Request<AuthorizePublishRequest>,
    ) -> Result<Response<AuthorizePublishResponse>, Status> {
        let checks = request.into_inner().checks;
        self.counts.calls.fetch_add(1, Relaxed);
        self.counts.checks.fetch_add(checks.len() as u64, Relaxed);
        let time = self.time_for(&checks)?;
        if !time.is_zero() {
            sleep(time).await;
        }
        let results = checks.into_iter().map(|check| PublishResult {
            metadata: Some(answered(check.metadata)),
            decision: Some(publish_result::Decision::Allow(PublishAllow::default())),
        });
        Ok(Response::new(AuthorizePublishResponse {
            results: results.collect(),
            ..AuthorizePublishResponse::default()
        }))
    }

    async fn authorize_subscribe(
        &self,
        request: Request<AuthorizeSubscribeRequest>,
    ) -> Result<Response<AuthorizeSubscribeResponse>, Status> {
        let checks = request.into_inner().checks.into_iter();
        let results = checks.map(|check| SubscribeResult {
            metadata: Some(answered(check.metadata)),
            decision: Some(subscribe_result::Decision::Allow(SubscribeAllow::default())),
        });
        Ok(Response::new(AuthorizeSubscribeResponse {
            results: results.collect(),
            ..AuthorizeSubscribeResponse::default()
        }))
    }

    async fn get_capabilities(
        &self,
        _: Request<GetCapabilitiesRequest>,
    ) -> Result<Response<GetCapabilitiesResponse>, Status> {
        Err(Status::unimplemented(
            "no limits but those of the data plane",
        ))
    }
}

fn answered(metadata: Option<CheckMetadata>) -> ResultMetadata {
    ResultMetadata {
        item_id: metadata.map_or(0, |metadata| metadata.item_id),
        ..ResultMetadata::default()
    }
}
