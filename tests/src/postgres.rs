//! The real PostgreSQL, on a Unix domain socket of its own.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt as _, chown},
        process::CommandExt as _,
    },
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use crate::process::{Program, Signal};

/// `nobody`: PostgreSQL does not run as root.
const UNPRIVILEGED: u32 = 65_534;

/// A database of its own. Dropping it ends the server.
#[derive(Debug)]
pub struct Postgres {
    server: Option<Program>,
    folder: TempDir,
}

impl Postgres {
    /// Makes a database, and starts a server for it.
    #[must_use]
    #[track_caller]
    pub fn start() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        if is_root() {
            let owner = Some(UNPRIVILEGED);
            chown(folder.path(), owner, owner).expect("root may give folders away");
        }
        let made = command("initdb", folder.path())
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .args(["--auth=trust", "--username=tidegate", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C"])
            .output()
            .expect("initdb can be started");
        assert!(made.status.success(), "{made:?}");
        let mut postgres = Self {
            server: None,
            folder,
        };
        postgres.resume();
        postgres
    }

    /// Starts the server again, and waits until it serves.
    #[track_caller]
    pub fn resume(&mut self) {
        let folder = self.folder.path();
        let mut command = command("postgres", folder);
        command
            .arg("-D")
            .arg(folder.join("data"))
            .arg("-k")
            .arg(folder)
            .args(["-c", "listen_addresses=", "-c", "fsync=off"]);
        let server = Program::start("postgres", &mut command);
        server.wait_for("it serves", |line| {
            let serves = line.contains("ready to accept connections");
            serves.then_some(())
        });
        self.server = Some(server);
    }

    /// Ends the server and all its connections at once.
    #[track_caller]
    pub fn stop(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.signal(Signal::QUIT);
            server.wait_exit();
        }
    }

    /// For `users.postgres.url`.
    #[must_use]
    pub fn url(&self) -> String {
        let folder = self.folder.path().display();
        format!("postgres://tidegate@localhost/postgres?host={folder}")
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its children would outlive it if it were killed.
        if let Some(server) = &mut self.server
            && server.is_running()
        {
            server.signal(Signal::QUIT);
            server.wait_exit();
        }
    }
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|of| of.uid() == 0)
}

fn command(name: &str, folder: &Path) -> Command {
    let mut command = Command::new(find(name));
    command.env_clear().current_dir(folder);
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
        .find(|program| program.exists())
        .unwrap_or_else(|| {
            panic!("this test needs PostgreSQL (`{name}`): apt-get install postgresql")
        })
}
