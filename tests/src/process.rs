//! A program as a child process whose output is kept, and which ends with its owner.

use std::{
    collections::VecDeque,
    io::{BufRead as _, BufReader, Read},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Instant,
};

use rustix::process::{Pid, kill_process};

pub use rustix::process::Signal;

use crate::wait::{PATIENCE, eventually};

/// Lines kept per program. What is older is forgotten, but counted.
const KEPT_LINES: usize = 50_000;

/// Lines shown when a test fails.
const SHOWN_LINES: usize = 150;

/// A running program. Dropping it kills it; when that happens in a panic, its last output is shown.
#[derive(Debug)]
pub struct Program {
    name: String,
    child: Child,
    output: Arc<Output>,
}

/// What a program has written so far, line by line, both streams in one.
#[derive(Debug, Default)]
struct Output {
    lines: Mutex<Lines>,
    grown: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    kept: VecDeque<String>,
    forgotten: usize,
    open_streams: usize,
}

impl Program {
    /// Starts a program under a name for messages.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {name} ({command:?}): {error}"));
        let output = Arc::new(Output::default());
        output.follow(child.stdout.take().expect("stdout is piped"));
        output.follow(child.stderr.take().expect("stderr is piped"));
        Self {
            name: name.to_owned(),
            child,
            output,
        }
    }

    /// Waits for a line of output in which `find` finds something; lines already written count.
    ///
    /// # Panics
    /// If the program ends, or time passes, without such a line.
    #[track_caller]
    pub fn wait_for<T>(&self, what: &str, mut find: impl FnMut(&str) -> Option<T>) -> T {
        let give_up = Instant::now() + PATIENCE;
        let mut seen = 0;
        let mut lines = self.output.lines.lock().unwrap();
        loop {
            let unseen = seen.max(lines.forgotten) - lines.forgotten;
            if let Some(found) = lines.kept.iter().skip(unseen).find_map(|line| find(line)) {
                return found;
            }
            seen = lines.forgotten + lines.kept.len();
            let left = give_up.saturating_duration_since(Instant::now());
            if lines.open_streams == 0 || left.is_zero() {
                drop(lines);
                panic!("{} never said that {what}", self.name);
            }
            lines = self.output.grown.wait_timeout(lines, left).unwrap().0;
        }
    }

    /// All output so far, as one text.
    #[must_use]
    pub fn output(&self) -> String {
        let lines = self.output.lines.lock().unwrap();
        lines
            .kept
            .iter()
            .fold(String::new(), |text, line| text + line + "\n")
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// If the program is gone already.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal)
            .unwrap_or_else(|error| panic!("cannot signal {}: {error}", self.name));
    }

    /// Kills the program and waits until it is gone.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits until the program ends by itself and all of its output has been read.
    #[track_caller]
    pub fn wait_exit(&mut self) -> ExitStatus {
        let name = &self.name;
        let child = &mut self.child;
        let status = eventually(&format!("{name} ends"), || {
            child.try_wait().expect("a child can be waited for")
        });
        eventually(&format!("{name} closes its output"), || {
            (self.output.lines.lock().unwrap().open_streams == 0).then_some(())
        });
        status
    }

    /// Whether the program is still there.
    #[must_use]
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The process id, as the operating system's tools want it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            let lines = self.output.lines.lock().unwrap();
            let skipped = lines.kept.len().saturating_sub(SHOWN_LINES);
            eprintln!(
                "--- output of {}, without the first {} lines",
                self.name,
                lines.forgotten + skipped
            );
            for line in lines.kept.iter().skip(skipped) {
                eprintln!("{line}");
            }
        }
    }
}

impl Output {
    /// Reads a stream to its end on a thread of its own.
    fn follow(self: &Arc<Self>, stream: impl Read + Send + 'static) {
        self.lines.lock().unwrap().open_streams += 1;
        let output = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(stream).split(b'\n') {
                let Ok(line) = line else { break };
                output.push(String::from_utf8_lossy(&line).into_owned());
            }
            output.lines.lock().unwrap().open_streams -= 1;
            output.grown.notify_all();
        });
    }

    fn push(&self, line: String) {
        let mut lines = self.lines.lock().unwrap();
        if lines.kept.len() == KEPT_LINES {
            lines.kept.pop_front();
            lines.forgotten += 1;
        }
        lines.kept.push_back(line);
        drop(lines);
        self.grown.notify_all();
    }
}
