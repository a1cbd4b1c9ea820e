//! The two programs under test: built once per test run, with the profile of the tests.

use std::{
    collections::HashMap,
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// Set to a folder that holds `tidegate` and `tidegate-authz` to test those instead of building.
const READY_MADE: &str = "TIDEGATE_TEST_BIN_DIR";

/// The data plane.
#[must_use]
pub fn tidegate() -> &'static Path {
    find("tidegate")
}

/// The reference authorization service.
#[must_use]
pub fn tidegate_authz() -> &'static Path {
    find("tidegate-authz")
}

fn find(name: &str) -> &'static Path {
    static BINARIES: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    let binaries = BINARIES.get_or_init(|| match env::var_os(READY_MADE) {
        Some(folder) => ready_made(Path::new(&folder)),
        None => build(),
    });
    binaries
        .get(name)
        .unwrap_or_else(|| panic!("the build made no program {name}, only {binaries:?}"))
}

fn ready_made(folder: &Path) -> HashMap<String, PathBuf> {
    ["tidegate", "tidegate-authz"]
        .map(|name| (name.to_owned(), folder.join(name)))
        .into()
}

/// Builds the programs. Cargo says where they are, so no layout of the target folder is assumed.
fn build() -> HashMap<String, PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let build = Command::new(cargo)
        .args(["build", "-p", "tidegate", "-p", "tidegate-authz", "--bins"])
        .args([
            "--profile",
            &profile(),
            "--message-format",
            "json-render-diagnostics",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(
        build.status.success(),
        "the programs under test do not build:\n{}",
        String::from_utf8_lossy(&build.stderr)
    );
    String::from_utf8_lossy(&build.stdout)
        .lines()
        .filter_map(executable)
        .collect()
}

/// Name and path of an executable, if this is the message that announces one.
fn executable(message: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let path = message.get("executable")?.as_str()?;
    let name = message.get("target")?.get("name")?.as_str()?;
    Some((name.to_owned(), path.into()))
}

/// The profile that this very executable was built with: it lies in `target/<profile>/deps/`.
fn profile() -> String {
    let me = env::current_exe().expect("a test has a path");
    let folder = me.ancestors().nth(2).and_then(Path::file_name);
    match folder.and_then(|name| name.to_str()) {
        None | Some("debug") => "dev".to_owned(),
        Some(name) => name.to_owned(),
    }
}
