//! The data plane under test.

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;
use toml::{Table, Value};

use crate::{
    binaries,
    metrics::Metrics,
    process::{Program, Signal},
    wait::{PATIENCE, poll_for},
};

/// The configuration file of a program, before it is written.
#[derive(Debug, Clone, Default)]
pub struct Settings(Table);

impl Settings {
    /// The file as text: what the issue shows, with ports to be chosen by the system.
    #[must_use]
    pub fn for_gate(broker: &str, service: &str) -> Self {
        let text = format!(
            r#"
            [[listeners]]
            name = "mqtt"
            bind = "127.0.0.1:0"
            transport = "tcp"
            [broker]
            url = "{broker}"
            [authz]
            endpoint = "{service}"
            "#
        );
        Self(text.parse().expect("TOML"))
    }

    /// Sets a value by its dotted path, making tables on the way. A number is a place in a list
    /// that is there already: `listeners.0.name`.
    ///
    /// # Panics
    /// If something on the way is neither a table nor such a list.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        let mut steps: Vec<&str> = path.split('.').collect();
        let last = steps.pop().expect("a path has a last step");
        enter(&mut self.0, &steps)
            .unwrap_or_else(|| panic!("there is no place for {path}"))
            .insert(last.to_owned(), value.into());
        self
    }

    /// Sets a value if there is none yet.
    ///
    /// # Panics
    /// As [`set`](Self::set).
    #[must_use]
    pub fn or(self, path: &str, value: impl Into<Value>) -> Self {
        let mut steps = path.split('.');
        let first = steps.next().and_then(|first| self.0.get(first));
        let found = first.and_then(|first| steps.try_fold(first, |at, step| at.get(step)));
        match found {
            Some(_) => self,
            None => self.set(path, value),
        }
    }

    /// Takes a value away.
    ///
    /// # Panics
    /// As [`set`](Self::set).
    #[must_use]
    pub fn unset(mut self, path: &str) -> Self {
        let mut steps: Vec<&str> = path.split('.').collect();
        let last = steps.pop().expect("a path has a last step");
        enter(&mut self.0, &steps)
            .unwrap_or_else(|| panic!("there is no place for {path}"))
            .remove(last);
        self
    }

    /// Writes the file.
    pub(crate) fn write(&self, path: &Path) {
        fs::write(path, self.to_string()).expect("a temporary file");
    }
}

impl fmt::Display for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The table at a path, made if it is not there.
fn enter<'a>(table: &'a mut Table, steps: &[&str]) -> Option<&'a mut Table> {
    let Some((&step, rest)) = steps.split_first() else {
        return Some(table);
    };
    match table.entry(step).or_insert_with(|| Table::new().into()) {
        Value::Table(next) => enter(next, rest),
        Value::Array(list) => {
            let (index, rest) = rest.split_first()?;
            let index: usize = index.parse().ok()?;
            enter(list.get_mut(index)?.as_table_mut()?, rest)
        }
        _ => None,
    }
}

/// A running `tidegate`.
#[derive(Debug)]
pub struct Gate {
    program: Program,
    address: SocketAddr,
    folder: TempDir,
}

impl Gate {
    /// Starts it and waits until all of its listeners say where they listen.
    #[must_use]
    #[track_caller]
    pub fn start(settings: &Settings, environment: &BTreeMap<String, String>) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let path = folder.path().join("tidegate.toml");
        settings.write(&path);
        let mut command = command(binaries::tidegate());
        command.args(["run", "--config"]).arg(path);
        command
            .env("TIDEGATE__LOG__FORMAT", "json")
            .envs(environment);
        let program = Program::start("tidegate", &mut command);
        let address = program.wait_for("its listener listens", listening);
        Self {
            program,
            address,
            folder,
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where a listener of this name listens. To be asked before much is logged.
    #[must_use]
    #[track_caller]
    pub fn listens(&self, name: &str) -> SocketAddr {
        let what = format!("the listener {name} listens");
        self.program.wait_for(&what, |line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            let is_it = event.get("listener")?.as_str()? == name;
            is_it.then(|| listening(line))?
        })
    }

    /// The process.
    #[must_use]
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// What it has counted, if `probes.bind` (or `metrics.bind`) is set.
    #[must_use]
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        Metrics::at(self.probes())
    }

    /// Where its probes are, if `probes.bind` is set.
    #[must_use]
    #[track_caller]
    pub fn probes(&self) -> SocketAddr {
        let address = |line: &str| address_in(line, "serving probes and metrics");
        self.program.wait_for("it serves probes", address)
    }

    /// Where its administrator's listener is, if `admin.bind` is a TCP address.
    #[must_use]
    #[track_caller]
    pub fn admin(&self) -> SocketAddr {
        let address = |line: &str| address_in(line, "serving the administrator");
        self.program
            .wait_for("it serves the administrator", address)
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// The folder of its configuration.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its configuration file.
    #[must_use]
    pub fn configuration(&self) -> PathBuf {
        self.folder().join("tidegate.toml")
    }

    /// Everything that it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.program.output()
    }

    /// Waits until it logs that the session of a client is closed, and returns why: the word for it,
    /// and, where there is more to say, the details.
    #[track_caller]
    pub fn ending_of(&self, client_id: &str) -> (String, String) {
        self.program
            .wait_for(&format!("the session of {client_id} is closed"), |line| {
                let event: serde_json::Value = serde_json::from_str(line).ok()?;
                let says = |key| event.get(key).and_then(serde_json::Value::as_str);
                let is_it = says("message")? == "session closed" && says("client_id")? == client_id;
                let detail = says("detail").unwrap_or_default();
                is_it.then(|| Some((says("reason")?.to_owned(), detail.to_owned())))?
            })
    }
}

/// Runs `tidegate` with arguments to its end, with the given text as `tidegate.toml`, whose path
/// is put after the arguments.
///
/// # Panics
/// If it does not end.
#[must_use]
#[track_caller]
pub fn run_to_end(arguments: &[&str], config: &str, environment: &[(&str, &str)]) -> Output {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("tidegate.toml");
    fs::write(&path, config).expect("a temporary file");
    let mut command = command(binaries::tidegate());
    command
        .args(arguments)
        .arg("--config")
        .arg(path)
        .envs(environment.iter().copied());
    let mut child = command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("tidegate can be started");
    if poll_for(PATIENCE, || {
        child.try_wait().expect("a child can be waited for")
    })
    .is_none()
    {
        let _ = child.kill();
        panic!("tidegate {arguments:?} does not end:\n{config}");
    }
    child
        .wait_with_output()
        .expect("the output of a child that ended")
}

/// A program of ours, free of whatever configuration the environment of the tests may hold.
pub(crate) fn command(program: &Path) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["TIDEGATE_", "OTEL_", "RUST_LOG"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command
}

/// The address in a log line that says that a program listens.
pub(crate) fn listening(line: &str) -> Option<SocketAddr> {
    address_in(line, "listening")
}

/// The address in a log line with a message.
pub(crate) fn address_in(line: &str, message: &str) -> Option<SocketAddr> {
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = event.get("fields").unwrap_or(&event);
    let says = |key| fields.get(key).and_then(serde_json::Value::as_str);
    (says("message")? == message).then(|| says("address")?.parse().ok())?
}
