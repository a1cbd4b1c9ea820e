//! A program in a process of its own: this same executable, in one of its [`Role`]s.

use crate::{line::Said, role::Role};
use anyhow::Context as _;
use std::{
    env, io,
    path::Path,
    process::{ExitStatus, Output, Stdio},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader},
    process::{ChildStdin, Command},
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};

/// What happens to the programs.
#[derive(Debug)]
pub(crate) enum Event {
    /// One of them said something.
    Said(Role, Said),
    /// One of them ended, for whatever reason.
    Ended(Role, io::Result<ExitStatus>),
}

/// A running program. Dropping it kills the program.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) role: Role,
    leash: Option<ChildStdin>,
    watching: AbortHandle,
}

impl Child {
    /// Starts a program in this working directory. What happens to it goes to `events`, which is
    /// not bounded: a terminal that scrolls slowly must not slow the gate.
    pub(crate) fn start(
        role: Role,
        arguments: &[&str],
        directory: &Path,
        events: mpsc::UnboundedSender<Event>,
    ) -> anyhow::Result<Self> {
        let mut child = command(role, arguments, directory)
            .and_then(|mut command| command.spawn())
            .with_context(|| format!("cannot start {}", role.name()))?;
        let leash = child.stdin.take();
        let stdout = pass_on(role, child.stdout.take(), events.clone());
        let stderr = pass_on(role, child.stderr.take(), events.clone());
        let watching = tokio::spawn(async move {
            let status = child.wait().await;
            // Its last words come before its end.
            let _ = tokio::join!(stdout, stderr);
            let _ = events.send(Event::Ended(role, status));
        });
        Ok(Self {
            role,
            leash,
            watching: watching.abort_handle(),
        })
    }

    /// Lets go of the program, which ends it gracefully. [`Event::Ended`] tells when it has.
    pub(crate) fn release(&mut self) {
        self.leash = None;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

/// Runs a program that ends by itself.
pub(crate) async fn run(
    role: Role,
    arguments: &[&str],
    directory: &Path,
    input: &str,
) -> io::Result<Output> {
    let mut child = command(role, arguments, directory)?.spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes()).await?;
    }
    child.wait_with_output().await
}

fn command(role: Role, arguments: &[&str], directory: &Path) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    command
        .arg(role.verb())
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl-C is for the parent alone, which ends its children in the right order.
        .process_group(0)
        .kill_on_drop(true);
    // Whatever is set for other instances, the quick start's have the configuration it gave them.
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("TIDEGATE_") || name_text == "RUST_LOG" {
            command.env_remove(&name);
        }
    }
    command
        .env("TIDEGATE__LOG__FORMAT", "json")
        .env("TIDEGATE_AUTHZ__LOG__FORMAT", "json");
    Ok(command)
}

fn pass_on(
    role: Role,
    stream: Option<impl AsyncRead + Unpin + Send + 'static>,
    events: mpsc::UnboundedSender<Event>,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        let Some(stream) = stream else {
            return;
        };
        let mut lines = BufReader::new(stream).split(b'\n');
        while let Ok(Some(line)) = lines.next_segment().await {
            let said = Said::read(&String::from_utf8_lossy(&line));
            if said != Said::Chatter && events.send(Event::Said(role, said)).is_err() {
                return;
            }
        }
    })
}
