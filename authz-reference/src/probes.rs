//! Probes and metrics, in plaintext beside a server that may want certificates: `/healthz`, `/readyz`, `/metrics` over
//! HTTP/1.1, and `grpc.health.v1` over HTTP/2, on one port. Read-only, for whoever can reach it.

use std::{collections::VecDeque, convert::Infallible, sync::Arc, time::Duration};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use prometheus_client::registry::Registry;
use tokio::{
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinHandle},
    time::sleep,
};
use tonic::{body::Body, service::Routes};
use tonic_health::pb::health_server::HealthServer;
use tower::Service as _;
use tracing::warn;

use crate::{
    health::{Health, Standing},
    metrics,
};

/// Connections at once. Beyond, the oldest is closed and not the new one: else whoever opens some and says nothing
/// would keep out a kubelet, which then restarts a service that is well.
const MAX_CONNECTIONS: usize = 64;
/// For the head of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a failed accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(500);

/// What is served.
#[derive(Debug)]
pub(crate) struct Probes {
    socket: TcpListener,
    pages: Arc<Pages>,
}

#[derive(Debug)]
struct Pages {
    health: Health,
    grpc: Routes,
    registry: Registry,
}

/// The connections that are open, the oldest first. They end with this.
#[derive(Debug, Default)]
struct Open(VecDeque<AbortHandle>);

impl Probes {
    pub(crate) fn new(socket: TcpListener, health: Health, registry: Registry) -> Self {
        let grpc = Routes::new(HealthServer::new(health.clone())).prepare();
        let pages = Arc::new(Pages {
            health,
            grpc,
            registry,
        });
        Self { socket, pages }
    }

    /// Serves until it is dropped.
    pub(crate) async fn serve(self) -> Infallible {
        let mut open = Open::default();
        loop {
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    let pages = Arc::clone(&self.pages);
                    open.add(tokio::spawn(converse(stream, pages)));
                }
                Err(error) => {
                    warn!(%error, "cannot accept a connection for probes");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Open {
    fn add(&mut self, connection: JoinHandle<()>) {
        self.0.retain(|open| !open.is_finished());
        if self.0.len() >= MAX_CONNECTIONS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection.abort_handle());
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        for open in &self.0 {
            open.abort();
        }
    }
}

async fn converse(stream: TcpStream, pages: Arc<Pages>) {
    let service = service_fn(|request: Request<Incoming>| {
        let pages = Arc::clone(&pages);
        async move { pages.answer(request).await }
    });
    let mut server = auto::Builder::new(TokioExecutor::new());
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE);
    server
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PATIENCE)
        .keep_alive_timeout(PATIENCE)
        .max_concurrent_streams(16);
    // Late or broken: the loss of who asked.
    server
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}

impl Pages {
    async fn answer(&self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        if is_grpc(&request) {
            return self.grpc.clone().call(request.map(Body::new)).await;
        }
        let path = request.uri().path();
        if !matches!(path, "/healthz" | "/readyz" | "/metrics") {
            let what = "here are /healthz, /readyz and /metrics\n";
            return Ok(plain(StatusCode::NOT_FOUND, what));
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET, HEAD here\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            response.headers_mut().insert(header::ALLOW, allowed);
            return Ok(response);
        }
        Ok(match path {
            "/healthz" => plain(StatusCode::OK, "ok\n"),
            "/readyz" => {
                let standing = self.health.standing();
                let status = match standing {
                    Standing::Serving => StatusCode::OK,
                    Standing::Waiting | Standing::Stopping => StatusCode::SERVICE_UNAVAILABLE,
                };
                plain(status, format!("{}\n", standing.as_str()))
            }
            _ => match metrics::page(&self.registry) {
                Ok(page) => typed(StatusCode::OK, metrics::CONTENT_TYPE, page),
                Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, ""),
            },
        })
    }
}

fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(header::CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"))
}

fn plain(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    typed(status, "text/plain; charset=utf-8", text.into())
}

fn typed(status: StatusCode, kind: &'static str, text: String) -> Response<Body> {
    let mut response = Response::new(Body::new(http_body_util::Full::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}
