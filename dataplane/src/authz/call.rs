//! The innermost layer: one batch, one gRPC call, one client span.

use std::{
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::Uri;
use tidegate_telemetry::TRACE_TARGET;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request, Status, transport::Channel};
use tower::Service;
use tracing::{Span, error, field::Empty, info_span};

use crate::log_limit::LogLimit;

use super::{
    classify::{Classify, Heard, Probe},
    failure::{Cause, shortened},
    hook::Hook,
    line::Line,
    options::AuthzOptions,
};

/// A gRPC client over a channel that is listened to.
pub(super) type Client = tonic::client::Grpc<Classify<Channel>>;

/// A batch on its way. Cheap to clone: the same bytes can be sent twice.
#[derive(Debug, Clone)]
pub(super) struct Shipment {
    /// The request message, encoded.
    pub(super) request: Bytes,
    /// Number of checks in it: at least one, each with an `item_id` of its own.
    pub(super) size: usize,
    /// Spans of those checks that were sampled.
    pub(super) spans: Vec<Span>,
    /// When the last of them has no use for an answer any more.
    pub(super) deadline: Instant,
}

/// Makes the calls of one hook.
pub(super) struct Call<H> {
    shared: Arc<Shared>,
    hook: PhantomData<fn() -> H>,
}

/// What does not change from call to call.
struct Shared {
    line: Arc<Line>,
    max_response_bytes: usize,
    endpoint: Uri,
    complaints: LogLimit,
}

impl<H> Call<H> {
    pub(super) fn new(line: Arc<Line>, options: &AuthzOptions) -> Self {
        Self {
            shared: Arc::new(Shared {
                line,
                max_response_bytes: options.max_response_bytes,
                endpoint: options.endpoint.clone(),
                complaints: LogLimit::new(1),
            }),
            hook: PhantomData,
        }
    }
}

impl<H> Clone for Call<H> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            hook: PhantomData,
        }
    }
}

impl<H: Hook> Service<Shipment> for Call<H> {
    type Response = Vec<H::Result>;
    type Error = Cause;
    type Future = Pin<Box<dyn Future<Output = Result<Vec<H::Result>, Cause>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Cause>> {
        // The channel queues outside of any timeout of its own, so that its readiness is awaited
        // inside of the call, under the deadline.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, shipment: Shipment) -> Self::Future {
        Box::pin(call::<H>(Arc::clone(&self.shared), shipment))
    }
}

async fn call<H: Hook>(shared: Arc<Shared>, shipment: Shipment) -> Result<Vec<H::Result>, Cause> {
    let Shipment {
        request,
        size,
        spans,
        deadline,
    } = shipment;
    let span = call_span::<H>(&spans, size, &shared.endpoint);
    let probe = Probe::default();

    let mut request = Request::new(request);
    request.set_timeout(deadline.saturating_duration_since(Instant::now()));
    request.extensions_mut().insert(probe.clone());
    tidegate_telemetry::inject(&span, request.metadata_mut());

    let connection = shared.line.connection();
    let client = Client::new(Classify::new(connection.channel.clone()))
        .max_decoding_message_size(shared.max_response_bytes);
    // tonic's timer starts only when the request has left its queue, which may be never.
    let result = match timeout_at(deadline, H::call(client, request)).await {
        Ok(result) => judge(result, probe.heard(), deadline),
        Err(_) => Err(Cause::Timeout),
    };
    match (probe.heard(), &result) {
        (Heard::Nothing, Err(Cause::Timeout)) => shared.line.silent(&connection),
        (Heard::Nothing, _) => {}
        _ => shared.line.heard(&connection),
    }
    record(&span, &result);
    if let Err(cause) = &result {
        shared.complain(cause, H::METHOD);
    }
    result
}

/// What became of a call: what tonic says, corrected by what was heard of the peer.
fn judge<R>(result: Result<R, Status>, heard: Heard, deadline: Instant) -> Result<R, Cause> {
    let told = match (result, heard) {
        (Ok(response), Heard::Status(Code::Ok)) => return Ok(response),
        (Ok(_), _) => String::new(),
        (Err(status), _) => root_cause(&status),
    };
    Err(match heard {
        Heard::NotGrpc(status) => Cause::NotGrpc(status.as_u16()),
        // The peer meant well, or had not come to its status yet: it was the message.
        Heard::Status(Code::Ok) | Heard::Head => Cause::Unreadable(told),
        Heard::Status(code) => Cause::Status {
            code,
            message: told,
        },
        Heard::NoStatus => Cause::Transport("the answer ended without a status".to_owned()),
        // tonic's own timer, a little earlier than ours.
        Heard::Nothing if Instant::now() >= deadline => Cause::Timeout,
        Heard::Nothing | Heard::Broken => Cause::Transport(told),
    })
}

/// tonic says "transport error" or "error trying to connect"; what lies below says why.
fn root_cause(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        source = error.source();
    }
    shortened(&text)
}

impl Shared {
    /// Some failures do not pass by themselves. Whoever operates this has to do something, so they are
    /// told what.
    fn complain(&self, cause: &Cause, method: &'static str) {
        let advice = match cause {
            Cause::Status {
                code: Code::Unimplemented,
                ..
            } => "the service does not implement this method: deploy one that does",
            Cause::Status {
                code: Code::PermissionDenied | Code::Unauthenticated,
                ..
            } => {
                "the service does not accept this data plane: check its credentials (it is no \
                  way to deny a client: that is a `deny` in the response)"
            }
            Cause::NotGrpc(_) => "something else answers at `authz.endpoint`: check the address",
            _ => return,
        };
        if let Some(suppressed) = self.complaints.permit() {
            error!(
                endpoint = %self.endpoint,
                method,
                suppressed,
                "no decisions: {cause}; {advice}"
            );
        }
    }
}

/// Client span of a call. With one sampled check it is that check's child, so that the packet's trace
/// is one clean line over both processes. With several it is a root with a link to each; the
/// `traceparent` inside each check then leads the service into the packet's own trace.
fn call_span<H: Hook>(spans: &[Span], checks: usize, endpoint: &Uri) -> Span {
    macro_rules! span {
        ($($parent:tt)*) => {
            info_span!(
                target: TRACE_TARGET,
                $($parent)*,
                "authz.call",
                otel.name = H::SPAN_NAME,
                otel.kind = "client",
                rpc.system.name = "grpc",
                rpc.method = H::SPAN_NAME,
                { STATUS_CODE } = Empty,
                server.address = endpoint.host(),
                server.port = endpoint.port_u16(),
                tidegate.authz.batch_size = checks as u64,
                error.type = Empty,
                otel.status_code = Empty,
                otel.status_description = Empty,
            )
        };
    }
    match spans {
        [] => Span::none(),
        [only] => span!(parent: only),
        several => {
            let span = span!(parent: None);
            for check in several {
                tidegate_telemetry::link(&span, check);
            }
            span
        }
    }
}

/// Its name is about to change in the semantic conventions.
const STATUS_CODE: &str = "rpc.response.status_code";

fn record<R>(span: &Span, result: &Result<R, Cause>) {
    if span.is_disabled() {
        return;
    }
    match result {
        Ok(_) => {
            span.record(STATUS_CODE, "OK");
        }
        Err(cause) => {
            if let Cause::Status { code, .. } = cause {
                span.record(STATUS_CODE, tracing::field::display(code_name(*code)));
            }
            span.record("error.type", cause.why().as_str());
            span.record("otel.status_code", "ERROR");
            span.record("otel.status_description", tracing::field::display(cause));
        }
    }
}

/// The name of a code as the semantic conventions write it, for example `NOT_FOUND`.
fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests;
