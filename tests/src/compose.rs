//! What `deploy/compose` ships, run without containers from the very files: only addresses and paths that differ
//! outside of a container are set, by environment, and by one replacement in the broker's configuration.

use std::{
    fs,
    net::SocketAddr,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::{
    assert_eventually, binaries,
    collector::Collector,
    gate::{address_in, command, listening},
    http::ask,
    postgres::Postgres,
    process::Program,
    wait::{PATIENCE, poll_for},
};

/// The listeners of its `tidegate.toml`, in order, with the ports that it publishes.
const LISTENERS: [(&str, u16); 3] = [("mqtt", 1883), ("mqtts", 8883), ("wss", 8083)];

/// The running topology. Dropping it ends it, the gate first.
#[derive(Debug)]
pub struct Compose {
    gate: Program,
    _services: Vec<Program>,
    _broker: Program,
    folder: TempDir,
}

/// The folder in this repository.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/compose")
}

impl Compose {
    /// As `compose.yaml` starts it.
    #[must_use]
    #[track_caller]
    pub fn start(collector: &Collector) -> Self {
        let folder = prepare();
        let service = service(folder.path(), "authz.toml", collector);
        Self::complete(folder, vec![service], collector)
    }

    /// As `compose.ha.yaml` starts it over that: two replicas, their users in this database.
    #[must_use]
    #[track_caller]
    pub fn start_ha(collector: &Collector, postgres: &Postgres) -> Self {
        let folder = prepare();
        let secrets = folder.path().join("authz/secrets");
        make_secrets(folder.path());
        // That of the container has a host of its own.
        let url = postgres.url() + "\n";
        fs::write(secrets.join("postgres.url"), url).expect("a temporary file");
        let import = command(binaries::tidegate_authz())
            .args(["import", "--config"])
            .args(["authz.ha.toml", "users.passwd"])
            .current_dir(folder.path().join("authz"))
            .output()
            .expect("tidegate-authz can be started");
        assert!(import.status.success(), "{import:?}");
        let replica = |_| service(folder.path(), "authz.ha.toml", collector);
        let services = [1, 2].map(replica).into();
        Self::complete(folder, services, collector)
    }

    #[track_caller]
    fn complete(
        folder: TempDir,
        services: Vec<(Program, SocketAddr)>,
        collector: &Collector,
    ) -> Self {
        let broker = broker(folder.path());
        let mut gate = command(binaries::tidegate());
        let socket = folder.path().join("broker/mqtt.sock");
        gate.args(["run", "--config"])
            .arg(folder.path().join("tidegate/tidegate.toml"))
            .env("TIDEGATE__LOG__FORMAT", "json")
            .env(
                "TIDEGATE__BROKER__URL",
                format!("unix:{}", socket.display()),
            )
            .env("TIDEGATE__TELEMETRY__OTLP_ENDPOINT", collector.endpoint())
            .env("TIDEGATE__PROBES__BIND", "127.0.0.1:0");
        for place in 0..LISTENERS.len() {
            let key = format!("TIDEGATE__LISTENERS__{place}__BIND");
            gate.env(key, "127.0.0.1:0");
        }
        for (place, (_, address)) in services.iter().enumerate() {
            let key = format!("TIDEGATE__AUTHZ__ENDPOINTS__{place}");
            gate.env(key, format!("dns:{address}?tls"));
        }
        let gate = Program::start("tidegate", &mut gate);
        let compose = Self {
            gate,
            _services: services.into_iter().map(|(service, _)| service).collect(),
            _broker: broker,
            folder,
        };
        healthy(&compose.gate, "serving probes and metrics");
        compose
    }

    /// Where a listener of this name listens.
    #[must_use]
    #[track_caller]
    pub fn listens(&self, name: &str) -> SocketAddr {
        self.gate.wait_for(&format!("{name} listens"), |line| {
            let event: serde_json::Value = serde_json::from_str(line).ok()?;
            let is_it = event.get("listener")?.as_str()? == name;
            is_it.then(|| listening(line))?
        })
    }

    /// The authority that clients have to believe.
    #[must_use]
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("certificates/ca.crt")
    }

    /// A command line for a published port, as it has to be here.
    #[must_use]
    #[track_caller]
    pub fn here(&self, line: &str) -> String {
        let authority = self.authority().display().to_string();
        let line = line.replace("--cafile ca.crt", &format!("--cafile {authority}"));
        LISTENERS.iter().fold(line, |line, (name, port)| {
            let here = format!("-p {}", self.listens(name).port());
            line.replace(&format!("-p {port}"), &here)
        })
    }
}

