//! A gate that may have few descriptors.

use std::{io::Read as _, net::SocketAddr, process::Command};

use tempfile::TempDir;
use tidegate_tests::{
    assert_eventually, binaries, door, gate::Settings, metrics::Metrics, process::Program,
};

/// The address in the line of the log that has these words.
fn address(line: &str, words: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = line.get("fields").unwrap_or(&line);
    let field = |name| fields.get(name).and_then(serde_json::Value::as_str);
    let is_it = field("message")? == words;
    is_it.then(|| field("address")?.parse().ok())?
}

#[test]
fn no_more_are_let_in_than_there_are_descriptors_for() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("tidegate.toml");
    let settings = Settings::for_gate("mqtt://127.0.0.1:9", "http://127.0.0.1:9")
        .set("probes.bind", "127.0.0.1:0");
    std::fs::write(&path, settings.to_string()).unwrap();
    let mut command = Command::new("sh");
    command
        .args(["-c", "ulimit -n 200 && exec \"$0\" run --config \"$1\""])
        .arg(binaries::tidegate())
        .arg(path)
        .env("TIDEGATE__LOG__FORMAT", "json");
    let program = Program::start("tidegate", &mut command);
    let gate = program.wait_for("it listens", |line| address(line, "listening"));
    let probes = program.wait_for("it serves metrics", |line| {
        address(line, "serving probes and metrics")
    });
    assert!(program.output().contains("too few descriptors"));
    let streams: Vec<_> = (0..150).map(|_| door::connect(gate)).collect();
    // There are descriptors left for who asks what is going on.
    let metrics = Metrics::at(probes);
    let refused = [("limit", "max_connections")];
    assert_eventually!(metrics.value("tidegate_connections_refused_total", &refused) == 100);
    assert_eq!(metrics.value("tidegate_sessions_open", &[]), 50);
    let mut last = &streams[149];
    assert!(!matches!(last.read(&mut [0]), Ok(1..)));
    assert!(!program.output().contains("cannot accept"));
}
