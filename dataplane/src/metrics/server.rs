//! `GET /metrics`, and nothing else. OpenMetrics for those who ask for it, the older text format for others.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode, header};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use prometheus_client::{encoding::text, registry::Registry};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::classic;

/// The format that the registry writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What is in the `Accept` header of those who read it.
const MEDIA_TYPE: &str = "application/openmetrics-text";

/// For one request, from accept to the last byte of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests at once. Scrapers come one at a time.
const MAX_REQUESTS: usize = 16;

/// The wait after a failed accept.
const BACK_OFF: Duration = Duration::from_millis(500);

/// Serves a registry.
#[derive(Debug)]
pub(crate) struct Server {
    socket: TcpListener,
    registry: Arc<Registry>,
}

impl Server {
    /// Binds the address.
    pub(crate) async fn bind(address: SocketAddr, registry: Registry) -> io::Result<Self> {
        Ok(Self {
            socket: TcpListener::bind(address).await?,
            registry: Arc::new(registry),
        })
    }

    pub(crate) fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Answers until it is stopped.
    pub(crate) async fn serve(self, stop: CancellationToken) {
        if let Ok(address) = self.local_addr() {
            info!(%address, "serving metrics");
        }
        let permits = Arc::new(Semaphore::new(MAX_REQUESTS));
        while let Some(accepted) = stop.run_until_cancelled(self.socket.accept()).await {
            match accepted {
                Ok((stream, _)) => {
                    // Beyond the bound it is closed at once.
                    if let Ok(permit) = Arc::clone(&permits).try_acquire_owned() {
                        let registry = Arc::clone(&self.registry);
                        tokio::spawn(async move {
                            // Late or broken: the scraper's loss.
                            let _ = timeout(PATIENCE, answer(stream, registry)).await;
                            drop(permit);
                        });
                    }
                }
                Err(error) => {
                    error!(%error, "cannot accept a scraper");
                    sleep(BACK_OFF).await;
                }
            }
        }
    }
}

async fn answer(stream: TcpStream, registry: Arc<Registry>) -> hyper::Result<()> {
    let service = service_fn(|request| {
        let response = respond(&request, &registry);
        async { Ok::<_, Infallible>(response) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn respond(request: &Request<Incoming>, registry: &Registry) -> Response<String> {
    if request.uri().path() != "/metrics" {
        return status(StatusCode::NOT_FOUND);
    }
    if request.method() != Method::GET {
        return status(StatusCode::METHOD_NOT_ALLOWED);
    }
    let mut body = String::new();
    if text::encode(&mut body, registry).is_err() {
        return status(StatusCode::INTERNAL_SERVER_ERROR);
    }
    let format = if accepts_open_metrics(request) {
        OPEN_METRICS
    } else {
        body = classic::from_open_metrics(&body);
        classic::TEXT
    };
    let mut response = Response::new(body);
    let format = header::HeaderValue::from_static(format);
    response.headers_mut().insert(header::CONTENT_TYPE, format);
    response
}

fn accepts_open_metrics<B>(request: &Request<B>) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT);
    let texts = accepted.iter().filter_map(|value| value.to_str().ok());
    let mut ranges = texts.flat_map(|text| text.split(','));
    ranges.any(|range| {
        let name = range.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(MEDIA_TYPE)
    })
}

fn status(status: StatusCode) -> Response<String> {
    let mut response = Response::new(String::new());
    *response.status_mut() = status;
    response
}
