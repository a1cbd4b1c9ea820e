//! Where both programs send their spans, and where a test reads them: a collector in the test's process,
//! or a Jaeger.

mod jaeger;
mod otlp_json;
mod trace;

use std::{
    collections::BTreeMap,
    env,
    io::{self, Write as _},
    net::SocketAddr,
    sync::{Arc, Mutex, Once},
};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

pub use self::{
    jaeger::Jaeger,
    trace::{Span, Trace, hex},
};
use crate::{
    background::{self, Task},
    wait::eventually,
};

/// The query API of a Jaeger v2, as `http://127.0.0.1:16686`: spans are read from there.
const QUERY_URL: &str = "JAEGER_QUERY_URL";

/// Where that Jaeger receives OTLP over gRPC. By default port 4317 of the same host.
const OTLP_URL: &str = "JAEGER_OTLP_URL";

/// Keeps every span of the programs that export to it.
#[derive(Debug)]
pub struct Collector {
    endpoint: String,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Here {
        spans: Arc<Mutex<Vec<Span>>>,
        _task: Task,
    },
    Jaeger(Jaeger),
}

impl Collector {
    /// Reads from a Jaeger if `JAEGER_QUERY_URL` names one, else starts an empty collector here. Says on
    /// standard output which, once.
    #[must_use]
    pub fn of_environment() -> Self {
        static SAID: Once = Once::new();
        let named = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let (collector, place) = match named(QUERY_URL) {
            Some(query) => {
                let collector = Self::in_jaeger(Jaeger::at(&query), named(OTLP_URL));
                (collector, format!("a Jaeger, {query}"))
            }
            None => (Self::start(), "the collector in this process".to_owned()),
        };
        // Not by `println!`, which the test runner keeps to itself when all is well.
        SAID.call_once(|| {
            let _ = writeln!(io::stdout(), "traces are read from {place}");
        });
        collector
    }

    /// Starts an empty collector on a port of its own.
    #[must_use]
    pub fn start() -> Self {
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let service = TraceServiceServer::new(Sink(Arc::clone(&spans)));
        let incoming = background::block_on(async {
            TcpIncoming::bind(SocketAddr::from(([127, 0, 0, 1], 0)))
        });
        let incoming = incoming.expect("a free port").with_nodelay(Some(true));
        let address = incoming.local_addr().expect("a bound listener");
        let task = background::spawn(async move {
            let server = Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming);
            server.await.expect("the collector serves");
        });
        Self {
            endpoint: format!("http://{address}"),
            source: Source::Here { spans, _task: task },
        }
    }

    /// Reads from a Jaeger, which receives spans at an endpoint.
    #[must_use]
    pub fn in_jaeger(jaeger: Jaeger, endpoint: Option<String>) -> Self {
        Self {
            endpoint: endpoint.unwrap_or_else(|| jaeger.default_endpoint()),
            source: Source::Jaeger(jaeger),
        }
    }

    /// The endpoint to export to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// What a program needs in its environment, so that its spans are known for those of this test.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        match &self.source {
            Source::Here { .. } => BTreeMap::new(),
            Source::Jaeger(jaeger) => jaeger.environment(),
        }
    }

    /// All spans so far.
    #[must_use]
    #[track_caller]
    pub fn spans(&self) -> Vec<Span> {
        match &self.source {
            Source::Here { spans, .. } => spans.lock().unwrap().clone(),
            Source::Jaeger(jaeger) => jaeger.spans(),
        }
    }

    /// The spans so far of a trace, asked for by its id.
    #[must_use]
    #[track_caller]
    pub fn trace(&self, trace_id: &[u8]) -> Trace {
        match &self.source {
            Source::Here { .. } => Trace(self.spans()).of(trace_id),
            Source::Jaeger(jaeger) => Trace(jaeger.trace(trace_id)),
        }
    }

    /// Waits until `probe` finds what it looks for among all spans so far.
    ///
    /// # Panics
    /// If it never does; the message lists what there is.
    #[track_caller]
    pub fn eventually<T>(&self, what: &str, probe: impl Fn(&Trace) -> Option<T>) -> T {
        let found = crate::wait::poll_for(crate::wait::PATIENCE, || probe(&Trace(self.spans())));
        found.unwrap_or_else(|| panic!("never saw {what} among\n{}", Trace(self.spans()).outline()))
    }

    /// Waits until there are at least `count` spans.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Span> {
        eventually(&format!("{count} spans"), || {
            Some(self.spans()).filter(|spans| spans.len() >= count)
        })
    }
}

/// The receiving end.
#[derive(Debug)]
struct Sink(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let exported = request.into_inner().resource_spans;
        self.0.lock().unwrap().extend(trace::spans_of(exported));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
