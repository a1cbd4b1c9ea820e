//! The wire between the benchmark and its processes: JSON, a line each.

use std::{
    io::{self, BufRead as _, Write as _},
    process, thread,
};

use anyhow::Context as _;
use serde::{Serialize, de::DeserializeOwned};

/// Reads what the process is to do.
pub(super) fn spec<T: DeserializeOwned>(text: &str) -> anyhow::Result<T> {
    serde_json::from_str(text).context("cannot read what to do")
}

/// Says that the process is ready, and from then on answers each line of standard input. Ends the process
/// with its standard input: no child outlives the benchmark.
pub(super) fn serve<T: Serialize>(
    ready: &impl Serialize,
    mut answer: impl FnMut(&str) -> T + Send + 'static,
) -> anyhow::Result<()> {
    say(ready)?;
    thread::spawn(move || {
        for line in io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            if say(&answer(line.trim())).is_err() {
                break;
            }
        }
        process::exit(0);
    });
    Ok(())
}

fn say(what: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_string(what)?;
    line.push('\n');
    let mut stdout = io::stdout().lock();
    stdout.write_all(line.as_bytes())?;
    stdout.flush()?;
    Ok(())
}
