//! A real broker, and its command-line clients.

use std::{
    fs,
    io::ErrorKind,
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    packet::Version,
    pki::Authority,
    process::{Program, Signal},
    wait::{PATIENCE, poll_for},
};

/// A Mosquitto that lets everybody do everything, on a port of its own.
#[derive(Debug)]
pub struct Mosquitto {
    address: SocketAddr,
    entrance: Entrance,
    /// By the entrance.
    url: String,
    authority: Authority,
    program: Program,
    _folder: TempDir,
}

/// How a gate comes in. Beside it there is always plain TCP, for witnesses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Entrance {
    /// Plain TCP.
    #[default]
    Tcp,
    /// TLS, with a certificate for `localhost`.
    Tls,
    /// The same, but the certificate is one of times gone by.
    ExpiredTls,
    /// TLS, for those only who show a certificate of the broker's authority.
    MutualTls,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// A Unix domain socket.
    Unix,
}

impl Entrance {
    /// All that work.
    pub const ALL: [Self; 6] = [
        Self::Tcp,
        Self::Tls,
        Self::MutualTls,
        Self::Ws,
        Self::Wss,
        Self::Unix,
    ];

    /// Whether the broker shows a certificate.
    #[must_use]
    pub fn is_tls(self) -> bool {
        matches!(
            self,
            Self::Tls | Self::ExpiredTls | Self::MutualTls | Self::Wss
        )
    }

    /// The lines of a second listener, and the URL of it. It has what Mosquitto has no word for: a port
    /// that was free a moment ago.
    fn open(self, first: SocketAddr, folder: &Path, authority: &Authority) -> (String, String) {
        let port = free_address().port();
        let tls = || {
            let own = match self {
                Self::ExpiredTls => authority.issue_expired("localhost"),
                _ => authority.issue("localhost"),
            };
            let (cert, key) = (own.cert.display(), own.key.display());
            format!("certfile {cert}\nkeyfile {key}\n")
        };
        let listener = format!("listener {port} 127.0.0.1\n");
        match self {
            Self::Tcp => (String::new(), format!("mqtt://{first}")),
            Self::Tls | Self::ExpiredTls => {
                (listener + &tls(), format!("mqtts://localhost:{port}"))
            }
            Self::MutualTls => {
                let ca = authority.file();
                let wanted = format!("cafile {}\nrequire_certificate true\n", ca.display());
                (
                    listener + &tls() + &wanted,
                    format!("mqtts://localhost:{port}"),
                )
            }
            Self::Ws => (
                listener + "protocol websockets\n",
                format!("ws://localhost:{port}/mqtt"),
            ),
            Self::Wss => (
                listener + "protocol websockets\n" + &tls(),
                format!("wss://localhost:{port}/mqtt"),
            ),
            Self::Unix => {
                let path = folder.join("mqtt.sock").display().to_string();
                (format!("listener 0 {path}\n"), format!("unix:{path}"))
            }
        }
    }
}

impl Mosquitto {
    /// Starts a broker and waits until it accepts connections.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a broker with more lines in its configuration. They stand behind those that every
    /// broker has, and win.
    #[must_use]
    pub fn start_with(lines: &[String]) -> Self {
        Self::start_behind(Entrance::Tcp, lines)
    }

    /// Starts a broker with a second listener.
    #[must_use]
    pub fn start_behind(entrance: Entrance, lines: &[String]) -> Self {
        // Mosquitto can't choose a port, so it may lose the one chosen for it to somebody else.
        (0..10)
            .find_map(|_| Self::try_start(free_address(), entrance, lines))
            .expect("a port that stays free until Mosquitto binds it")
    }

    fn try_start(address: SocketAddr, entrance: Entrance, lines: &[String]) -> Option<Self> {
        let folder = TempDir::new().expect("a temporary folder");
        let authority = Authority::new();
        let (second, url) = entrance.open(address, folder.path(), &authority);
        let config = folder.path().join("mosquitto.conf");
        // Run by root it would become somebody else, who can't make a socket in our folder.
        let text = format!(
            "user root\n\
             listener {} {}\n\
             allow_anonymous true\n\
             persistence false\n\
             log_dest stderr\n\
             log_type all\n\
             set_tcp_nodelay true\n\
             max_inflight_messages 0\n\
             max_queued_messages 0\n\
             {}\n\
             {second}",
            address.port(),
            address.ip(),
            lines.join("\n"),
        );
        fs::write(&config, text).expect("a temporary file");
        let mut program = Program::start("mosquitto", installed("mosquitto").arg("-c").arg(config));
        let accepts = poll_for(PATIENCE, || {
            let running = program.is_running();
            let is_open = || TcpStream::connect(address).is_ok() && answers(&url);
            (!running || is_open()).then_some(running)
        });
        (accepts == Some(true)).then_some(Self {
            address,
            entrance,
            url,
            authority,
            program,
            _folder: folder,
        })
    }

    /// How a gate comes in: `broker.url`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// What a gate needs to come in, as keys below `broker.tls` and their values.
    #[must_use]
    pub fn tls(&self) -> Vec<(&'static str, String)> {
        let mut tls = Vec::new();
        if self.entrance.is_tls() {
            tls.push(("ca", self.authority.file()));
        }
        if self.entrance == Entrance::MutualTls {
            let own = self.authority.issue("gate");
            tls.extend([("cert", own.cert), ("key", own.key)]);
        }
        tls.into_iter()
            .map(|(key, path)| (key, path.display().to_string()))
            .collect()
    }

