//! A process that ends with its owner, and what it says.

use std::{
    env,
    io::{BufRead as _, BufReader, Read, Write as _},
    process::{self, ChildStdin, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use serde::{Serialize, de::DeserializeOwned};
use tempfile::TempDir;

use super::launch;

/// For a process to be ready or to answer; 9,000 clients have to connect in it.
const PATIENCE: Duration = Duration::from_secs(120);
/// Lines about trouble that are shown of each stream.
const TROUBLES: usize = 2;
/// Characters of such a line that are shown.
const SHOWN: usize = 300;
/// Lines that may wait to be read. What is more is dropped: nobody waits for it.
const LINES: usize = 1_000;

/// A running process. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Child {
    name: String,
    child: process::Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Its files, gone when it is.
    _folder: Option<TempDir>,
}

impl Child {
    /// Starts this executable again as one of its actors, and waits for its first word.
    pub(super) fn start_actor<T: DeserializeOwned>(
        verb: &str,
        spec: &impl Serialize,
    ) -> anyhow::Result<(Self, T)> {
        let me = env::current_exe().context("no path to this executable")?;
        let mut command = Command::new(me);
        command.arg(verb).arg(serde_json::to_string(spec)?);
        let child = Self::start(verb, &command, None)?;
        let ready = serde_json::from_str(&child.line()?)?;
        Ok((child, ready))
    }

    /// Starts a program with its files.
    pub(super) fn start(
        name: &str,
        command: &Command,
        folder: Option<TempDir>,
    ) -> anyhow::Result<Self> {
        let mut child = launch::wrap(command)?
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {name} ({command:?})"))?;
        let (sender, lines) = sync_channel(LINES);
        follow(child.stdout.take(), name, sender.clone());
        follow(child.stderr.take(), name, sender);
        Ok(Self {
            name: name.to_owned(),
            stdin: child.stdin.take(),
            child,
            lines,
            _folder: folder,
        })
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Asks an actor something.
    pub(super) fn ask<T: DeserializeOwned>(&mut self, question: &str) -> anyhow::Result<T> {
        self.say(question)?;
        let line = self.line()?;
        serde_json::from_str(&line).with_context(|| format!("{} said {line:?}", self.name))
    }

    /// Writes a line to its standard input.
    pub(super) fn say(&mut self, line: &str) -> anyhow::Result<()> {
        let stdin = self.stdin.as_mut().context("nobody to talk to")?;
        writeln!(stdin, "{line}").with_context(|| format!("{} is gone", self.name))
    }

    /// Waits for a line in which `find` finds something.
    pub(super) fn wait_for<T>(&self, find: impl Fn(&str) -> Option<T>) -> anyhow::Result<T> {
        let give_up = Instant::now() + PATIENCE;
        let mut said = String::new();
        while Instant::now() < give_up {
            match self
                .lines
                .recv_timeout(give_up.saturating_duration_since(Instant::now()))
            {
                Ok(line) => match find(&line) {
                    Some(found) => return Ok(found),
                    None => said = said + "\n" + &line,
                },
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        bail!("{} did not get ready; it said:{said}", self.name)
    }

    fn line(&self) -> anyhow::Result<String> {
        self.lines
            .recv_timeout(PATIENCE)
            .with_context(|| format!("{} says nothing", self.name))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Reads a stream to its end, so that the process never waits for a reader.
fn follow(stream: Option<impl Read + Send + 'static>, name: &str, lines: SyncSender<String>) {
    let Some(stream) = stream else { return };
    let name = name.to_owned();
    thread::spawn(move || {
        let mut troubles = 0;
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { break };
            let line = String::from_utf8_lossy(&line).into_owned();
            if is_trouble(&line) && troubles < TROUBLES {
                troubles += 1;
                eprintln!("{name}: {}", line.chars().take(SHOWN).collect::<String>());
            }
            let _ = lines.try_send(line);
        }
    });
}

/// Whether the user should see it: a warning of one of the programs, or the last word of an actor.
fn is_trouble(line: &str) -> bool {
    line.starts_with("__")
        || ["\"WARN\"", "\"ERROR\"", "[WARNING]", "[ALERT]"]
            .iter()
            .any(|word| line.contains(word))
}
