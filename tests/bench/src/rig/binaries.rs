//! The programs that are measured.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, ensure};

/// Where the programs are.
#[derive(Debug)]
pub(crate) struct Binaries {
    pub(crate) tidegate: PathBuf,
    pub(crate) tidegate_authz: PathBuf,
    /// Tidegate with an allocator that counts. `None`: not built.
    pub(crate) counted: Option<PathBuf>,
    /// `None`: not installed.
    pub(crate) haproxy: Option<PathBuf>,
}

impl Binaries {
    /// Finds them beside this executable, and builds what is missing, or everything if it is told so: cargo
    /// builds only this package when it is told to run it.
    pub(crate) fn find(folder: Option<&Path>, build: bool) -> anyhow::Result<Self> {
        let me = env::current_exe().context("no path to this executable")?;
        let beside = me.parent().context("this executable is nowhere")?;
        let folder = folder.unwrap_or(beside);
        let found = Self {
            tidegate: folder.join("tidegate"),
            tidegate_authz: folder.join("tidegate-authz"),
            counted: Some(beside.join("tidegate-counted")).filter(|path| path.is_file()),
            haproxy: on_path("haproxy"),
        };
        if build || !(found.tidegate.is_file() && found.tidegate_authz.is_file()) {
            ensure!(
                folder == beside,
                "there is no tidegate or no tidegate-authz in {}",
                folder.display()
            );
            cargo_build(beside)?;
        }
        Ok(found)
    }
}

fn cargo_build(folder: &Path) -> anyhow::Result<()> {
    let profile = match folder.file_name().and_then(|name| name.to_str()) {
        None | Some("debug") => "dev",
        Some(name) => name,
    };
    eprintln!("building tidegate and tidegate-authz ({profile})");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args([
            "build",
            "-p",
            "tidegate",
            "-p",
            "tidegate-authz",
            "--bins",
            "--profile",
            profile,
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "the programs to be measured do not build");
    Ok(())
}

/// Debian keeps some programs where the path of a user doesn't lead.
fn on_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain([PathBuf::from("/usr/sbin")])
        .map(|folder| folder.join(program))
        .find(|candidate| candidate.is_file())
}