    /// Where it listens in plain TCP.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    #[must_use]
    pub fn program(&mut self) -> &mut Program {
        &mut self.program
    }

    /// Sends it a signal.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Waits until the broker has done all that it does at once about the end of the connection of
    /// a client, by the client id that the broker knows. Whatever is sent after that is later than
    /// a will that is published at once.
    #[track_caller]
    pub fn wait_left(&self, client_id: &str) {
        let begins = format!("Client {client_id} ");
        let ends = ["disconnect", "closed", "exceeded", "taken over"];
        self.program.wait_for(&format!("{client_id} left"), |line| {
            let (_, said) = line.split_once(&begins)?;
            ends.iter().any(|word| said.contains(word)).then_some(())
        });
    }
}

/// `mosquitto_pub` and `mosquitto_sub` as one user, with one broker or gate.
#[derive(Debug, Clone)]
pub struct CommandLine {
    address: SocketAddr,
    version: Version,
    login: Option<(String, String)>,
    authority: Option<PathBuf>,
}

impl CommandLine {
    /// Somebody without a name.
    #[must_use]
    pub fn new(address: SocketAddr, version: Version) -> Self {
        Self {
            address,
            version,
            login: None,
            authority: None,
        }
    }

    /// Sets user name and password.
    #[must_use]
    pub fn login(mut self, username: &str, password: &str) -> Self {
        self.login = Some((username.to_owned(), password.to_owned()));
        self
    }

    /// Comes over TLS, and believes the authority whose certificate is in this file.
    #[must_use]
    pub fn tls(mut self, authority: PathBuf) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Runs `mosquitto_pub` to its end, and returns whether it was content.
    #[must_use]
    #[track_caller]
    pub fn publish(&self, qos: u8, topic: &str, message: &str) -> bool {
        let qos = qos.to_string();
        let mut command = self.command("mosquitto_pub", &[]);
        command.args(["-q", &qos, "-t", topic, "-m", message]);
        Program::start("mosquitto_pub", &mut command)
            .wait_exit()
            .success()
    }

    /// Runs `mosquitto_sub` until it is subscribed.
    #[must_use]
    #[track_caller]
    pub fn subscribe(&self, qos: u8, filter: &str) -> Subscriber {
        let qos = qos.to_string();
        // Its debug output says when it is subscribed, but only line by line if it is made to.
        let mut command = self.command("stdbuf", &["--output=L", "mosquitto_sub"]);
        command.args(["-d", "-q", &qos, "-t", filter, "-F", "message: %t %p"]);
        let program = Program::start("mosquitto_sub", &mut command);
        program.wait_for("it is subscribed", |line| {
            line.starts_with("Subscribed").then_some(())
        });
        Subscriber { program }
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        require("mosquitto_sub");
        let mut command = installed(program);
        command.args(arguments);
        let port = self.address.port().to_string();
        command.args([
            "-h",
            &self.address.ip().to_string(),
            "-p",
            &port,
            "-V",
            self.version.flag(),
        ]);
        if let Some((username, password)) = &self.login {
            command.args(["-u", username, "-P", password]);
        }
        if let Some(authority) = &self.authority {
            command.arg("--cafile").arg(authority);
        }
        command
    }
}

/// A subscribed `mosquitto_sub`.
#[derive(Debug)]
pub struct Subscriber {
    program: Program,
}

impl Subscriber {
    /// Waits for a message.
    #[track_caller]
    pub fn wait_for(&self, topic: &str, message: &str) {
        let wanted = format!("message: {topic} {message}");
        self.program
            .wait_for(&format!("it got {message} on {topic}"), |line| {
                (line == wanted).then_some(())
            });
    }

    /// All messages so far, as `topic payload`.
    #[must_use]
    pub fn messages(&self) -> Vec<String> {
        let output = self.program.output();
        output
            .lines()
            .filter_map(|line| line.strip_prefix("message: "))
            .map(str::to_owned)
            .collect()
    }
}

/// The command for a program that has to be installed.
fn installed(program: &str) -> Command {
    require(program);
    Command::new(program)
}

/// # Panics
/// If a program is not installed: a test that can't run must not look like one that passed.
fn require(program: &str) {
    let known = Command::new(program).arg("--help").output();
    if known.is_err_and(|error| error.kind() == ErrorKind::NotFound) {
        panic!(
            "this test needs `{program}` in the search path. Install Mosquitto, its clients and \
             coreutils, for example by `apt-get install mosquitto mosquitto-clients coreutils` or \
             `brew install mosquitto coreutils`. (Debian puts mosquitto into /usr/sbin.)"
        );
    }
}

/// Whether something accepts connections there.
fn answers(url: &str) -> bool {
    if let Some(path) = url.strip_prefix("unix:") {
        return UnixStream::connect(path).is_ok();
    }
    let (_, rest) = url.split_once("://").expect("a URL");
    let authority = rest.split('/').next().unwrap_or(rest);
    TcpStream::connect(authority).is_ok()
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener")
}
