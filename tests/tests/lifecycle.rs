//! Beginnings and ends: configuration, listeners, limits before a CONNECT is decided, the broker
//! that is not there, and SIGTERM.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::{
    net::{SocketAddr, TcpListener},
    process::Output,
    time::Instant,
};

use tidegate_tests::{
    Answer, Connect, Hold, Publish, Topology, Version, assert_eventually, both_versions,
    gate::run_to_end,
    packet::{Encode as _, Kind, PINGREQ, disconnect, frame},
    process::Signal,
    recorder::{Recorder, Reply},
    service::Hook,
};

const GOOD: &str = r#"
[[listeners]]
name = "mqtt"
bind = "127.0.0.1:0"
transport = "tcp"

[broker]
url = "mqtt://127.0.0.1:1884"

[authz]
endpoint = "http://127.0.0.1:50051"
connect = { deadline = "5s" }
publish = { deadline = "1s" }
subscribe = { deadline = "2s" }

[telemetry]
otlp_endpoint = "http://127.0.0.1:4317"
trace_sample_ratio = { connect = 1.0, subscribe = 1.0, publish = 0.01 }
"#;

/// An address where nothing listens.
fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Asserts that a configuration is refused as such, with a message that contains all the `words`.
#[track_caller]
fn assert_refused(output: &Output, words: &[&str]) {
    let said = said(output);
    assert_eq!(output.status.code(), Some(78), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}

#[test]
fn check_accepts_the_documented_configuration() {
    let output = run_to_end(&["check"], GOOD, &[]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_a_suggestion() {
    let config = GOOD.replace("endpoint", "endpiont");
    let line = 1 + config
        .lines()
        .position(|line| line.starts_with("endpiont"))
        .expect("the line");
    let place = format!("tidegate.toml:{line}");
    for verb in ["check", "run"] {
        let output = run_to_end(&[verb], &config, &[]);
        assert_refused(
            &output,
            &["`authz.endpiont`", &place, "did you mean `endpoint`?"],
        );
    }
}

#[test]
fn a_bad_value_is_refused_with_its_key_and_place() {
    for (good, bad, key) in [
        ("\"5s\"", "\"five\"", "authz.connect.deadline"),
        ("\"1s\"", "\"0s\"", "authz.publish.deadline"),
        (
            "mqtt://127.0.0.1:1884",
            "http://127.0.0.1:1884",
            "broker.url",
        ),
        (
            "http://127.0.0.1:50051",
            "127.0.0.1:50051",
            "authz.endpoint",
        ),
        (
            "publish = 0.01",
            "publish = 1.01",
            "telemetry.trace_sample_ratio.publish",
        ),
        ("\"tcp\"", "\"carrier pigeon\"", "listeners.0.transport"),
    ] {
        let output = run_to_end(&["check"], &GOOD.replace(good, bad), &[]);
        assert_refused(&output, &[key, "tidegate.toml:"]);
    }
}

#[test]
fn a_value_from_the_environment_is_refused_by_its_name() {
    let variable = ("TIDEGATE__AUTHZ__CONNECT__DEADLINE", "soon");
    assert_refused(&run_to_end(&["check"], GOOD, &[variable]), &[variable.0]);
    let variable = ("TIDEGATE__BROKER__ULR", "mqtt://127.0.0.1:1884");
    assert_refused(&run_to_end(&["check"], GOOD, &[variable]), &[variable.0]);
}

/// Kubernetes makes such variables for a Service with the name of the gate.
#[test]
fn variables_with_single_underscores_are_not_ours() {
    let variables = [
        ("TIDEGATE_PORT", "tcp://10.0.0.1:1883"),
        ("TIDEGATE_BROKER_URL", "nonsense"),
    ];
    let output = run_to_end(&["check"], GOOD, &variables);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn wrong_usage_exits_with_2() {
    assert_eq!(
        run_to_end(&["frobnicate"], GOOD, &[]).status.code(),
        Some(2)
    );
}

#[test]
fn a_port_that_is_taken_is_a_failure_at_run_time() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("a bound listener").to_string();
    let output = run_to_end(&["run"], &GOOD.replace("127.0.0.1:0", &address), &[]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(&address), "{}", said(&output));
}

both_versions!(the_environment_wins_over_the_file, |version| {
    let recorder = Recorder::start();
    let topology = Topology::scripted()
        .broker_at(nowhere())
        .env(
            "TIDEGATE__BROKER__URL",
            &format!("mqtt://{}", recorder.address()),
        )
        .env("TIDEGATE__LISTENERS__0__NAME", "renamed")
        .start();
    let _client = topology.connect(version, "client");
    assert_eq!(recorder.connections(), 1);
    assert_eq!(topology.service().checks()[0].session().listener, "renamed");
});

#[test]
fn sigterm_tells_the_clients_and_exits_with_0() {
    let mut topology = Topology::scripted().start();
    let mut v311 = topology.connect(Version::V311, "v311");
    let mut v5 = topology.connect(Version::V5, "v5");
    let address = topology.gate().address();
    let asked = Instant::now();
    topology.gate_mut().program().signal(Signal::TERM);
    v5.expect_end(0x8B);
    v311.expect_end(0x8B);
    assert_eq!(topology.gate_mut().program().wait_exit().code(), Some(0));
    println!("drained and ended {:?} after SIGTERM", asked.elapsed());
    assert!(std::net::TcpStream::connect(address).is_err());
    for index in 0..2 {
        topology.recorder().wait_closed(index);
    }
}

#[test]
fn a_message_that_was_acknowledged_before_sigterm_is_at_the_broker() {
    let mut topology = Topology::scripted().start();
    let mut client = topology.connect(Version::V5, "client");
    for _ in 0..10 {
        let id = client.publish(1, "t", "");
        client.complete(1, id);
    }
    topology.gate_mut().program().signal(Signal::TERM);
    client.expect_end(0x8B);
    assert_eq!(topology.recorder().topics().len(), 10);
}

#[test]
fn sigterm_without_any_client_exits_with_0() {
    let mut topology = Topology::scripted().start();
    topology.gate_mut().program().signal(Signal::TERM);
    assert_eq!(topology.gate_mut().program().wait_exit().code(), Some(0));
}

both_versions!(a_broker_that_is_down_is_unavailable, |version| {
    let topology = Topology::scripted().broker_at(nowhere()).start();
    let mut client = topology.try_connect(version, &Connect::new("client"));
    client.expect_refused(version.pick(0x03, 0x88));
    assert_eq!(topology.service().checks_of(Hook::Connect).len(), 1);
});

both_versions!(a_broker_that_is_silent_is_unavailable, |version| {
    let topology = Topology::scripted()
        .set("broker.connect_timeout", "200ms")
        .start();
    topology.recorder().reply_with(|_| Reply::Silence);
    let mut client = topology.try_connect(version, &Connect::new("client"));
    client.expect_refused(version.pick(0x03, 0x88));
});

both_versions!(a_broker_that_talks_nonsense_is_unavailable, |version| {
    let topology = Topology::scripted().start();
    for nonsense in [
        Vec::new(),
        vec![0xD0, 0x00],
        frame(0x20, version.pick(&[0x02, 0x00], &[0x02, 0x00, 0x00])),
        frame(0x20, version.pick(&[0x01, 0x05], &[0x01, 0x87, 0x00])),
        b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec(),
    ] {
        println!("{nonsense:02x?}");
        topology
            .recorder()
            .reply_with(move |_| Reply::Close(nonsense.clone()));
        let mut client = topology.try_connect(version, &Connect::new("client"));
        client.expect_refused(version.pick(0x03, 0x88));
    }
});

both_versions!(what_the_broker_says_to_connect_is_passed_on, |version| {
    let topology = Topology::scripted().start();
    for code in version.pick(vec![0x01, 0x02, 0x05], vec![0x85, 0x87, 0x97]) {
        let refusal = frame(0x20, version.pick(&[0, code][..], &[0, code, 0]));
        topology
            .recorder()
            .reply_with(move |_| Reply::Close(refusal.clone()));
        topology
            .try_connect(version, &Connect::new("client"))
            .expect_refused(code);
    }
});

#[test]
fn an_old_broker_that_does_not_know_mqtt_5_is_understood() {
    let topology = Topology::scripted().start();
    topology
        .recorder()
        .reply_with(|_| Reply::Close(vec![0x20, 0x02, 0x00, 0x01]));
    topology
        .try_connect(Version::V5, &Connect::new("client"))
        .expect_refused(0x84);
}

both_versions!(a_broker_that_goes_away_takes_its_client, |version| {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(version, "client");
    topology.recorder().close(0);
    client.expect_closed();
});

#[test]
fn a_reason_that_the_broker_gives_for_the_end_is_passed_on() {
    let topology = Topology::scripted().start();
    let mut client = topology.connect(Version::V5, "client");
    topology.recorder().send(0, disconnect(0x8E));
    client.expect_end(0x8E);
    topology.recorder().wait_closed(0);
}

both_versions!(a_client_that_goes_away_leaves_the_broker, |version| {
    let topology = Topology::scripted().start();
    drop(topology.connect(version, "client"));
    topology.recorder().wait_closed(0);
    let kinds: Vec<_> = topology
        .recorder()
        .connection(0)
        .iter()
        .map(|packet| packet.kind())
        .collect();
    assert_eq!(
        kinds,
        [Kind::Connect],
        "a DISCONNECT would suppress the will"
    );
});

both_versions!(a_connect_that_does_not_come_is_not_waited_for, |version| {
    let topology = Topology::scripted()
        .set("limits.handshake_deadline", "300ms")
        .start();
    let connect = Connect::new("client").encode(version);
    for sent in [0, 1, connect.len() - 1] {
        let mut client = topology.open(version);
        client.send_raw(&connect[..sent]);
        client.expect_closed();
    }
    // A deadline for the whole CONNECT, not for each byte of it.
    let mut dribbling = topology.open(version);
    dribbling.send_in_pieces(&frame(0x10, &[0; 20_000]), 1);
    dribbling.expect_closed();
    assert_eq!(topology.recorder().connections(), 0);
    assert_eq!(topology.service().checks().len(), 0);
});

both_versions!(a_decision_may_outlast_the_handshake, |version| {
    let topology = Topology::scripted()
        .set("limits.handshake_deadline", "1s")
        .start();
    topology
        .service()
        .answer(|_| Answer::Allow.after(std::time::Duration::from_millis(1500)));
    let mut client = topology.try_connect(version, &Connect::new("client"));
    client.expect_connack(0);
});

both_versions!(what_is_no_connect_is_closed_without_a_word, |version| {
    let topology = Topology::scripted().start();
    for first in [
        PINGREQ.to_vec(),
        Publish::new("t", "").encode(version),
        vec![0xE0, 0x00],
        vec![0x20, 0x02, 0x00, 0x00],
        vec![0x00, 0x00],
        vec![0xF0, 0x00],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0x16, 0x03, 0x01, 0x02, 0x00],
    ] {
        let mut client = topology.open(version);
        client.send_in_vain(&first);
        client.expect_closed();
    }
    assert_eq!(topology.recorder().connections(), 0);
    assert_eq!(topology.service().checks().len(), 0);
});

both_versions!(a_huge_connect_is_not_read, |version| {
    let topology = Topology::scripted().start();
    for header in [
        &[0x10, 0xFF, 0xFF, 0xFF, 0x7F][..],
        &[0x10, 0x80, 0x80, 0x40],
    ] {
        let mut client = topology.open(version);
        client.send_raw(header);
        client.drain();
    }
    assert_eq!(topology.service().checks().len(), 0);
});

both_versions!(undecided_connects_of_one_address_are_bounded, |version| {
    const BOUND: usize = 2;
    let topology = Topology::scripted()
        .set("limits.max_undecided_per_address", BOUND as i64)
        .start();
    let hold = Hold::new();
    let held = hold.clone();
    topology
        .service()
        .answer(move |_| Answer::Allow.held_by(&held));
    let mut waiting: Vec<_> = (0..BOUND)
        .map(|index| topology.try_connect(version, &Connect::new(format!("client {index}"))))
        .collect();
    topology.service().wait_for(Hook::Connect, BOUND);

    let mut one_too_many = topology.open(version);
    one_too_many.send_in_vain(&Connect::new("one too many").encode(version));
    let answers: Vec<_> = one_too_many
        .drain()
        .iter()
        .flat_map(|packet| packet.codes())
        .collect();
    assert!(answers.iter().all(|&code| code != 0), "{answers:02x?}");
    assert_eq!(topology.service().checks().len(), BOUND);

    hold.release();
    for client in &mut waiting {
        client.expect_connack(0);
    }
    // Decided ones don't count: there is room again, although they are still connected.
    let _ = topology.connect(version, "next");
});

both_versions!(connections_are_bounded, |version| {
    const BOUND: usize = 3;
    let topology = Topology::scripted()
        .set("limits.max_connections", BOUND as i64)
        .start();
    let mut clients: Vec<_> = (0..BOUND)
        .map(|_| topology.connect(version, "client"))
        .collect();
    let mut one_too_many = topology.open(version);
    one_too_many.send_in_vain(&Connect::new("one too many").encode(version));
    // Those inside are served as if nothing had happened, and the other one is not among them.
    for client in &mut clients {
        client.expect_nothing_before_pong();
    }
    assert_eq!(topology.recorder().connections(), BOUND);
    clients.pop();
    topology.recorder().wait_closed(BOUND - 1);
    assert_eventually!({
        let mut next = topology.open(version);
        next.send_in_vain(&Connect::new("next").encode(version));
        next.try_next().is_some_and(|packet| packet.codes() == [0])
    });
});
