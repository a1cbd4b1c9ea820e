//! The part about packets that nobody decides, and hooks that do not enforce.

use std::{fmt, time::Duration};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, SeqAccess, Visitor},
};
use tidegate_settings::text;

use crate::authz::{CacheOptions, FailurePolicy, Mode, Step};

/// What becomes of a packet that nobody decided about: a step, or several, of which the first that applies
/// wins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OnFailure(pub Vec<Step>);

impl OnFailure {
    /// What the pipeline makes of it. `hold_max`: as long as a decision may take, if nothing is said.
    pub(crate) fn policy(&self, hold_max: Option<Duration>, deadline: Duration) -> FailurePolicy {
        FailurePolicy {
            steps: self.0.clone(),
            hold_max: hold_max.unwrap_or(deadline),
        }
    }

    /// Whether the session ends if nothing else helps; `None`: it is not said.
    pub(crate) fn disconnects(&self) -> Option<bool> {
        self.0.iter().find_map(|step| match step {
            Step::Disconnect => Some(true),
            Step::Reject => Some(false),
            Step::ServeStale | Step::Hold | Step::Allow => None,
        })
    }
}

impl Serialize for OnFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|step| step.as_str()))
    }
}

impl<'de> Deserialize<'de> for OnFailure {
    /// One word, several with commas between them (as environment variables have them), or a list.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Steps)
    }
}

struct Steps;

impl<'de> Visitor<'de> for Steps {
    type Value = OnFailure;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("steps out of serve_stale, hold, reject, disconnect and allow")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<OnFailure, E> {
        let inner = text.trim().trim_start_matches('[').trim_end_matches(']');
        let words = inner.split(',');
        let steps = words.map(|word| step(word.trim().trim_matches(['"', '\''])));
        steps.collect::<Result<_, _>>().map(OnFailure)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut words: A) -> Result<OnFailure, A::Error> {
        let mut steps = Vec::new();
        while let Some(word) = words.next_element::<String>()? {
            steps.push(step(&word)?);
        }
        Ok(OnFailure(steps))
    }
}

fn step<E: Error>(word: &str) -> Result<Step, E> {
    let known = Step::ALL.into_iter().find(|step| step.as_str() == word);
    known.ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(word), &Steps))
}

/// Whether the decisions about a hook count.
#[derive(schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HookMode {
    /// They do.
    Enforce,
    /// The service is asked, what would have happened is counted
    /// (`tidegate_authz_shadow_checks_total`), and everything passes as it came. Needs
    /// `authz.acknowledge_fail_open`.
    Shadow,
    /// The service is not asked: `off_action`. Needs `authz.acknowledge_fail_open`.
    Off,
}

/// What becomes of packets while a hook is off.
#[derive(schemars::JsonSchema, Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OffAction {
    /// They are denied.
    Deny,
    /// They pass.
    Allow,
}

impl HookMode {
    /// What the pipeline makes of it.
    pub(crate) fn with(self, off: OffAction) -> Mode {
        match (self, off) {
            (Self::Enforce, _) => Mode::Enforce,
            (Self::Shadow, _) => Mode::Shadow,
            (Self::Off, OffAction::Deny) => Mode::Deny,
            (Self::Off, OffAction::Allow) => Mode::Allow,
        }
    }
}

/// Decisions that are used again within their session: only those for which the service says so
/// (`CacheHint`), and never an answer to a CONNECT or a will.
#[derive(schemars::JsonSchema, Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    /// Whether any is.
    pub enabled: bool,
    /// Longest time for which one is used, whatever the service says.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub max_ttl: Duration,
    /// Longest time after that for which an allow is used while the service fails, whatever the service
    /// says. Needs `serve_stale` among the steps of `on_failure`.
    #[serde(with = "text::duration")]
    #[schemars(with = "super::schema::Duration")]
    pub max_stale: Duration,
    /// Decisions that are kept of one session.
    pub max_entries_per_session: usize,
    /// Bytes that the decisions of all sessions take, about.
    #[serde(with = "text::size")]
    #[schemars(with = "super::schema::Size")]
    pub max_bytes: usize,
}

impl Default for Cache {
    fn default() -> Self {
        Self {
            enabled: false,
            max_ttl: Duration::from_secs(60),
            max_stale: Duration::from_secs(300),
            max_entries_per_session: 256,
            max_bytes: 64 * 1024 * 1024,
        }
    }
}

impl Cache {
    /// What the pipeline makes of it.
    pub(crate) fn options(&self) -> Option<CacheOptions> {
        self.enabled.then_some(CacheOptions {
            max_ttl: self.max_ttl,
            max_stale: self.max_stale,
            max_entries_per_session: self.max_entries_per_session,
            max_bytes: self.max_bytes,
        })
    }
}
