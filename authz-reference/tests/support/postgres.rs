//! A PostgreSQL of its own for each test, on a Unix domain socket.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

/// `nobody`: PostgreSQL does not run as root.
const UNPRIVILEGED: u32 = 65_534;

pub struct Postgres {
    folder: TempDir,
    server: Option<Child>,
}

impl Postgres {
    /// Makes a database, and does not start the server yet.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        if is_root() {
            chown(folder.path(), Some(UNPRIVILEGED), Some(UNPRIVILEGED)).unwrap();
        }
        let made = command("initdb")
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .args(["--auth=trust", "--username=tidegate", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        Self {
            folder,
            server: None,
        }
    }

    pub async fn started() -> Self {
        let mut postgres = Self::new();
        postgres.start().await;
        postgres
    }

    pub async fn start(&mut self) {
        let server = command("postgres")
            .arg("-D")
            .arg(self.folder.path().join("data"))
            .arg("-k")
            .arg(self.folder.path())
            .args(["-c", "listen_addresses=", "-c", "fsync=off"])
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        self.server = Some(server);
        for _ in 0..600 {
            if PgConnection::connect(&self.url()).await.is_ok() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap();
        panic!("PostgreSQL did not start:\n{log}");
    }

    /// Ends the server and all its connections at once.
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let pid = server.id().to_string();
            let told = Command::new("kill").args(["-QUIT", &pid]).status();
            assert!(told.unwrap().success());
            // A login that is half open may keep it from ending.
            let begun = Instant::now();
            while server.try_wait().unwrap().is_none() {
                if begun.elapsed() > Duration::from_secs(5) {
                    server.kill().unwrap();
                }
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    pub fn url(&self) -> String {
        let folder = self.folder.path().display();
        format!("postgres://tidegate@localhost/postgres?host={folder}")
    }

    pub async fn connect(&self) -> PgConnection {
        PgConnection::connect(&self.url()).await.unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").unwrap().uid() == 0
}

fn command(name: &str) -> Command {
    let mut command = Command::new(find(name));
    command.env_clear();
    if is_root() {
        command.uid(UNPRIVILEGED).gid(UNPRIVILEGED);
    }
    command
}

/// In the `PATH`, or where Debian hides the programs of each version.
fn find(name: &str) -> PathBuf {
    let debian = fs::read_dir("/usr/lib/postgresql").into_iter().flatten();
    let debian = debian.flatten().map(|version| version.path().join("bin"));
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(debian)
        .map(|folder| folder.join(name))
        .find(|program| Path::exists(program))
        .unwrap_or_else(|| {
            panic!("this test needs PostgreSQL (`{name}`): apt-get install postgresql")
        })
}
