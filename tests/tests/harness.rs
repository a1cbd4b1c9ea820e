//! The harness itself: what the other suites trust is shown here, without Tidegate.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "harness/brokers.rs"]
mod brokers;
#[path = "harness/jaeger.rs"]
mod jaeger;
#[path = "harness/services.rs"]
mod services;

use std::{net::SocketAddr, process::Command};

use tidegate_tests::{
    Client, Connect, Publish, Version,
    gate::Settings,
    packet::{Kind, property},
    process::Program,
    recorder::Recorder,
};

fn connected(address: SocketAddr, version: Version) -> Client {
    let mut client = Client::open(address, version);
    client.send(&Connect::new("harness"));
    client.expect_connack(0);
    client
}

#[test]
fn settings_reach_into_lists() {
    let settings = Settings::for_gate("mqtt://127.0.0.1:1", "http://127.0.0.1:2")
        .set("listeners.0.name", "renamed")
        .set("listeners.0.attributes.tenant", "one");
    let text = settings.to_string();
    for line in ["name = \"renamed\"", "tenant = \"one\""] {
        assert!(text.contains(line), "{text}");
    }
}

#[test]
#[should_panic(expected = "there is no place for listeners.1.name")]
fn settings_do_not_make_lists_longer() {
    let _ = Settings::for_gate("", "").set("listeners.1.name", "second");
}

#[test]
fn packets_tell_their_properties() {
    let recorder = Recorder::start();
    let mut client = connected(recorder.address(), Version::V5);
    let publish = Publish::new("t", "payload")
        .property(property::topic_alias(3))
        .property(property::user("key", "value"))
        .property(property::response_topic("r"));
    client.send(&publish);
    let seen = recorder.wait_for(Kind::Publish, 1).remove(0);
    assert_eq!(
        seen.properties()
            .iter()
            .map(|found| found.id)
            .collect::<Vec<_>>(),
        [0x23, 0x26, 0x08]
    );
    assert_eq!(seen.properties()[0].value, [0, 3]);
    assert_eq!(seen.payload(), b"payload");
}

#[test]
fn programs_are_heard_signalled_and_waited_for() {
    let script = "trap 'echo bye; exit 7' TERM; echo to stdout; echo to stderr >&2; while :; do sleep 0.01; done";
    let mut program = Program::start("shell", Command::new("sh").args(["-c", script]));
    program.wait_for("it greets", |line| (line == "to stdout").then_some(()));
    program.wait_for("it greets again", |line| {
        (line == "to stderr").then_some(())
    });
    assert!(program.is_running());
    program.signal(tidegate_tests::process::Signal::TERM);
    assert_eq!(program.wait_exit().code(), Some(7));
    assert!(program.output().contains("bye"));
}
