//! The reference authorization service under test.

use std::{
    collections::BTreeMap, fs, io::Write as _, net::SocketAddr, path::Path, process::Stdio,
    sync::Mutex,
};

use tempfile::TempDir;

use crate::{
    binaries,
    gate::{Settings, address_in, command, listening},
    metrics::Metrics,
    process::{Program, Signal},
};

/// The users of every topology. `root` is a superuser; `alice2` is there because its name begins
/// like `alice`'s.
pub const USERS: [&str; 4] = ["alice", "alice2", "bob", "root"];

/// The password of a user.
#[must_use]
pub fn password(user: &str) -> String {
    format!("{user}-canary-5f0e")
}

/// A running `tidegate-authz`.
#[derive(Debug)]
pub struct Reference {
    address: SocketAddr,
    program: Program,
    folder: TempDir,
    environment: BTreeMap<String, String>,
}

impl Reference {
    /// Starts it with [`USERS`], unless the settings name another `users.file` or other `users.sources`, and waits
    /// until it listens.
    #[must_use]
    #[track_caller]
    pub fn start(settings: &Settings) -> Self {
        Self::start_in(&BTreeMap::new(), settings)
    }

    /// Starts it as [`start`](Self::start), with more in its environment.
    #[must_use]
    #[track_caller]
    pub fn start_in(environment: &BTreeMap<String, String>, settings: &Settings) -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        write_config(folder.path(), settings);
        let any_port = ([127, 0, 0, 1], 0).into();
        let (program, address) = run(folder.path(), any_port, environment);
        Self {
            address,
            program,
            folder,
            environment: environment.clone(),
        }
    }

    /// The endpoint, for the configuration of the gate.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it counts, if `probes.bind` is set.
    #[must_use]
    #[track_caller]
    pub fn metrics(&self) -> Metrics {
        let log = self.log();
        let mut lines = log.lines();
        let address = lines.find_map(|line| address_in(line, "answering probes"));
        Metrics::at(address.expect("the service has probes"))
    }

    /// Kills it, as a crash would.
    pub fn kill(&mut self) {
        self.program.kill();
    }

    /// Starts it again on the same port.
    #[track_caller]
    pub fn restart(&mut self) {
        self.kill();
        (self.program, self.address) = run(self.folder.path(), self.address, &self.environment);
    }

    /// Sends a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Asks it to end, and waits until it has.
    #[track_caller]
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        self.signal(Signal::TERM);
        self.program.wait_exit()
    }

    /// Replaces its configuration. It looks at it by itself, or at once if it is sent [`Signal::HUP`].
    pub fn configure(&self, settings: &Settings) {
        let folder = self.folder.path();
        let new = folder.join("new.toml");
        complete(settings, folder).write(&new);
        fs::rename(new, folder.join("authz.toml")).expect("a temporary file");
    }

    /// Puts [`USERS`] into the user base of its configuration.
    #[track_caller]
    pub fn import_users(&self) {
        let users = self.folder.path().join("users.toml");
        self.administer(&["import", users.to_str().expect("a path in UTF-8")], "");
    }

    /// `tidegate-authz ARGUMENTS --config …` for its configuration, beside the running one, with a line of input;
    /// returns what it prints.
    ///
    /// # Panics
    /// If it does not succeed.
    #[track_caller]
    pub fn administer(&self, arguments: &[&str], input: &str) -> String {
        administer(&self.folder.path().join("authz.toml"), arguments, input)
    }

    /// Everything that it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.program.output()
    }
}

#[track_caller]
fn run(
    folder: &Path,
    bind: SocketAddr,
    environment: &BTreeMap<String, String>,
) -> (Program, SocketAddr) {
    let mut command = command(binaries::tidegate_authz());
    command
        .args(["run", "--config"])
        .arg(folder.join("authz.toml"));
    command.envs(environment);
    command.env("TIDEGATE_AUTHZ__LOG__FORMAT", "json");
    command.env("TIDEGATE_AUTHZ__BIND", bind.to_string());
    let program = Program::start("tidegate-authz", &mut command);
    let address = program.wait_for("it listens", listening);
    (program, address)
}

fn write_config(folder: &Path, settings: &Settings) {
    let users = folder.join("users.toml");
    fs::write(&users, users_file()).expect("a temporary file");
    // With a key of its own at every start it would not know its sessions again after a restart.
    let key = folder.join("session.key");
    fs::write(&key, "a key that outlives the process, of 32 bytes or more")
        .expect("a temporary file");
    complete(settings, folder).write(&folder.join("authz.toml"));
}

/// The settings of a test, and what every configuration has.
fn complete(settings: &Settings, folder: &Path) -> Settings {
    let path = |name: &str| folder.join(name).to_str().map(str::to_owned);
    settings
        .clone()
        .set("session.key_file", path("session.key").expect("UTF-8"))
        .set("bind", "127.0.0.1:0")
        .or("users.file", path("users.toml").expect("UTF-8"))
}

/// The users file, made by the program itself. Hashing is slow on purpose, so it is made once.
fn users_file() -> Vec<u8> {
    static MADE: Mutex<Option<Vec<u8>>> = Mutex::new(None);
    let mut made = MADE.lock().unwrap();
    made.get_or_insert_with(|| {
        let folder = TempDir::new().expect("a temporary folder");
        let users = folder.path().join("users.toml");
        let config = folder.path().join("authz.toml");
        let settings = Settings::default().set("bind", "127.0.0.1:0");
        settings
            .set("users.file", users.to_str().expect("a path in UTF-8"))
            .write(&config);
        for user in USERS {
            add_user(&config, user);
        }
        fs::read(users).expect("`user add` makes the file")
    })
    .clone()
}

fn add_user(config: &Path, user: &str) {
    let mut arguments = vec!["user", "add", user];
    if user == "root" {
        arguments.push("--superuser");
    }
    administer(config, &arguments, &password(user));
}

/// `printf 'INPUT\n' | tidegate-authz ARGUMENTS --config FILE`
#[track_caller]
fn administer(config: &Path, arguments: &[&str], input: &str) -> String {
    let mut child = command(binaries::tidegate_authz())
        .args(arguments)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("tidegate-authz can be started");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // One that reads nothing may be gone by now.
    let _ = writeln!(stdin, "{input}");
    drop(stdin);
    let output = child.wait_with_output().expect("the command ends");
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
