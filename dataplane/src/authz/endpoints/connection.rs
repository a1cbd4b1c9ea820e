//! An HTTP/2 connection, as a gRPC client wants it.
//!
//! Not tonic's `Channel`: that one has a task and a queue of its own between the caller and the
//! connection, and it dials whenever it is called, so that nobody could say which endpoint is alive.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{
    HeaderValue, Request, Response, Uri,
    header::USER_AGENT,
    uri::{Authority, Parts, PathAndQuery, Scheme},
};
use hyper::{body::Incoming, client::conn::http2::SendRequest};
use thiserror::Error;
use tonic::body::Body;
use tower::Service;

/// One connection. Clones share it.
#[derive(Debug, Clone)]
pub struct Connection {
    sender: SendRequest<Body>,
    origin: Arc<Origin>,
}

/// What goes in front of every path.
#[derive(Debug)]
pub(super) struct Origin {
    scheme: Scheme,
    authority: Authority,
}

impl Origin {
    pub(super) fn new(is_tls: bool, authority: Authority) -> Self {
        let scheme = if is_tls { Scheme::HTTPS } else { Scheme::HTTP };
        Self { scheme, authority }
    }
}

/// A connection that broke.
#[derive(Debug, Error)]
#[error("the connection broke")]
pub struct ConnectionError {
    /// Whether the peer has done nothing about the request: it was not sent, or came after the last one
    /// that the peer took on before it said goodbye.
    pub(in crate::authz) is_unsent: bool,
    source: hyper::Error,
}

const AGENT: HeaderValue = HeaderValue::from_static(concat!(
    "tidegate/",
    env!("CARGO_PKG_VERSION"),
    " grpc-rust"
));

impl Connection {
    pub(super) fn new(sender: SendRequest<Body>, origin: Origin) -> Self {
        Self {
            sender,
            origin: Arc::new(origin),
        }
    }

    /// Whether it takes no more requests.
    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    fn uri(&self, path: Option<&PathAndQuery>) -> Uri {
        let mut parts = Parts::default();
        parts.scheme = Some(self.origin.scheme.clone());
        parts.authority = Some(self.origin.authority.clone());
        parts.path_and_query = Some(path.cloned().unwrap_or(PathAndQuery::from_static("/")));
        // Never fails: all three are there.
        Uri::from_parts(parts).unwrap_or_default()
    }
}

impl Service<Request<Body>> for Connection {
    type Response = Response<Incoming>;
    type Error = ConnectionError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ConnectionError>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), ConnectionError>> {
        // A closed one gives the request back, below.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        *request.uri_mut() = self.uri(request.uri().path_and_query());
        request.headers_mut().insert(USER_AGENT, AGENT);
        let sent = self.sender.try_send_request(request);
        Box::pin(async {
            sent.await.map_err(|mut error| {
                let was_returned = error.take_message().is_some();
                let source = error.into_error();
                ConnectionError {
                    is_unsent: was_returned || is_goodbye(&source),
                    source,
                }
            })
        })
    }
}

/// Whether the peer leaves in an orderly way. Requests that it has taken on are answered all the same, so
/// this is only ever said of others [RFC 9113, 6.8].
fn is_goodbye(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error);
    let error = source.and_then(|source| source.downcast_ref::<h2::Error>());
    error.is_some_and(|error| {
        error.is_go_away() && error.is_remote() && error.reason() == Some(h2::Reason::NO_ERROR)
    })
}
