//! An OTLP collector that keeps every span it is sent.

use std::{
    collections::HashSet,
    net::SocketAddr,
    ops::Deref,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
    trace::v1::{Span as Proto, span::SpanKind},
};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::{
    background::{self, Task},
    wait::eventually,
};

/// A collector on a port of its own.
#[derive(Debug)]
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    _task: Task,
}

/// A span, and the service that it is from.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name` of the resource.
    pub service: String,
    proto: Proto,
}

impl Collector {
    /// Starts an empty collector.
    #[must_use]
    pub fn start() -> Self {
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let service = TraceServiceServer::new(Sink(Arc::clone(&spans)));
        let incoming =
            background::block_on(async { TcpIncoming::bind(([127, 0, 0, 1], 0).into()) });
        let incoming = incoming.expect("a free port").with_nodelay(Some(true));
        let address = incoming.local_addr().expect("a bound listener");
        let task = background::spawn(async move {
            let server = Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming);
            server.await.expect("the collector serves");
        });
        Self {
            address,
            spans,
            _task: task,
        }
    }

    /// The endpoint to export to.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All spans so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
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

/// A set of spans, to find one's way in.
#[derive(Debug, Clone)]
pub struct Trace(Vec<Span>);

impl Trace {
    /// The spans.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Spans of one service and kind whose name contains a text.
    pub fn find(&self, service: &str, kind: SpanKind, name: &str) -> impl Iterator<Item = &Span> {
        self.0.iter().filter(move |span| {
            span.service == service && span.kind() == kind && span.name.contains(name)
        })
    }

    /// The parent of a span, if it is there.
    #[must_use]
    pub fn parent(&self, child: &Span) -> Option<&Span> {
        self.0
            .iter()
            .find(|span| span.trace_id == child.trace_id && span.span_id == child.parent_span_id)
    }

    /// A span and its ancestors up to the root; `None` while one of them is missing.
    #[must_use]
    pub fn lineage<'a>(&'a self, span: &'a Span) -> Option<Vec<&'a Span>> {
        let mut lineage = vec![span];
        while let Some(last) = lineage.last().filter(|last| !last.is_root()) {
            lineage.push(self.parent(last)?);
        }
        Some(lineage)
    }

    /// The spans of one trace.
    #[must_use]
    pub fn of(&self, trace_id: &[u8]) -> Self {
        Self(
            self.0
                .iter()
                .filter(|span| span.trace_id == trace_id)
                .cloned()
                .collect(),
        )
    }

    /// How many different trace ids there are.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.0
            .iter()
            .map(|span| &span.trace_id)
            .collect::<HashSet<_>>()
            .len()
    }

    /// One line per span.
    #[must_use]
    pub fn outline(&self) -> String {
        let lines = self.0.iter().map(|span| {
            format!(
                "{} {}<-{} {:?} {} {}\n",
                hex(&span.trace_id),
                hex(&span.span_id),
                hex(&span.parent_span_id),
                span.kind(),
                span.service,
                span.name
            )
        });
        lines.collect()
    }
}

impl Span {
    /// Whether it has no parent.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.parent_span_id.iter().all(|&byte| byte == 0)
    }

    /// The text of an attribute, if it has it.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        text(&self.attributes, key)
    }

    /// Whether it links to another span.
    #[must_use]
    pub fn links_to(&self, other: &Self) -> bool {
        self.links
            .iter()
            .any(|link| link.trace_id == other.trace_id && link.span_id == other.span_id)
    }
}

impl Deref for Span {
    type Target = Proto;

    fn deref(&self) -> &Proto {
        &self.proto
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
        let mut spans = self.0.lock().unwrap();
        for of_resource in request.into_inner().resource_spans {
            let resource = of_resource.resource.unwrap_or_default();
            let service = text(&resource.attributes, "service.name")
                .unwrap_or("")
                .to_owned();
            let exported = of_resource
                .scope_spans
                .into_iter()
                .flat_map(|scope| scope.spans);
            spans.extend(exported.map(|proto| Span {
                service: service.clone(),
                proto,
            }));
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
