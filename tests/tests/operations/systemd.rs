//! What a manager of services hears, and hands over.

use std::{
    fs,
    net::TcpStream,
    os::unix::net::UnixDatagram,
    process::{Command, Stdio},
};

use tidegate_tests::{Topology, assert_eventually, process::Signal};

/// What the manager has heard so far.
struct Manager {
    socket: UnixDatagram,
    folder: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket
            .set_read_timeout(Some(tidegate_tests::wait::PATIENCE))
            .unwrap();
        Self { socket, folder }
    }

    /// Waits for a message with this line.
    #[track_caller]
    fn expect(&self, line: &str) -> String {
        let mut buffer = [0; 4096];
        loop {
            let length = self.socket.recv(&mut buffer).expect("a message");
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.lines().any(|it| it == line) {
                return text;
            }
        }
    }
}

#[test]
fn the_manager_hears_of_start_reload_life_and_end() {
    let manager = Manager::new();
    let path = manager.folder.path().join("notify");
    let mut topology = Topology::scripted()
        .env("NOTIFY_SOCKET", path.to_str().unwrap())
        .env("WATCHDOG_USEC", "200000")
        .start();
    manager.expect("READY=1");
    manager.expect("WATCHDOG=1");
    manager.expect("WATCHDOG=1");
    topology.gate().signal(Signal::HUP);
    let reloading = manager.expect("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    manager.expect("READY=1");

    fs::write(topology.gate().configuration(), "nonsense = 1").unwrap();
    topology.gate().signal(Signal::HUP);
    manager.expect("RELOADING=1");
    let ready = manager.expect("READY=1");
    assert!(
        ready.contains("refused") && ready.contains("nonsense"),
        "{ready}"
    );

    topology.gate().signal(Signal::TERM);
    manager.expect("STOPPING=1");
    assert_eq!(topology.gate_mut().program().wait_exit().code(), Some(0));
}

/// A shell opens the sockets, for a test may not: it would need `unsafe`.
#[test]
fn sockets_that_are_handed_over_are_served() {
    let Some(python) = ["python3", "python"].into_iter().find(|name| {
        let tried = Command::new(name)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        tried.is_ok_and(|status| status.success())
    }) else {
        panic!("this test needs Python to hand sockets over");
    };
    let script = r#"
import os, socket, sys
def listen():
    s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(); return s
a, b = listen(), listen()
print(a.getsockname()[1], b.getsockname()[1], flush=True)
fds = [os.dup2(s.fileno(), 200 + i) for i, s in enumerate((a, b))]
for i, fd in enumerate(fds): os.dup2(fd, 3 + i, inheritable=True)
os.environ.update(LISTEN_FDS="2", LISTEN_FDNAMES="mqtt:" + sys.argv[3], LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], [sys.argv[1], "--config", sys.argv[2]])
"#;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidegate.toml");
    fs::write(
        &config,
        "[[listeners]]\nname = 'mqtt'\nbind = '127.0.0.1:1'\n[probes]\nbind = '127.0.0.1:2'\n",
    )
    .unwrap();
    let start = |name: &str| {
        let mut command = Command::new(python);
        command
            .args(["-c", script])
            .arg(tidegate_tests::binaries::tidegate());
        command
            .arg(&config)
            .arg(name)
            .env("TIDEGATE__LOG__FORMAT", "json");
        tidegate_tests::process::Program::start("tidegate", &mut command)
    };
    let mut program = start("probes");
    let ports = program.wait_for("its ports are open", |line| {
        let mut ports = line.split(' ').map(|port| port.parse().ok());
        Some((ports.next()??, ports.next()??))
    });
    let (mqtt, probes): (u16, u16) = ports;
    program.wait_for("it listens", |line| {
        line.contains("serving probes").then_some(())
    });
    TcpStream::connect(("127.0.0.1", mqtt)).unwrap();
    let health = tidegate_tests::http::get(([127, 0, 0, 1], probes).into(), "/healthz");
    assert_eq!(health.status, 200);
    program.signal(Signal::TERM);
    assert_eq!(program.wait_exit().code(), Some(0));

    // One that is for nobody: clients would be let in, and never heard.
    let mut program = start("mqtts");
    assert_eq!(program.wait_exit().code(), Some(1));
    assert_eventually!(program.output().contains("\\\"mqtts\\\""));
}
