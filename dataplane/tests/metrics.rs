//! What a scraper sees of a gate.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{net::SocketAddr, time::Duration};

use tidegate::{app, config::Config};
use tidegate_proto::v1::ReasonCode;
use tidegate_tests::{
    Answer, Connect, Publish, Version,
    packet::{Encode, PINGREQ},
    recorder::Recorder,
    service::Scripted,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

/// A gate in this process.
struct Gate {
    mqtt: SocketAddr,
    metrics: SocketAddr,
}

/// Runs a test beside a gate, whose broker and service must not end inside of its runtime.
fn with_gate(change: impl FnOnce(&mut Config), test: impl AsyncFnOnce(&Gate)) {
    let (broker, service) = (Recorder::start(), Scripted::start());
    service.answer(|check| match check.topic() {
        "denied" => Answer::deny(ReasonCode::NotAuthorized),
        "undecided" => Answer::Unset,
        _ => Answer::Allow,
    });
    let mut config = Config::default();
    config.listeners.0[0].bind = ([127, 0, 0, 1], 0).into();
    config.broker.url = format!("mqtt://{}", broker.address());
    config.authz.endpoint = service.endpoint().parse().ok();
    config.metrics.bind = Some(([127, 0, 0, 1], 0).into());
    change(&mut config);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let bound = app::bind(&config, false).await.unwrap();
        let gate = Gate {
            mqtt: bound.addresses()[0].1,
            metrics: bound.metrics_address().unwrap(),
        };
        let stop = CancellationToken::new();
        let serving = tokio::spawn(bound.serve(stop.clone().cancelled_owned()));
        timeout(Duration::from_secs(30), test(&gate))
            .await
            .expect("the test hangs");
        stop.cancel();
        serving.await.unwrap();
        assert!(
            TcpStream::connect(gate.metrics).await.is_err(),
            "served as long as the gate, and no longer"
        );
    });
}

