//! The innermost layer: one batch, one gRPC call, one client span.

use std::{
    fmt,
    future::Future,
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use tidegate_telemetry::TRACE_TARGET;
use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request, Status, metadata::MetadataValue};
use tower::Service;
use tracing::{Span, error, field::Empty, info_span};

use crate::log_limit::LogLimit;

use super::{
    cache::Revisions,
    classify::{Classify, Heard, Probe},
    endpoints::{Address, Connection, ConnectionError, Ending, Endpoints, Picked, Sign, chain},
    failure::Cause,
    hook::Hook,
    options::AuthzOptions,
    retry::{Advice, Attempt, Expires, Failed},
    wire::Answers,
};

/// What is left of the time of a call that finds no endpoint.
const PICKING_MARGIN: Duration = Duration::from_millis(10);

/// A gRPC client over a connection that is listened to.
pub(super) type Client = tonic::client::Grpc<Classify<Connection>>;

/// A batch on its way. A clone of it is the same batch: the same bytes can be sent twice.
#[derive(Clone)]
pub(super) struct Shipment {
    /// The request message, encoded.
    pub(super) request: Bytes,
    /// Number of checks in it: at least one, each with an `item_id` of its own.
    pub(super) size: usize,
    /// Spans of those checks that were sampled.
    pub(super) spans: Vec<Span>,
    /// When the last of them has no use for an answer any more.
    pub(super) deadline: Instant,
    /// Whether they are of a session that travels alone.
    pub(super) is_apart: bool,
}

