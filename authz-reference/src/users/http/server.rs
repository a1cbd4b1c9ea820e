//! An HTTP server for tests: whatever a closure makes of each request, over TCP or TLS.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::AbortHandle,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

/// A request as it came.
#[derive(Debug, Clone)]
pub(in crate::users) struct Seen {
    pub(in crate::users) method: String,
    pub(in crate::users) path: String,
    pub(in crate::users) authorization: Option<String>,
    pub(in crate::users) content_type: Option<String>,
    pub(in crate::users) if_none_match: Option<String>,
    pub(in crate::users) body: String,
}

impl Seen {
    /// A field of a JSON body.
    pub(in crate::users) fn field(&self, name: &str) -> Value {
        serde_json::from_str::<Value>(&self.body).unwrap_or_default()[name].clone()
    }
}

/// What to answer.
#[derive(Debug, Clone, Default)]
pub(in crate::users) struct Reply {
    pub(in crate::users) status: u16,
    pub(in crate::users) body: String,
    pub(in crate::users) headers: Vec<(&'static str, String)>,
    /// Before anything is said.
    pub(in crate::users) delay: Option<Duration>,
}

pub(in crate::users) fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        body: body.to_owned(),
        ..Reply::default()
    }
}

/// A server, until it is dropped.
#[derive(Debug)]
pub(in crate::users) struct HttpServer {
    pub(in crate::users) address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    task: AbortHandle,
}

impl HttpServer {
    pub(in crate::users) async fn start(
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::serve(None, answer).await
    }

    pub(in crate::users) async fn start_tls(
        config: ServerConfig,
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::serve(Some(TlsAcceptor::from(Arc::new(config))), answer).await
    }

    pub(in crate::users) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(in crate::users) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    async fn serve(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Seen>>>::default();
        let (kept, answer) = (Arc::clone(&seen), Arc::new(answer));
        let task = tokio::spawn(async move {
            // Dropped with this task, and the connections with it.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (tls, kept, answer) = (tls.clone(), Arc::clone(&kept), Arc::clone(&answer));
                connections.spawn(async move {
                    match tls {
                        None => converse(stream, kept, answer).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                converse(stream, kept, answer).await;
                            }
                        }
                    }
                });
            }
        });
        Self {
            address,
            seen,
            task: task.abort_handle(),
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    kept: Arc<Mutex<Vec<Seen>>>,
    answer: Arc<impl Fn(&Seen) -> Reply + Send + Sync + 'static>,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let (kept, answer) = (Arc::clone(&kept), Arc::clone(&answer));
        async move {
            let header = |name: &str| {
                let value = request.headers().get(name)?;
                Some(value.to_str().unwrap().to_owned())
            };
            let mut seen = Seen {
                method: request.method().to_string(),
                path: request.uri().to_string(),
                authorization: header("authorization"),
                content_type: header("content-type"),
                if_none_match: header("if-none-match"),
                body: String::new(),
            };
            let body = request.into_body().collect().await.unwrap().to_bytes();
            seen.body = String::from_utf8(body.to_vec()).unwrap();
            kept.lock().unwrap().push(seen.clone());
            let reply = answer(&seen);
            if let Some(delay) = reply.delay {
                tokio::time::sleep(delay).await;
            }
            let mut response = Response::builder().status(reply.status);
            for (name, value) in reply.headers {
                response = response.header(name, value);
            }
            Ok::<_, Infallible>(response.body(Full::new(Bytes::from(reply.body))).unwrap())
        }
    });
    http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
        .ok();
}