/// The files, beside each other as the volumes lay them, and certificates made by the command of `compose.yaml`.
fn prepare() -> TempDir {
    let place = TempDir::new().expect("a temporary folder");
    for (folder, files) in [
        ("tidegate", vec!["tidegate.toml"]),
        ("authz", vec!["authz.toml", "authz.ha.toml", "users.passwd"]),
    ] {
        fs::create_dir(place.path().join(folder)).expect("a temporary folder");
        for file in files {
            let name = Path::new(folder).join(file);
            let shipped = self::folder().join(&name);
            fs::copy(&shipped, place.path().join(&name))
                .unwrap_or_else(|error| panic!("{}: {error}", shipped.display()));
        }
    }
    let certificates = place.path().join("certificates");
    let made = command(binaries::tidegate())
        .args(certificates_command())
        .arg("--dir")
        .arg(&certificates)
        .output()
        .expect("tidegate can be started");
    assert!(made.status.success(), "{made:?}");
    for (program, part) in [("tidegate", "gate"), ("authz", "authz")] {
        let here = place.path().join(program).join("certificates");
        symlink(certificates.join(part), here).expect("a link");
    }
    place
}

/// What `compose.yaml` gives to its service `certificates`, but for the folder.
fn certificates_command() -> Vec<String> {
    let text = fs::read_to_string(folder().join("compose.yaml")).expect("compose.yaml");
    let mut words = text
        .lines()
        .map(|line| line.trim().trim_start_matches("- "))
        .skip_while(|word| *word != "certificates")
        .map(|word| word.replace("${TIDEGATE_NAME:-tidegate}", "tidegate"));
    let verb = words.next().expect("a service that makes certificates");
    let flags = words.take_while(|word| word.starts_with("--"));
    let flags = flags.filter(|word| !word.starts_with("--dir"));
    std::iter::once(verb).chain(flags).collect()
}

/// By the script of `compose.ha.yaml`, for whoever runs this.
fn make_secrets(place: &Path) {
    let secrets = place.join("secrets");
    for folder in ["authz", "postgres"] {
        fs::create_dir_all(secrets.join(folder)).expect("a temporary folder");
    }
    let owner = |flag| {
        let id = Command::new("id").arg(flag).output().expect("id");
        String::from_utf8_lossy(&id.stdout).trim().to_owned()
    };
    let owner = format!("{}:{}", owner("-u"), owner("-g"));
    let made = Command::new("bash")
        .arg(folder().join("postgres/make-secrets"))
        .arg(&secrets)
        .args([&owner, &owner])
        .output()
        .expect("bash can be started");
    assert!(made.status.success(), "{made:?}");
    symlink(secrets.join("authz"), place.join("authz/secrets")).expect("a link");
}

fn broker(place: &Path) -> Program {
    let [socket, data] = ["broker", "data"].map(|name| {
        let folder = place.join(name);
        fs::create_dir(&folder).expect("a temporary folder");
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o2770)).expect("our own folder");
        folder
    });
    let text = fs::read_to_string(folder().join("mosquitto/mosquitto.conf"));
    let text = text.expect("mosquitto.conf");
    let text = text
        .replace("/run/broker/", &format!("{}/", socket.display()))
        .replace("/mosquitto/data/", &format!("{}/", data.display()));
    let config = place.join("mosquitto.conf");
    // Run by root it would become somebody else, whom our folders keep out.
    fs::write(&config, text + "\nuser root\n").expect("a temporary file");
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let mut command = Command::new("mosquitto");
    command.arg("-c").arg(config).env("PATH", path);
    let mut broker = Program::start("mosquitto", &mut command);
    let socket = socket.join("mqtt.sock");
    let listens = poll_for(PATIENCE, || {
        (socket.exists() || !broker.is_running()).then_some(())
    });
    assert!(
        listens.is_some() && broker.is_running(),
        "mosquitto is not there"
    );
    broker
}

#[track_caller]
fn service(place: &Path, config: &str, collector: &Collector) -> (Program, SocketAddr) {
    let mut authz = command(binaries::tidegate_authz());
    authz
        .args(["run", "--config"])
        .arg(place.join("authz").join(config))
        .env("TIDEGATE_AUTHZ__LOG__FORMAT", "json")
        .env("TIDEGATE_AUTHZ__BIND", "127.0.0.1:0")
        .env("TIDEGATE_AUTHZ__PROBES__BIND", "127.0.0.1:0")
        .env(
            "TIDEGATE_AUTHZ__TELEMETRY__OTLP_ENDPOINT",
            collector.endpoint(),
        );
    let program = Program::start("tidegate-authz", &mut authz);
    let address = program.wait_for("it listens", listening);
    healthy(&program, "answering probes");
    (program, address)
}

/// Waits for what the health checks of `compose.yaml` wait for.
#[track_caller]
fn healthy(program: &Program, message: &str) {
    let probes = program.wait_for("it has probes", |line| address_in(line, message));
    let ready = || ask(probes, "GET", "/readyz", "Connection: close\r\n", "").status == 200;
    assert_eventually!(ready());
}