impl fmt::Debug for Shipment {
    /// The request has passwords in it, and what the service gave to sessions.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shipment")
            .field(
                "request",
                &format_args!("<{} bytes, redacted>", self.request.len()),
            )
            .field("size", &self.size)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl Expires for Shipment {
    fn deadline(&self) -> Instant {
        self.deadline
    }
}

/// Makes the calls of one hook.
pub(super) struct Call<H> {
    shared: Arc<Shared>,
    hook: PhantomData<fn() -> H>,
}

/// What does not change from call to call.
struct Shared {
    endpoints: Arc<Endpoints>,
    max_response_bytes: usize,
    /// None: nobody wants to know.
    revisions: Option<Arc<Revisions>>,
    complaints: LogLimit,
}

impl<H> Call<H> {
    pub(super) fn new(
        endpoints: Arc<Endpoints>,
        revisions: Option<Arc<Revisions>>,
        options: &AuthzOptions,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                endpoints,
                max_response_bytes: options.max_response_bytes,
                revisions,
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

impl<H: Hook> Service<Attempt<Shipment>> for Call<H> {
    type Response = Answers<H::Result>;
    type Error = Failed;
    type Future = Pin<Box<dyn Future<Output = Result<Answers<H::Result>, Failed>> + Send>>;

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), Failed>> {
        // To find an endpoint may take time, which is the call's: it is awaited inside of the call,
        // under the deadline.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt<Shipment>) -> Self::Future {
        Box::pin(call::<H>(Arc::clone(&self.shared), attempt))
    }
}

async fn call<H: Hook>(
    shared: Arc<Shared>,
    attempt: Attempt<Shipment>,
) -> Result<Answers<H::Result>, Failed> {
    let span = call_span::<H>(&attempt.request.spans, attempt.request.size);
    let deadline = attempt.request.deadline;
    let picking = shared.endpoints.pick(attempt.avoided.as_deref());
    // A little early: its checks are about to take this for a service that is slow.
    let until = deadline.checked_sub(PICKING_MARGIN).unwrap_or(deadline);
    let picked = match timeout_at(until, picking).await {
        Ok(picked) => picked,
        Err(_) => Err(shared.endpoints.nowhere()),
    };
    let result = match picked {
        Ok(picked) => {
            span.record("server.address", picked.address().host.as_str());
            span.record("server.port", picked.address().port);
            on_endpoint::<H>(&shared, picked, attempt, &span).await
        }
        Err(cause) => Err(Failed {
            cause,
            address: None,
            advice: Advice::None,
        }),
    };
    record(&span, &result);
    if let Err(failed) = &result {
        shared.complain(failed, H::METHOD);
    }
    result
}

/// The call itself, on this endpoint.
async fn on_endpoint<H: Hook>(
    shared: &Shared,
    picked: Picked,
    attempt: Attempt<Shipment>,
    span: &Span,
) -> Result<Answers<H::Result>, Failed> {
    let Shipment {
        request,
        deadline,
        is_apart,
        ..
    } = attempt.request;
    let departed_at = Instant::now();
    let probe = Probe::default();

    let mut request = Request::new(request);
    request.set_timeout(deadline.saturating_duration_since(departed_at));
    if attempt.number > 0 {
        let before = MetadataValue::from(attempt.number);
        request.metadata_mut().insert(PREVIOUS_ATTEMPTS, before);
    }
    request.extensions_mut().insert(probe.clone());
    tidegate_telemetry::inject(span, request.metadata_mut());

    let client = Client::new(Classify::new(picked.connection()))
        .max_decoding_message_size(shared.max_response_bytes);
    let called = timeout_at(deadline, H::call(client, request)).await;
    let advice = match &called {
        Ok(Err(status)) => advice(status, probe.heard()),
        _ => Advice::None,
    };
    let mut result = match called {
        Ok(result) => judge(result, probe.heard(), deadline),
        Err(_) => Err(Cause::Timeout),
    };
    if let (Ok(answers), Some(revisions)) = (&mut result, &shared.revisions) {
        answers.maker = Some(revisions.note(picked.address(), &answers.policy_revision));
    }
    let ending = match (probe.heard(), &result) {
        _ if advice == Advice::Unsent => Ending::Unsent,
        (Heard::Nothing, Err(Cause::Timeout)) => Ending::Silent(sign(&result, is_apart)),
        (Heard::Nothing, _) => Ending::Broken,
        (_, result) => Ending::Heard(sign(result, is_apart)),
    };
    picked.ended(ending, status_of(&result), H::KIND, departed_at.elapsed());
    result.map_err(|cause| Failed {
        cause,
        address: Some(Box::new(picked.address().clone())),
        advice,
    })
}

/// Number of attempts that were made before, as gRPC names it.
const PREVIOUS_ATTEMPTS: &str = "grpc-previous-rpc-attempts";
/// When to come back, in milliseconds; negative, or no number at all: not.
const PUSHBACK: &str = "grpc-retry-pushback-ms";

fn advice(status: &Status, heard: Heard) -> Advice {
    if heard == Heard::Nothing && is_unsent(status) {
        return Advice::Unsent;
    }
    let pushback = match heard {
        Heard::Status(_) => status.metadata().get(PUSHBACK),
        _ => None,
    };
    let Some(pushback) = pushback else {
        return Advice::None;
    };
    match pushback.to_str().ok().and_then(|text| text.parse().ok()) {
        Some(millis) => Advice::After(Duration::from_millis(millis)),
        None => Advice::Never,
    }
}

fn is_unsent(status: &Status) -> bool {
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<ConnectionError>() {
            return error.is_unsent;
        }
        source = error.source();
    }
    false
}

/// What it says about the endpoint. Only what no check of a client can cause speaks against it: a session that
/// travels alone is known to be slow, or to fail, by its own doing.
fn sign<R>(result: &Result<R, Cause>, is_apart: bool) -> Sign {
    match result {
        Ok(_) => Sign::Good,
        Err(Cause::Timeout) if is_apart => Sign::None,
        Err(Cause::Status { code, .. })
            if is_apart && matches!(code, Code::ResourceExhausted | Code::DeadlineExceeded) =>
        {
            Sign::None
        }
        Err(Cause::Timeout | Cause::Transport(_) | Cause::NotGrpc(_)) => Sign::Bad,
        Err(Cause::Status { code, .. }) => match code {
            Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded => Sign::Bad,
            _ => Sign::None,
        },
        Err(_) => Sign::None,
    }
}

/// The word for a result in the metrics.
fn status_of<R>(result: &Result<R, Cause>) -> &'static str {
    match result {
        Ok(_) => code_name(Code::Ok),
        Err(Cause::Status { code, .. }) => code_name(*code),
        Err(Cause::Timeout) => "timeout",
        Err(Cause::Transport(_)) => "transport",
        Err(Cause::NotGrpc(_)) => "not_grpc",
        Err(_) => "unreadable",
    }
}

/// What became of a call: what tonic says, corrected by what was heard of the peer.
fn judge<R>(result: Result<R, Status>, heard: Heard, deadline: Instant) -> Result<R, Cause> {
    let told = match (result, heard) {
        (Ok(response), Heard::Status(Code::Ok)) => return Ok(response),
        (Ok(_), _) => String::new(),
        (Err(status), _) => chain(&status),
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

impl Shared {
    /// Some failures do not pass by themselves. Whoever operates this has to do something, so they are
    /// told what.
    fn complain(&self, failed: &Failed, method: &'static str) {
        let Failed { cause, address, .. } = failed;
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
                endpoint = %address.as_deref().map_or_else(String::new, Address::to_string),
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
fn call_span<H: Hook>(spans: &[Span], checks: usize) -> Span {
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
                server.address = Empty,
                server.port = Empty,
                tidegate.authz.batch_size = checks as i64,
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

fn record<R>(span: &Span, result: &Result<R, Failed>) {
    if span.is_disabled() {
        return;
    }
    match result {
        Ok(_) => {
            span.record(STATUS_CODE, "OK");
        }
        Err(Failed { cause, .. }) => {
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
