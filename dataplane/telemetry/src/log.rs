//! Logs: operational events to standard error, the decision log to standard output.
//!
//! Event → filter → [`record::Record`] → a line of [`text`] or [`json`] → the stream its target
//! belongs to.

mod format;
mod json;
mod record;
mod text;

use crate::{DECISION_TARGET, Error};
use format::{Lines, Style};
use serde::{Deserialize, Serialize};
use std::{
    env,
    io::{self, IsTerminal},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tracing::{Metadata, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::{FilterExt, Targets, filter_fn},
    fmt::MakeWriter,
    registry::Registry,
    reload,
};

/// What is logged, and how. Fit to be a `[log]` table of a configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogOptions {
    /// How lines look.
    pub format: LogFormat,
    /// A level (`info`), or a level and exceptions by target (`info,tidegate=debug,h2=off`).
    /// The environment variable `RUST_LOG` wins over it.
    pub filter: String,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            format: LogFormat::Auto,
            filter: "info".to_owned(),
        }
    }
}

impl LogOptions {
    /// Checks the filter, so that a configuration can be refused before it is used.
    ///
    /// # Errors
    ///
    /// [`Error::Filter`] if the filter cannot be read.
    pub fn check(&self) -> Result<(), Error> {
        targets(&self.filter, "the configuration").map(drop)
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON elsewhere; each stream for itself.
    #[default]
    Auto,
    /// Lines for people, in colour on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// The filter of the logs, which can be replaced while the program runs. Clones are the same one.
#[derive(Debug, Clone)]
pub struct LogFilter {
    targets: reload::Handle<Targets, Registry>,
    text: Arc<Mutex<String>>,
    is_from_environment: bool,
}

impl LogFilter {
    /// What is in force, as it was written.
    #[must_use]
    pub fn text(&self) -> String {
        lock(&self.text).clone()
    }

    /// Whether it came from `RUST_LOG`, which wins over the configuration.
    #[must_use]
    pub fn is_from_environment(&self) -> bool {
        self.is_from_environment
    }

    /// Puts another one in force.
    ///
    /// # Errors
    ///
    /// [`Error::Filter`] if it cannot be read; the old one stays.
    pub fn set(&self, filter: &str) -> Result<(), Error> {
        let refused = |reason| Error::Filter {
            filter: filter.to_owned(),
            origin: "a request",
            reason,
        };
        let targets = targets(filter, "a request")?;
        let mut text = lock(&self.text);
        self.targets
            .reload(targets)
            .map_err(|error| refused(error.to_string()))?;
        filter.clone_into(&mut text);
        Ok(())
    }
}

fn lock(text: &Mutex<String>) -> MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The layer that writes the logs of this process, and the way to its filter.
pub(crate) fn layer(
    options: &LogOptions,
) -> Result<(impl Layer<Registry> + use<>, LogFilter), Error> {
    let (text, is_from_environment) = match env::var("RUST_LOG") {
        Ok(filter) if !filter.is_empty() => (filter, true),
        _ => (options.filter.clone(), false),
    };
    let origin = match is_from_environment {
        true => "RUST_LOG",
        false => "the configuration",
    };
    let (targets, handle) = reload::Layer::new(targets(&text, origin)?);
    let filter = LogFilter {
        targets: handle,
        text: Arc::new(Mutex::new(text)),
        is_from_environment,
    };
    // Spans are no lines; refusing them here keeps them free of cost when nothing is exported.
    let targets = targets.and(filter_fn(|metadata| metadata.is_event()));

    let lines = Lines {
        decisions: style(options.format, &io::stdout()),
        others: style(options.format, &io::stderr()),
    };
    let layer = tracing_subscriber::fmt::layer()
        .event_format(lines)
        .with_writer(StandardStreams)
        .with_filter(targets);
    Ok((layer, filter))
}

/// Reads a filter and adds what is the default where it says nothing.
fn targets(filter: &str, origin: &'static str) -> Result<Targets, Error> {
    let targets: Targets = filter.parse().map_err(
        |error: tracing_subscriber::filter::ParseError| Error::Filter {
            filter: filter.to_owned(),
            origin,
            reason: error.to_string(),
        },
    )?;

    let defaults = [
        // "warn" is meant for the noise, not for the record of who was refused what.
        (DECISION_TARGET, LevelFilter::INFO),
        // The SDK reports every failed batch; the exporter's own warning comes once a minute.
        ("opentelemetry", LevelFilter::OFF),
    ];
    let missing = defaults.into_iter().filter(|(name, _)| {
        let mut named = targets.iter();
        !named.any(|(target, _)| target.starts_with(name))
    });
    let missing: Vec<_> = missing.collect();
    Ok(targets.with_targets(missing))
}

fn style(format: LogFormat, stream: &impl IsTerminal) -> Style {
    let terminal = stream.is_terminal();
    // https://no-color.org: any value but the empty one.
    let colour = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    match format {
        LogFormat::Json => Style::Json,
        LogFormat::Auto if !terminal => Style::Json,
        LogFormat::Auto | LogFormat::Text => Style::Text { colour },
    }
}

/// Standard output for decisions, standard error for the rest.
struct StandardStreams;

impl<'a> MakeWriter<'a> for StandardStreams {
    type Writer = Box<dyn io::Write>;

    fn make_writer(&'a self) -> Self::Writer {
        Box::new(io::stderr())
    }

    fn make_writer_for(&'a self, meta: &Metadata<'_>) -> Self::Writer {
        if meta.target() == DECISION_TARGET {
            Box::new(io::stdout())
        } else {
            self.make_writer()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn the_filter_goes_by_target() {
        let filter = targets("info,tidegate::session=debug,h2=off", "a test").unwrap();
        assert!(filter.would_enable("tidegate", &Level::INFO));
        assert!(!filter.would_enable("tidegate", &Level::DEBUG));
        assert!(filter.would_enable("tidegate::session::relay", &Level::DEBUG));
        assert!(!filter.would_enable("h2::codec", &Level::ERROR));
    }

    #[test]
    fn decisions_are_logged_whatever_the_level_unless_they_are_named() {
        let quiet = targets("error", "a test").unwrap();
        assert!(quiet.would_enable(DECISION_TARGET, &Level::INFO));
        assert!(!quiet.would_enable(DECISION_TARGET, &Level::DEBUG));
        let silent = targets("info,decision=off", "a test").unwrap();
        assert!(!silent.would_enable(DECISION_TARGET, &Level::ERROR));
    }

    #[test]
    fn the_sdk_is_silent_unless_it_is_named() {
        let loud = targets("trace", "a test").unwrap();
        assert!(!loud.would_enable("opentelemetry_sdk", &Level::ERROR));
        let named = targets("info,opentelemetry_sdk=debug", "a test").unwrap();
        assert!(named.would_enable("opentelemetry_sdk", &Level::DEBUG));
    }

    #[test]
    fn a_filter_can_be_replaced_by_one_that_makes_sense() {
        let (_layer, filter) = layer(&LogOptions::default()).unwrap();
        filter.set("info,tidegate=lots").unwrap_err();
        assert_eq!(filter.text(), "info");
        // The layer lives as long as the program, which this test is not.
        drop(_layer);
        filter.set("debug").unwrap_err();
        assert_eq!(filter.text(), "info");
    }

    #[test]
    fn a_filter_that_cannot_be_read_is_refused() {
        let options = LogOptions {
            filter: "info,tidegate=lots".to_owned(),
            ..LogOptions::default()
        };
        let error = options.check().unwrap_err().to_string();
        assert!(error.contains("`info,tidegate=lots`"), "{error}");
        assert!(error.contains("the configuration"), "{error}");
    }
}
