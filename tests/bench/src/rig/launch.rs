//! How a process of the rig begins: in a session of its own, and bound to end with the benchmark.
//!
//! Linux shares the processor between sessions first ("autogroups"). In one session together, load, proxy, service
//! and sink would have the share of one; services that a machine starts have a session each.

use std::{
    convert::Infallible, env, ffi::OsString, fs, os::unix::process::CommandExt as _,
    process::Command, sync::OnceLock,
};

use anyhow::Context as _;
use rustix::process::{Signal, set_parent_process_death_signal, setsid};

/// The verb by which this executable becomes another program.
pub(crate) const VERB: &str = "__exec";
/// The variable that holds the nice value of each session, if one was asked for.
const NICE: &str = "TIDEGATE_BENCH_AUTOGROUP_NICE";

static ASKED: OnceLock<i32> = OnceLock::new();

/// From now on, sessions get this nice value.
pub(crate) fn be_nice(value: i32) {
    // It is said once, at the start.
    let _ = ASKED.set(value);
}

/// The command that starts another one as a process of the rig.
pub(super) fn wrap(inner: &Command) -> anyhow::Result<Command> {
    let mut command = Command::new(env::current_exe().context("no path to this executable")?);
    command
        .arg(VERB)
        .arg(inner.get_program())
        .args(inner.get_args());
    for (key, value) in inner.get_envs() {
        match value {
            Some(value) => command.env(key, value),
            None => command.env_remove(key),
        };
    }
    if let Some(nice) = ASKED.get() {
        command.env(NICE, nice.to_string());
    }
    Ok(command)
}

/// Becomes the program that the arguments name.
pub(crate) fn become_program(
    mut arguments: impl Iterator<Item = OsString>,
) -> anyhow::Result<Infallible> {
    let program = arguments.next().context("no program")?;
    // Fails only for the leader of a process group, which a child never is.
    setsid()?;
    set_parent_process_death_signal(Some(Signal::KILL))?;
    if let Some(nice) = env::var_os(NICE) {
        let path = "/proc/self/autogroup";
        fs::write(path, nice.as_encoded_bytes()).with_context(|| format!("cannot write {path}"))?;
    }
    Err(Command::new(program).args(arguments).exec().into())
}
