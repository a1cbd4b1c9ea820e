//! The real program as a child process.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::{Duration, Instant},
};

use serde_json::Value;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tidegate-authz");

/// `tidegate-authz` in `folder`, in an environment without settings.
pub fn program(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(PROGRAM);
    command.args(args).current_dir(folder).env_clear();
    command
}

/// Runs a command to its end with `input` on standard input.
pub fn run(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut command = program(folder, args);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that does not read is welcome to have closed the pipe.
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    child.wait_with_output().unwrap()
}

/// `tidegate-authz run` on a free port. Ended when dropped.
pub struct Serving {
    pub addr: SocketAddr,
    child: Child,
    /// The decision log.
    stdout: Option<JoinHandle<String>>,
    /// The rest of the log.
    stderr: Option<JoinHandle<()>>,
    log: Arc<Mutex<String>>,
}

/// What a server has left behind.
pub struct Ended {
    pub code: Option<i32>,
    pub decisions: String,
    pub log: String,
}

impl Serving {
    pub fn start(folder: &Path, config: &str) -> Self {
        fs::write(
            folder.join("authz.toml"),
            format!("bind = \"127.0.0.1:0\"\n{config}"),
        )
        .unwrap();
        let mut command = program(folder, &["--config", "authz.toml"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut decisions = child.stdout.take().unwrap();
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            decisions.read_to_string(&mut text).ok();
            text
        });
        let log = Arc::<Mutex<String>>::default();
        let (lines, kept) = (
            BufReader::new(child.stderr.take().unwrap()),
            Arc::clone(&log),
        );
        let stderr = std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                *kept.lock().unwrap() += &format!("{line}\n");
            }
        });
        let addr = ([0, 0, 0, 0], 0).into();
        let mut serving = Self {
            addr,
            child,
            stdout: Some(stdout),
            stderr: Some(stderr),
            log,
        };
        let line = serving.logged("listening");
        serving.addr = line["address"].as_str().unwrap().parse().unwrap();
        serving
    }

    /// Waits for a log line whose message begins with `message`.
    pub fn logged(&self, message: &str) -> Value {
        self.find(message, |_| true)
    }

    /// The same, with `part` in the field `field`.
    pub fn logged_with(&self, message: &str, field: &str, part: &str) -> Value {
        self.find(message, |line| {
            line[field].as_str().is_some_and(|text| text.contains(part))
        })
    }

    fn find(&self, message: &str, is_wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(20) {
            for line in self.log.lock().unwrap().lines() {
                let line: Value = serde_json::from_str(line).unwrap_or_default();
                let text = line["message"].as_str().unwrap_or_default();
                if text.starts_with(message) && is_wanted(&line) {
                    return line;
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("no `{message}` in:\n{}", self.log.lock().unwrap());
    }

    /// Sends a signal by its name.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(self.child.id().to_string())
            .status();
        assert!(status.unwrap().success());
    }

    /// Waits for the end, and lets the clients in the test notice it meanwhile.
    pub async fn wait(self) -> Ended {
        tokio::task::spawn_blocking(|| self.wait_blocking())
            .await
            .unwrap()
    }

    fn wait_blocking(mut self) -> Ended {
        let code = self.child.wait().unwrap().code();
        let decisions = self.stdout.take().unwrap().join().unwrap();
        self.stderr.take().unwrap().join().unwrap();
        let log = self.log.lock().unwrap().clone();
        Ended {
            code,
            decisions,
            log,
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
