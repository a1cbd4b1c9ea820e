//! What reaches an OTLP collector: every sampled packet's trace, and nothing else.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{
    fs,
    sync::{Arc, Mutex},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::{Span, status::StatusCode},
};
use support::{program::Serving, *};
use tidegate_proto::v1::{
    AuthorizeConnectRequest, AuthorizePublishRequest, CheckMetadata, PublishCheck,
};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// Keeps every span that it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        let scopes = resources.flat_map(|resource| resource.scope_spans);
        self.0
            .lock()
            .unwrap()
            .extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    async fn start() -> (Self, String) {
        let collector = Self::default();
        let incoming = TcpIncoming::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let endpoint = format!("http://{}", incoming.local_addr().unwrap());
        let service = TraceServiceServer::new(collector.clone());
        tokio::spawn(
            Server::builder()
                .add_service(service)
                .serve_with_incoming(incoming),
        );
        (collector, endpoint)
    }

    /// The spans of one trace by name, oldest first.
    fn trace(&self, trace_id: u8) -> Vec<Span> {
        let spans = self.0.lock().unwrap();
        let mut trace: Vec<_> = spans
            .iter()
            .filter(|span| span.trace_id == [trace_id; 16])
            .cloned()
            .collect();
        trace.sort_by_key(|span| span.start_time_unix_nano);
        trace
    }
}

fn traceparent(trace_id: u8, sampled: bool) -> String {
    format!(
        "00-{}-{}-0{}",
        format!("{trace_id:02x}").repeat(16),
        "ab".repeat(8),
        u8::from(sampled)
    )
}

fn within<T>(traceparent: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request
        .metadata_mut()
        .insert("traceparent", traceparent.parse().unwrap());
    request
}

fn attribute(span: &Span, key: &str) -> String {
    let attribute = span
        .attributes
        .iter()
        .find(|attribute| attribute.key == key);
    let value = attribute.and_then(|attribute| attribute.value.clone()?.value);
    value.map_or_else(String::new, |value| format!("{value:?}"))
}

fn names(trace: &[Span]) -> Vec<&str> {
    trace.iter().map(|span| span.name.as_str()).collect()
}

#[tokio::test]
async fn every_sampled_packet_has_its_trace() {
    let (collector, endpoint) = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("users.toml"), users(&["alice"])).unwrap();
    let config =
        format!("[users]\nfile = \"users.toml\"\n[telemetry]\notlp_endpoint = \"{endpoint}\"\n");
    let serving = Serving::start(folder.path(), &config);
    let mut client = Client::new(channel(serving.addr).await);
    let alice = logged_in(&mut client, "alice").await; // unsampled

    // One CONNECT: the call is in the packet's trace.
    let mut check = connect(Some("alice"), Some("wrong"));
    let metadata = CheckMetadata {
        traceparent: traceparent(1, true),
        ..CheckMetadata::default()
    };
    check.metadata = Some(metadata);
    let request = AuthorizeConnectRequest {
        checks: vec![check],
        data_plane: None,
    };
    client
        .authorize_connect(within(&traceparent(1, true), request))
        .await
        .unwrap();

    // A batch: the call has a trace of its own, and so has each packet, but for one.
    let check = |trace_id: u8, sampled: bool, topic: &str| PublishCheck {
        metadata: Some(CheckMetadata {
            item_id: trace_id.into(),
            traceparent: traceparent(trace_id, sampled),
            ..CheckMetadata::default()
        }),
        ..publish(&alice, topic)
    };
    let checks = vec![
        check(3, true, "alice/x"),
        check(4, true, ""),
        check(5, false, "alice/x"),
    ];
    let request = AuthorizePublishRequest {
        checks,
        data_plane: None,
    };
    client
        .authorize_publish(within(&traceparent(2, true), request))
        .await
        .unwrap();

    drop(client);
    serving.signal("TERM");
    let ended = serving.wait().await;
    assert_eq!(ended.code, Some(0));

    let connect = collector.trace(1);
    let method = "tidegate.authz.v1.AuthorizationService/AuthorizeConnect";
    assert_eq!(names(&connect), [method, "verify password"]);
    assert_eq!(connect[0].parent_span_id, [0xab; 8]);
    assert_eq!(connect[1].parent_span_id, connect[0].span_id);
    assert!(attribute(&connect[0], "tidegate.authz.outcome").contains("deny"));
    assert!(attribute(&connect[0], "tidegate.authz.policy").contains("unknown-user-or-password"));
    assert!(attribute(&connect[0], "rpc.method").contains(method));
    assert!(attribute(&connect[0], "rpc.response.status_code").contains("OK"));
    assert_eq!(
        status(&connect[0]),
        StatusCode::Unset,
        "a denial is no error"
    );

    let call = collector.trace(2);
    assert_eq!(
        names(&call),
        ["tidegate.authz.v1.AuthorizationService/AuthorizePublish"]
    );
    assert!(attribute(&call[0], "tidegate.authz.batch_size").contains('3'));
    assert_eq!(
        attribute(&call[0], "tidegate.authz.outcome"),
        "",
        "it has no single one"
    );

    let allowed = collector.trace(3);
    assert_eq!(names(&allowed), ["publish"]);
    assert_eq!(allowed[0].parent_span_id, [0xab; 8]);
    assert_eq!(allowed[0].links[0].span_id, call[0].span_id);
    assert!(attribute(&allowed[0], "tidegate.authz.outcome").contains("allow"));

    let faulty = collector.trace(4);
    assert_eq!(status(&faulty[0]), StatusCode::Error);
    assert!(attribute(&faulty[0], "error.type").contains("invalid-check"));

    assert!(collector.trace(5).is_empty(), "nobody asked for it");
    assert_eq!(collector.0.lock().unwrap().len(), 5, "and nothing else");

    let denial = ended
        .decisions
        .lines()
        .find(|line| line.contains("\"deny\""))
        .unwrap();
    assert!(
        denial.contains(&"01".repeat(16)),
        "the trace id is in the log: {denial}"
    );
}

fn status(span: &Span) -> StatusCode {
    span.status
        .as_ref()
        .map_or(StatusCode::Unset, |status| status.code())
}

#[tokio::test]
async fn a_query_is_in_the_trace_of_its_connect() {
    let (collector, endpoint) = Collector::start().await;
    let folder = tempfile::tempdir().unwrap();
    let config = format!("[telemetry]\notlp_endpoint = \"{endpoint}\"\n");
    let serving = Serving::start(folder.path(), &config);
    let mut client = Client::new(channel(serving.addr).await);
    let mut check = connect(Some("alice"), Some("secret"));
    check.metadata = Some(CheckMetadata {
        traceparent: traceparent(1, true),
        ..CheckMetadata::default()
    });
    let request = AuthorizeConnectRequest {
        checks: vec![check],
        data_plane: None,
    };
    let request = within(&traceparent(1, true), request);
    client.authorize_connect(request).await.unwrap();
    drop(client);
    serving.signal("TERM");
    assert_eq!(serving.wait().await.code, Some(0));

    let trace = collector.trace(1);
    let call = &trace[0];
    let query = trace.iter().find(|span| span.name == "SELECT users");
    let query = query.unwrap();
    assert_eq!(query.parent_span_id, call.span_id);
    assert!(attribute(query, "db.system.name").contains("sqlite"));
    assert!(attribute(query, "db.operation.name").contains("SELECT"));
    assert!(!format!("{query:?}").contains("alice"));
}