impl Gate {
    async fn open(&self, first: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.mqtt).await.unwrap();
        stream.write_all(first).await.unwrap();
        stream
    }

    async fn connect(&self, client_id: &str) -> TcpStream {
        let mut stream = self
            .open(&Connect::new(client_id).encode(Version::V5))
            .await;
        assert_eq!(read_packet(&mut stream).await[0], 0x20);
        stream
    }

    /// The answer to a request: its head and its body.
    async fn request(&self, line: &str) -> (String, String) {
        let mut stream = TcpStream::connect(self.metrics).await.unwrap();
        let request = format!("{line} HTTP/1.1\r\nHost: gate\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// Scrapes until this line is there: some things are counted when a peer has seen them already.
    async fn wait_for(&self, line: &str) -> String {
        loop {
            let (_, body) = self.request("GET /metrics").await;
            if body.lines().any(|found| found == line) {
                return body;
            }
        }
    }
}

async fn read_packet(stream: &mut TcpStream) -> Vec<u8> {
    let mut packet = vec![0; 2];
    stream.read_exact(&mut packet).await.unwrap();
    let length = usize::from(packet[1]);
    packet.resize(2 + length, 0);
    stream.read_exact(&mut packet[2..]).await.unwrap();
    packet
}

#[track_caller]
fn assert_lines(body: &str, lines: &[&str]) {
    for line in lines {
        assert!(body.lines().any(|found| found == *line), "{line}\n\n{body}");
    }
}

fn publish(topic: &str, id: u16) -> Vec<u8> {
    Publish::new(topic, "canary-payload")
        .qos(1)
        .id(id)
        .encode(Version::V5)
}

#[test]
fn packets_checks_and_endings_are_counted() {
    with_gate(
        |_| {},
        async |gate| {
            let mut client = gate.connect("canary-client").await;
            for (topic, code) in [("a", 0), ("b", 0), ("denied", 0x87), ("undecided", 0x83)] {
                client.write_all(&publish(topic, 1)).await.unwrap();
                let puback = read_packet(&mut client).await;
                assert_eq!(puback.get(4).copied().unwrap_or(0), code, "{topic}");
            }
            let again = Connect::new("canary-client").encode(Version::V5);
            client.write_all(&again).await.unwrap();
            assert_eq!(read_packet(&mut client).await[2], 0x82);
            drop(client);

            let mut stranger = gate.open(&PINGREQ).await;
            assert_eq!(stranger.read(&mut [0]).await.unwrap_or(0), 0);

            let body = gate
                .wait_for("tidegate_sessions_open{listener=\"mqtt\"} 0")
                .await;
            assert_lines(
                &body,
                &[
                    "tidegate_connections_accepted_total{listener=\"mqtt\"} 2",
                    "tidegate_packets_total{kind=\"connect\",fate=\"forwarded\"} 1",
                    "tidegate_packets_total{kind=\"publish\",fate=\"forwarded\"} 2",
                    "tidegate_packets_total{kind=\"publish\",fate=\"refused\"} 2",
                    "tidegate_packets_total{kind=\"publish\",fate=\"dropped\"} 0",
                    "tidegate_authz_checks_total{hook=\"connect\",outcome=\"allow\",failure_reason=\"\",cached=\"false\",mode=\"enforce\"} 1",
                    "tidegate_authz_checks_total{hook=\"publish\",outcome=\"allow\",failure_reason=\"\",cached=\"false\",mode=\"enforce\"} 2",
                    "tidegate_authz_checks_total{hook=\"publish\",outcome=\"deny\",failure_reason=\"\",cached=\"false\",mode=\"enforce\"} 1",
                    "tidegate_authz_checks_total{hook=\"publish\",outcome=\"failure\",failure_reason=\"invalid_result\",cached=\"false\",mode=\"enforce\"} 1",
                    "tidegate_authz_checks_pending{hook=\"publish\"} 0",
                    "tidegate_authz_calls_total{hook=\"publish\"} 4",
                    "tidegate_authz_protocol_errors_total{kind=\"unset_decision\"} 1",
                    "tidegate_sessions_closed_total{reason=\"client_violation\",by=\"client\"} 1",
                    "tidegate_sessions_closed_total{reason=\"not_mqtt\",by=\"client\"} 1",
                    "tidegate_violations_total{side=\"client\",code=\"0x82\"} 1",
                    "tidegate_deliveries_dropped_total 0",
                    "tidegate_refused_unasked_total{reason=\"reserved_topic\"} 0",
                ],
            );
            assert!(body.contains("tidegate_build_info{version=\""));
            assert!(!body.contains("canary"), "nothing that a client chose");
        },
    );
}

#[test]
fn refused_connections_are_counted_by_limit() {
    let change = |config: &mut Config| {
        config.listeners.0[0].max_connections = 2;
        config.limits.max_undecided_per_address = 1;
    };
    with_gate(change, async |gate| {
        let first = gate.connect("first").await;
        let _undecided = gate.open(&[0x10]).await;
        gate.wait_for("tidegate_sessions_open{listener=\"mqtt\"} 2")
            .await;
        let mut third = gate.open(&[]).await;
        assert_eq!(third.read(&mut [0]).await.unwrap_or(0), 0);
        drop(first);
        gate.wait_for("tidegate_sessions_open{listener=\"mqtt\"} 1")
            .await;
        let mut fourth = gate.open(&[]).await;
        assert_eq!(fourth.read(&mut [0]).await.unwrap_or(0), 0);
        let (_, body) = gate.request("GET /metrics").await;
        assert_lines(
            &body,
            &[
                "tidegate_connections_refused_total{listener=\"mqtt\",limit=\"listener_max_connections\"} 1",
                "tidegate_connections_refused_total{listener=\"mqtt\",limit=\"max_undecided_per_address\"} 1",
                "tidegate_connections_refused_total{listener=\"mqtt\",limit=\"max_connections\"} 0",
            ],
        );
    });
}

#[test]
fn nothing_but_metrics_is_served() {
    with_gate(
        |_| {},
        async |gate| {
            let (head, body) = gate.request("GET /metrics").await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert!(
                head.contains("content-type: text/plain; version=0.0.4; charset=utf-8"),
                "{head}"
            );
            assert!(
                body.contains("# TYPE tidegate_build_info gauge\n"),
                "{body}"
            );
            for (line, status) in [
                ("GET /", "404"),
                ("GET /metrics/", "404"),
                ("POST /metrics", "405"),
            ] {
                let (head, body) = gate.request(line).await;
                let expected = format!("HTTP/1.1 {status} ");
                assert!(head.starts_with(&expected), "{line}: {head}");
                assert!(!body.contains("tidegate_"), "{line}: {body}");
            }
        },
    );
}
