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
    let stopping = manager.expect("STOPPING=1");
    assert!(stopping.contains("EXTEND_TIMEOUT_USEC="), "{stopping}");
    assert_eq!(topology.gate_mut().program().wait_exit().code(), Some(0));
}

#[test]
fn nothing_is_read_again_once_the_end_has_begun() {
    let manager = Manager::new();
    let path = manager.folder.path().join("notify");
    let mut topology = Topology::scripted()
        .env("NOTIFY_SOCKET", path.to_str().unwrap())
        .set("drain.delay", "60s")
        .set("admin.bind", "127.0.0.1:0")
        .start();
    manager.expect("READY=1");
    topology.gate().signal(Signal::TERM);
    let stopping = manager.expect("STOPPING=1");
    // All of the drain, in microseconds.
    let times = stopping
        .lines()
        .find_map(|line| line.strip_prefix("EXTEND_TIMEOUT_USEC="));
    assert!(
        times.unwrap().parse::<u64>().unwrap() >= 60_000_000,
        "{stopping}"
    );
    topology.gate().signal(Signal::HUP);
    assert_eventually!(topology.gate().log().contains("reads nothing any more"));
    let admin = topology.gate().admin();
    let asked = tidegate_tests::http::ask(admin, "POST", "/quitquitquit", "", "");
    assert_eq!(asked.status, 202);
    assert_eq!(topology.gate_mut().program().wait_exit().code(), Some(0));
    manager.socket.set_nonblocking(true).unwrap();
    let mut buffer = [0; 4096];
    while let Ok(length) = manager.socket.recv(&mut buffer) {
        let said = String::from_utf8_lossy(&buffer[..length]).into_owned();
        assert!(
            !said.contains("READY") && !said.contains("RELOADING"),
            "{said}"
        );
    }
}

/// The manager's socket wins over what the configuration says of the address, so it is looked at.
#[test]
fn an_administrator_that_was_handed_over_where_others_reach_it_is_refused() {
    let script = r#"
import os, socket, sys
if sys.argv[4] == "tcp":
    s = socket.socket(); s.bind(("0.0.0.0", 0))
else:
    s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[5]); os.chmod(sys.argv[5], int(sys.argv[4], 8))
s.listen()
os.dup2(os.dup2(s.fileno(), 200), 3, inheritable=True)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="admin", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[1], [sys.argv[1], "--config", sys.argv[2]] + sys.argv[3].split())
"#;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tidegate.toml");
    let socket = folder.path().join("admin.sock");
    let start = |how: &str, bind: &str, flags: &str| {
        let listeners = "[[listeners]]\nname = 'mqtt'\nbind = '127.0.0.1:0'\n";
        fs::write(&config, format!("{listeners}[admin]\nbind = '{bind}'\n")).unwrap();
        let _ = fs::remove_file(&socket);
        let mut command = Command::new("python3");
        command
            .args(["-c", script])
            .arg(tidegate_tests::binaries::tidegate())
            .args([&config])
            .args([flags, how])
            .arg(&socket);
        tidegate_tests::process::Program::start("tidegate", &mut command)
    };
    let path = format!("unix:{}", socket.display());
    for (how, bind) in [("tcp", "127.0.0.1:9901"), ("0666", &path), ("0660", &path)] {
        let mut program = start(how, bind, "");
        assert_eq!(program.wait_exit().code(), Some(1), "{how}");
        assert_eventually!(program.output().contains("acknowledge_exposed"));
    }
    let acknowledged = "--set admin.acknowledge_exposed=true";
    for (how, bind, flags) in [("tcp", "127.0.0.1:9901", acknowledged), ("0600", &path, "")] {
        let mut program = start(how, bind, flags);
        program.wait_for("it serves", |line| {
            line.contains("serving the administrator").then_some(())
        });
        program.signal(Signal::TERM);
        assert_eq!(program.wait_exit().code(), Some(0));
    }
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
