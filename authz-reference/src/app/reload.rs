//! A new configuration for a running service: all of it, or none.

use std::sync::{Arc, Mutex, PoisonError};

use serde_json::Value;
use thiserror::Error;
use tidegate_telemetry::LogFilter;
use tokio::sync::Notify;
use tracing::{error, info, warn};

use super::{AppError, parts::Parts};
use crate::{config::Config, metrics::ReloadMetrics, users::changes::Change};

/// Keys that count from the next call on. A `.` at the end is all below. What is not here needs a restart: a key that
/// somebody forgets to think about is refused, not ignored.
const LIVE: [&str; 6] = [
    "policy.",
    "roles.",
    "session.key_file",
    "session.key_files",
    "session.key_files.",
    "log.filter",
];
/// Of these, what decisions about open sessions depend on.
const RULES: [&str; 2] = ["policy.", "roles."];

/// Keys that an error names, at most.
const NAMED: usize = 8;

/// Why a configuration is not taken.
#[derive(Debug, Error)]
pub enum ReloadError {
    /// It cannot be read, or makes no sense.
    #[error(transparent)]
    Configuration(#[from] tidegate_settings::Error),
    /// A file that it names cannot be used, or the like.
    #[error(transparent)]
    Unusable(#[from] AppError),
    /// It changes what cannot change.
    #[error("these keys need a restart, and nothing was changed: {}", named(.0))]
    NeedsRestart(Vec<String>),
}

fn named(keys: &[String]) -> String {
    let mut text = keys[..keys.len().min(NAMED)].join(", ");
    if keys.len() > NAMED {
        text.push_str(", …");
    }
    text
}

/// Takes new configurations. Clones are the same service's.
#[derive(Debug, Clone)]
pub struct Reloader(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: Mutex<Config>,
    parts: Parts,
    /// Notified after other rules are in force.
    rules: Arc<Notify>,
    metrics: ReloadMetrics,
}

impl Reloader {
    pub(super) fn new(
        config: Config,
        parts: Parts,
        rules: Arc<Notify>,
        metrics: ReloadMetrics,
    ) -> Self {
        let config = Mutex::new(config);
        Self(Arc::new(Inner {
            config,
            parts,
            rules,
            metrics,
        }))
    }

    /// What has to know of a changed user before data planes are told.
    pub(super) fn note(&self) -> impl Fn(&Change) + Send + use<> {
        let recent = Arc::clone(&self.0.parts.recent);
        move |change| match change {
            Change::User(changed) | Change::Earlier(changed) => recent.note(changed),
            Change::Heard { source, only_these } => recent.heard(source, *only_these),
            Change::Unknown(source) => recent.unknown(source),
            Change::Rules => {}
        }
    }

    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Config {
        let config = self.0.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.clone()
    }

    /// Takes what was read, if it can be used, and logs and counts what became of it. Reads the files that it
    /// names, so it may block.
    ///
    /// # Errors
    /// Why the old one stays.
    pub fn take(
        &self,
        read: Result<Config, tidegate_settings::Error>,
        log: Option<&LogFilter>,
    ) -> Result<(), ReloadError> {
        let taken = read
            .map_err(ReloadError::from)
            .and_then(|new| self.0.apply(new, log));
        self.0.metrics.configuration(taken.is_ok());
        match &taken {
            Ok(changed) => info!(changed = named(changed), "configuration reloaded"),
            Err(error) => error!(%error, "configuration refused: the old one stays"),
        }
        taken.map(drop)
    }
}

impl Inner {
    /// The keys that have changed. On an error nothing has.
    fn apply(&self, new: Config, log: Option<&LogFilter>) -> Result<Vec<String>, ReloadError> {
        let mut config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = changed(&config, &new)?;
        let fixed: Vec<_> = changed
            .iter()
            .filter(|key| !is_among(key, &LIVE))
            .cloned()
            .collect();
        if !fixed.is_empty() {
            return Err(ReloadError::NeedsRestart(fixed));
        }
        // Everything that may fail comes before anything that is put in force. Key files may have changed with all
        // keys as they were.
        let lost_keys = self.parts.replace(&new)?;
        // What a key that is gone has sealed does not open any more, but who only listens would not notice.
        if lost_keys || changed.iter().any(|key| is_among(key, &RULES)) {
            // Only now: who asks again is answered by the new rules.
            self.rules.notify_one();
            self.parts.tell_rules(&new);
        }
        if let Some(log) = log
            && changed.iter().any(|key| key == "log.filter")
        {
            set_log(log, &new.log.filter);
        }
        *config = new;
        Ok(changed)
    }
}

fn set_log(log: &LogFilter, filter: &str) {
    if log.is_from_environment() {
        warn!("log.filter has changed, but RUST_LOG wins over it");
    } else if let Err(error) = log.set(filter) {
        // It was checked with the configuration.
        error!(%error, "the log filter stays");
    }
}

fn is_among(key: &str, keys: &[&str]) -> bool {
    keys.iter().any(|known| match known.strip_suffix('.') {
        Some(table) => key == table || key.starts_with(known),
        None => key == *known,
    })
}

/// The keys whose values differ, the deepest that tell them apart.
fn changed(old: &Config, new: &Config) -> Result<Vec<String>, tidegate_settings::Error> {
    let tree = |config: &Config| {
        serde_json::to_value(config).map_err(|error| {
            tidegate_settings::Error::invalid("", error.to_string(), "a configuration", None)
        })
    };
    let mut keys = Vec::new();
    compare("", &tree(old)?, &tree(new)?, &mut keys);
    Ok(keys)
}

fn compare(key: &str, old: &Value, new: &Value, keys: &mut Vec<String>) {
    let (Value::Object(before), Value::Object(after)) = (old, new) else {
        if old != new {
            keys.push(key.to_owned());
        }
        return;
    };
    let names = before.keys();
    let added = after.keys().filter(|name| !before.contains_key(*name));
    for name in names.chain(added) {
        let below = match key {
            "" => name.clone(),
            key => format!("{key}.{name}"),
        };
        let value = |of: &serde_json::Map<String, Value>| of.get(name).cloned().unwrap_or_default();
        compare(&below, &value(before), &value(after), keys);
    }
}
