//! Hears what the peer really said, below the gRPC client.
//!
//! tonic reports a broken connection, a reset or an abrupt GOAWAY in mid-call as a status of the
//! service (`Unknown`, "transport error"), and even takes an answer without any status for OK. Only
//! here can it be seen whether the peer sent a `grpc-status`: then it is the service's word; if not,
//! it is the transport's fault, or no gRPC at all. Tested together with [`call`](super::call), whose
//! errors it makes honest.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use tonic::Code;
use tower::Service;

/// What was heard of the peer in one call, as far as it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Heard {
    /// Nothing at all.
    #[default]
    Nothing,
    /// An answer that is not gRPC.
    NotGrpc(StatusCode),
    /// The head of a gRPC answer; its status is still to come.
    Head,
    /// The body broke off.
    Broken,
    /// The body ended without a status.
    NoStatus,
    /// The status that the service gave.
    Status(Code),
}

/// Put into the extensions of a request, it tells what was heard.
#[derive(Debug, Clone, Default)]
pub(super) struct Probe(Arc<Mutex<Heard>>);

impl Probe {
    pub(super) fn heard(&self) -> Heard {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hear(&self, heard: Heard) {
        let mut so_far = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // The first word that settles the matter is the last one.
        if matches!(*so_far, Heard::Nothing | Heard::Head) {
            *so_far = heard;
        }
    }

    fn hear_head<B>(&self, response: &Response<B>) {
        self.hear(
            if response.status() != StatusCode::OK || !is_grpc(response) {
                Heard::NotGrpc(response.status())
            } else {
                // An answer that is nothing but a status has it in its head.
                status(response.headers()).map_or(Heard::Head, Heard::Status)
            },
        );
    }
}

fn is_grpc<B>(response: &Response<B>) -> bool {
    response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}

fn status(headers: &HeaderMap) -> Option<Code> {
    headers
        .get("grpc-status")
        .map(|value| Code::from_bytes(value.as_bytes()))
}

/// Listens in on a channel.
#[derive(Debug, Clone)]
pub struct Classify<S> {
    inner: S,
}

impl<S> Classify<S> {
    pub(super) fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, ReqBody, ResBody> Service<Request<ReqBody>> for Classify<S>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>>,
{
    type Response = Response<ProbedBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<ReqBody>) -> Self::Future {
        let probe = request.extensions_mut().remove().unwrap_or_default();
        ResponseFuture {
            inner: self.inner.call(request),
            probe,
        }
    }
}

pin_project! {
    /// Future of [`Classify`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        probe: Probe,
    }
}

impl<F, B, E> Future for ResponseFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<ProbedBody<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        this.probe.hear_head(&response);
        let probe = this.probe.clone();
        Poll::Ready(Ok(response.map(|inner| ProbedBody { inner, probe })))
    }
}

pin_project! {
    /// The body of an answer, listened to.
    #[derive(Debug)]
    pub struct ProbedBody<B> {
        #[pin]
        inner: B,
        probe: Probe,
    }
}

impl<B: Body<Data = Bytes>> Body for ProbedBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.project();
        let frame = ready!(this.inner.poll_frame(cx));
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let status = status(trailers);
                    this.probe
                        .hear(status.map_or(Heard::NoStatus, Heard::Status));
                }
            }
            Some(Err(_)) => this.probe.hear(Heard::Broken),
            None => this.probe.hear(Heard::NoStatus),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
