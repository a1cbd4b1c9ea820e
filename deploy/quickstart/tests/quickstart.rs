//! The quick start, as its user starts it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

fn quickstart(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quickstart"));
    command
        .args(arguments)
        // Nothing of the tester's own may change what is tested.
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env_remove("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT");
    command
}

/// Runs it to its end, and returns what it wrote to standard output.
fn output_of_success(arguments: &[&str]) -> String {
    let Output {
        status,
        stdout,
        stderr,
    } = quickstart(arguments).output().unwrap();
    let stdout = String::from_utf8(stdout).unwrap();
    let stderr = String::from_utf8(stderr).unwrap();
    assert!(status.success(), "{status}\n{stdout}\n{stderr}");
    assert_eq!(stderr, "");
    stdout
}

/// A quick start that runs until it is told to end.
struct Running {
    process: Child,
    stdout: BufReader<Box<dyn Read>>,
    /// Of the gate, the authorization service and the broker.
    addresses: [SocketAddr; 3],
    files: PathBuf,
}

impl Running {
    fn start() -> Self {
        let mut process = quickstart(&["--port", "0"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout: Box<dyn Read> = Box::new(process.stdout.take().unwrap());
        let mut stdout = BufReader::new(stdout);
        let addresses = ["► tidegate  ", "► tidegate-authz  ", "► broker  "].map(|program| {
            let url = word_after(&mut stdout, program);
            let (_, address) = url.split_once("://").unwrap();
            address.parse().unwrap()
        });
        let files = word_after(&mut stdout, "files  ");
        // The heading of the decisions: all has been said.
        word_after(&mut stdout, "UTC  ");
        Self {
            process,
            stdout,
            addresses,
            files: files.into(),
        }
    }

    fn signal(&self, signal: Signal) {
        let id = i32::try_from(self.process.id()).unwrap();
        kill_process(Pid::from_raw(id).unwrap(), signal).unwrap();
    }
}

/// Reads on to the line that has this text, and returns the word behind it.
fn word_after(lines: &mut impl BufRead, text: &str) -> String {
    loop {
        let mut line = String::new();
        assert_ne!(
            lines.read_line(&mut line).unwrap(),
            0,
            "no line with {text:?}"
        );
        if let Some((_, rest)) = line.split_once(text) {
            return rest.split_whitespace().next().unwrap().to_owned();
        }
    }
}

fn assert_closes(address: SocketAddr) {
    let deadline = Instant::now() + Duration::from_secs(15);
    while TcpStream::connect(address).is_ok() {
        assert!(Instant::now() < deadline, "{address} still accepts");
        thread::sleep(Duration::from_millis(20));
    }
}

fn assert_demo(output: &str) {
    // Columns, then what the client saw.
    let lines = [
        "CONNECT alice deny",
        "client alice connects with a wrong password: CONNACK 0x86 bad user name or password",
        "CONNECT alice allow",
        "client alice connects with her password: CONNACK 0x00 success",
        "SUBSCRIBE alice alice/# allow",
        "SUBSCRIBE alice bob/# deny",
        "client alice subscribes to alice/# and bob/# in one packet: \
         SUBACK 0x01 granted QoS 1, 0x87 not authorized",
        "PUBLISH alice bob/hello deny",
        "client alice publishes to bob/hello: PUBACK 0x87 not authorized",
        "PUBLISH alice alice/hello allow",
        "client alice publishes to alice/hello: PUBACK 0x00 success",
        "client alice is sent what she subscribed to: alice/hello hi",
    ];
    let words: Vec<_> = output.split_whitespace().collect();
    let words = words.join(" ");
    for line in lines {
        let times = words.matches(line).count();
        assert_eq!(times, 1, "{times} times {line:?} in:\n{output}");
    }
}

#[test]
fn the_demo_goes_as_it_should() {
    let output = output_of_success(&["--port", "0", "--demo", "--exit"]);
    assert_demo(&output);
    let files = word_after(&mut output.as_bytes(), "files  ");
    assert!(!Path::new(&files).exists(), "{files} is still there");
}

#[test]
fn a_real_mosquitto_can_be_the_broker() {
    let sbin = Path::new("/usr/sbin/mosquitto");
    if !sbin.exists() && Command::new("mosquitto").arg("-h").output().is_err() {
        eprintln!("SKIPPED: there is no mosquitto on this machine");
        return;
    }
    let arguments = ["--port", "0", "--broker", "mosquitto", "--demo", "--exit"];
    assert_demo(&output_of_success(&arguments));
}

#[test]
fn a_signal_ends_all_of_it_cleanly() {
    for signal in [Signal::INT, Signal::TERM] {
        let mut running = Running::start();
        running.signal(signal);
        let status = running.process.wait().unwrap();
        assert!(status.success(), "{signal:?}: {status}");

        let mut rest = String::new();
        running.stdout.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
        for address in running.addresses {
            assert!(TcpStream::connect(address).is_err(), "{address}");
        }
        assert!(!running.files.exists());
    }
}

#[test]
fn nothing_outlives_a_quick_start_that_is_killed() {
    let mut running = Running::start();
    running.signal(Signal::KILL);
    running.process.wait().unwrap();
    for address in running.addresses {
        assert_closes(address);
    }
    // It had no time to do this itself.
    std::fs::remove_dir_all(running.files).unwrap();
}

#[test]
fn a_port_that_is_taken_is_named_with_the_way_out() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let output = quickstart(&["--port", &port]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains(&format!("port {port} is taken")),
        "{stderr}"
    );
    assert!(stderr.contains("--port 0"), "{stderr}");
}
