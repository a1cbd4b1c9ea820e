//! The topology of `deploy/compose`, from its own files, without containers. What its README shows is what happens.
//!
//! `deploy/compose/without-containers` shows it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{fs, process::Command};

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use tidegate_tests::{
    Client, Connect, Version,
    certificates::client_of,
    collector::{Collector, Span, Trace},
    compose::{self, Compose},
    door::{Tls, Ws, connect},
    mosquitto::CommandLine,
    packet::Kind,
    postgres::Postgres,
};

/// Commands of the README, each with what it says that they print.
fn examples() -> Vec<(String, String)> {
    let text = fs::read_to_string(compose::folder().join("README.md")).expect("README.md");
    let blocks = text.split("```console\n").skip(1);
    let blocks = blocks.filter_map(|rest| rest.split("```").next());
    let examples = blocks.flat_map(|block| block.split("$ ").skip(1));
    let examples = examples.filter_map(|example| example.split_once('\n'));
    examples
        .filter(|(command, _)| command.starts_with("mosquitto_pub"))
        .map(|(command, prints)| (command.to_owned(), prints.to_owned()))
        .collect()
}

/// What a command prints, both streams in one.
fn run(line: &str) -> String {
    let mut shell = Command::new("sh");
    let output = shell.args(["-c", &format!("{line} 2>&1")]).output();
    String::from_utf8(output.expect("a shell").stdout).expect("UTF-8")
}

/// Waits for the trace of a PUBLISH with this outcome, over both programs; all of its spans, root first.
fn trace_of(collector: &Collector, outcome: &str) -> Trace {
    collector.eventually(&format!("a PUBLISH with {outcome} in both"), |all| {
        let servers = all.find("tidegate-authz", SpanKind::Server, "AuthorizePublish");
        let found = servers.filter_map(|server| {
            let path = all.lineage(server)?;
            let says = |span: &&Span| span.text("tidegate.authz.outcome") == Some(outcome);
            let is_it = path.iter().any(says) && path.last()?.service == "tidegate";
            is_it.then(|| all.of(&server.trace_id))
        });
        found.last()
    })
}

/// A trace as a person would look at it.
fn show(trace: &Trace) -> String {
    let mut lines = String::new();
    let roots = trace.spans().iter().filter(|span| span.is_root());
    for root in roots {
        let id: String = root.trace_id.iter().map(|b| format!("{b:02x}")).collect();
        lines += &format!("trace {id}\n");
        descend(trace, root, 1, &mut lines);
    }
    lines
}

fn descend(trace: &Trace, span: &Span, depth: usize, lines: &mut String) {
    let says = ["tidegate.authz.outcome", "tidegate.authz.policy"]
        .into_iter()
        .filter_map(|key| Some(format!("  {key}={}", span.text(key)?)));
    let says: String = says.collect();
    let indent = "  ".repeat(depth);
    let kind = span.kind().as_str_name().trim_start_matches("SPAN_KIND_");
    *lines += &format!("{indent}{}: {} ({kind}){says}\n", span.service, span.name);
    for child in trace.spans() {
        if trace
            .parent(child)
            .is_some_and(|parent| parent.span_id == span.span_id)
        {
            descend(trace, child, depth + 1, lines);
        }
    }
}

#[test]
fn the_readme_tells_the_truth() {
    let collector = Collector::start();
    let compose = Compose::start(&collector);
    let plain = CommandLine::new(compose.listens("mqtt"), Version::V5).login("bob", "bob");
    let alice = CommandLine::new(compose.listens("mqtt"), Version::V5).login("alice", "alice");
    let (to_alice, to_bob) = (alice.subscribe(1, "alice/#"), plain.subscribe(1, "bob/#"));

    let examples = examples();
    assert!(examples.len() >= 4, "{examples:?}");
    for (line, expected) in &examples {
        let here = compose.here(line);
        assert_ne!(&here, line, "{line} goes to no published port");
        let printed = run(&here);
        print!("$ {line}\n{printed}");
        assert_eq!(&printed, expected, "{line}");
    }
    to_alice.wait_for("alice/hello", "hi");
    assert_eq!(to_bob.messages(), Vec::<String>::new());

    for outcome in ["allow", "deny"] {
        print!("\n{outcome}: {}", show(&trace_of(&collector, outcome)));
    }
}

#[test]
fn pages_come_in_by_wss() {
    let collector = Collector::start();
    let compose = Compose::start(&collector);
    let config = client_of(compose.authority(), &["http/1.1"]);
    let stream = connect(compose.listens("wss"));
    let stream =
        Tls::connect_to("localhost", stream, config).expect("TLS by the shipped authority");
    let stream = Ws::connect(stream, &[]).expect("WebSocket at the shipped path");
    let mut alice = Client::over(stream, Version::V5);
    alice.send(&Connect::new("page").login("alice", "alice"));
    alice.expect_connack(0);
    let id = alice.publish(1, "alice/hello", "hi");
    // Nobody listens: "no matching subscribers" is an allow.
    alice.expect_ack(Kind::Puback, id, 0x10);
    let id = alice.publish(1, "bob/hello", "hi");
    alice.expect_ack(Kind::Puback, id, 0x87);
    println!("wss: alice/hello went, bob/hello was refused with 0x87");
}

#[test]
fn two_replicas_share_users_and_key() {
    let collector = Collector::start();
    let postgres = Postgres::start();
    let compose = Compose::start_ha(&collector, &postgres);
    let publish = |password: &str, topic: &str| {
        let line =
            format!("mosquitto_pub -V 5 -q 1 -p 1883 -u alice -P {password} -t {topic} -m hi");
        run(&compose.here(&line))
    };
    // Each comes anew, so what one replica has admitted is asked of the other about every second time.
    for _ in 0..8 {
        assert_eq!(publish("alice", "alice/hello"), "");
        let printed = publish("alice", "bob/hello");
        assert!(printed.contains("Not authorized"), "{printed}");
    }
    let mallory = CommandLine::new(compose.listens("mqtt"), Version::V5).login("alice", "wrong");
    assert!(!mallory.publish(1, "alice/hello", "hi"));
    println!("8 times alice/hello went and bob/hello was refused, and so was a wrong password");
}
