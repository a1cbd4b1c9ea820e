//! Reading from a Jaeger, shown with one that only knows what this file says.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

use opentelemetry_proto::tonic::trace::v1::{span::SpanKind, status::StatusCode};
use tidegate_tests::collector::{Collector, Jaeger};

const NOT_YET: (u16, &str) = (
    404,
    r#"{"error":{"httpCode":404,"message":"No traces found"}}"#,
);

/// Answers every request with what is there at that time, and remembers what was asked.
#[derive(Debug, Clone)]
struct Stub {
    address: SocketAddr,
    answer: Arc<Mutex<(u16, String)>>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Stub {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stub = Self {
            address: listener.local_addr().unwrap(),
            answer: Arc::default(),
            asked: Arc::default(),
        };
        stub.answer(NOT_YET);
        let served = stub.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(&stream).lines().map(Result::unwrap);
                let request = lines.next().unwrap();
                served.asked.lock().unwrap().push(request);
                lines.find(String::is_empty);
                let (status, body) = served.answer.lock().unwrap().clone();
                write!(stream, "HTTP/1.0 {status} Said\r\n\r\n{body}").unwrap();
            }
        });
        stub
    }

    fn answer(&self, (status, body): (u16, &str)) {
        *self.answer.lock().unwrap() = (status, body.to_owned());
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

/// As Jaeger writes it: OTLP's JSON below `result`.
fn answer(mark: &str) -> String {
    let resource = |service: &str, mark: &str| {
        format!(
            r#"{{"attributes":[{{"key":"service.name","value":{{"stringValue":"{service}"}}}},
                {{"key":"tidegate.test","value":{{"stringValue":"{mark}"}}}}]}}"#
        )
    };
    let trace = "0af7651916cd43dd8448eb211c80319c";
    format!(
        r#"{{"result":{{"resourceSpans":[
            {{"resource":{front},"scopeSpans":[{{"scope":{{}},"spans":[
                {{"traceId":"{trace}","spanId":"00000000000000a1","parentSpanId":"","name":"root","kind":1,
                  "startTimeUnixNano":"1700000000000000001","endTimeUnixNano":"1700000000000000002",
                  "links":[{{"traceId":"{trace}","spanId":"00000000000000ff"}}],"status":{{}}}},
                {{"traceId":"{trace}","spanId":"00000000000000a2","parentSpanId":"00000000000000a1","name":"call","kind":3,
                  "attributes":[{{"key":"size","value":{{"intValue":"7"}}}},{{"key":"yes","value":{{"boolValue":true}}}}],
                  "status":{{"code":2,"message":"broken"}}}}]}}]}},
            {{"resource":{back},"scopeSpans":[{{"spans":[
                {{"traceId":"{trace}","spanId":"00000000000000a3","parentSpanId":"00000000000000a2","name":"served",
                  "kind":"SPAN_KIND_SERVER","status":{{"code":"STATUS_CODE_OK"}}}}]}}]}},
            {{"resource":{other},"scopeSpans":[{{"spans":[
                {{"traceId":"{trace}","spanId":"00000000000000b1","name":"of another test","kind":2}}]}}]}}
        ]}}}}"#,
        front = resource("tidegate", mark),
        back = resource("tidegate-authz", mark),
        other = resource("tidegate", "another-run"),
    )
}

#[test]
fn jaeger_is_read_by_search_and_by_id() {
    let stub = Stub::start();
    let jaeger = Jaeger::at(&format!("http://{}/base", stub.address));
    let collector = Collector::in_jaeger(jaeger, None);
    assert_eq!(collector.endpoint(), "http://127.0.0.1:4317");
    let environment = collector.environment();
    let (_, mark) = environment["OTEL_RESOURCE_ATTRIBUTES"]
        .split_once('=')
        .unwrap();

    assert_eq!(collector.spans().len(), 0);
    let asked = stub.asked();
    for (request, service) in asked.iter().zip(["tidegate", "tidegate-authz"]) {
        let begins = format!("GET /base/api/v3/traces?query.serviceName={service}&");
        assert!(request.starts_with(&begins), "{request}");
        for part in ["query.startTimeMin=20", "query.startTimeMax=20"] {
            assert!(request.contains(part), "{request}");
        }
    }
    let id: Vec<u8> = (0..16).collect();
    assert_eq!(collector.trace(&id).spans().len(), 0);
    assert_eq!(
        stub.asked(),
        ["GET /base/api/v3/traces/000102030405060708090a0b0c0d0e0f HTTP/1.0"]
    );

    stub.answer((200, &answer(mark)));
    // Two services have it, and it is one trace.
    assert_eq!(collector.spans().len(), 3);
    collector.eventually("three generations", |trace| {
        let server = trace.find("tidegate-authz", SpanKind::Server, "served");
        let [server, call, root] = trace.lineage(server.last()?)?.try_into().ok()?;
        assert_eq!(call.number("size"), Some(7));
        assert_eq!(call.kind(), SpanKind::Client);
        let status = |code: StatusCode| code as i32;
        assert_eq!(call.status.as_ref()?.code, status(StatusCode::Error));
        assert_eq!(call.status.as_ref()?.message, "broken");
        assert_eq!(server.status.as_ref()?.code, status(StatusCode::Ok));
        assert_eq!(root.links[0].span_id, [0, 0, 0, 0, 0, 0, 0, 0xff]);
        assert_eq!(root.end_time_unix_nano, 1_700_000_000_000_000_002);
        Some(())
    });
}

#[test]
#[should_panic(expected = "500")]
fn a_jaeger_that_fails_is_no_empty_one() {
    let stub = Stub::start();
    stub.answer((500, "{}"));
    let _ = Jaeger::at(&format!("http://{}", stub.address)).spans();
}
