//! A new configuration for a running gate: all of it, or none.
//!
//! What concerns one session only holds for those that come after the reload; who is connected keeps what held
//! when it came, its pipeline to the service included. What was made once for the whole process (listeners,
//! permits, the streams of directives and events) cannot be replaced: a configuration that changes such a key is
//! refused, and the keys are named.

mod compare;
mod watch;

use std::{
    any::Any,
    sync::{Arc, Mutex, PoisonError, Weak},
    time::SystemTime,
};

use thiserror::Error;
use tidegate_proto::v1;
use tidegate_settings::{Loaded, Origin};
use tidegate_telemetry::LogFilter;
use tracing::{error, info, warn};

pub(crate) use self::watch::Watch;
use crate::{
    admin::Dump,
    app::{self, BrokerLeg, StartError},
    authz::Epochs,
    config::{self, Config},
    in_force::InForce,
    listener::Terms,
    live::Live,
    metrics::ReloadMetrics,
    session::Shared,
};

/// Pipelines of earlier configurations that live on in sessions. Each has connections to the service.
const MAX_EARLIER: usize = 8;

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
    Unusable(#[from] StartError),
    /// It changes what cannot change.
    #[error("these keys need a restart, and nothing was changed: {}", named(.0))]
    NeedsRestart(Vec<String>),
    /// Too many sessions of too many earlier ones.
    #[error(
        "sessions of {MAX_EARLIER} earlier configurations of `authz` are still connected, and nothing was changed"
    )]
    TooManyEarlier,
}

fn named(keys: &[String]) -> String {
    let mut text = keys[..keys.len().min(NAMED)].join(", ");
    if keys.len() > NAMED {
        text.push_str(", …");
    }
    text
}

/// What a reload works on.
#[derive(Debug)]
pub(crate) struct Parts {
    pub(crate) config: Config,
    pub(crate) in_force: Live<InForce<BrokerLeg>>,
    pub(crate) drain: Live<config::Drain>,
    pub(crate) dump: Live<Dump>,
    pub(crate) epochs: Arc<Epochs>,
    pub(crate) data_plane: v1::DataPlane,
    pub(crate) log: Option<LogFilter>,
    pub(crate) tracing_enabled: bool,
    pub(crate) metrics: ReloadMetrics,
    /// Whether the pipeline is to connect before anybody asks.
    pub(crate) warms_up: bool,
}

/// Takes new configurations. Clones are the same gate's.
#[derive(Debug, Clone)]
pub struct Reloader(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    parts: Parts,
    earlier: Vec<Weak<dyn Any + Send + Sync>>,
}

impl Reloader {
    pub(crate) fn new(parts: Parts) -> Self {
        let earlier = Vec::new();
        Self(Arc::new(Mutex::new(State { parts, earlier })))
    }

    /// Takes what was read, if it can be used, and logs and counts what became of it. Reads the files that it
    /// names, so it may block; must be called inside a runtime.
    ///
    /// # Errors
    ///
    /// Why the old one stays.
    pub fn take(
        &self,
        read: Result<Loaded<Config>, tidegate_settings::Error>,
    ) -> Result<(), ReloadError> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = read
            .map_err(ReloadError::from)
            .and_then(|loaded| state.apply(loaded));
        let metrics = &state.parts.metrics;
        match &taken {
            Ok(changed) => {
                metrics.applied();
                info!(
                    changed = named(changed),
                    count = changed.len(),
                    "configuration reloaded"
                );
            }
            Err(error) => {
                metrics.refused();
                error!(%error, "configuration refused: the old one stays");
            }
        }
        taken.map(drop)
    }
}

impl State {
    /// What holds for the listeners by the new configuration, which has the same ones.
    fn terms(&self, new: &Config) -> Result<Vec<Arc<Terms>>, StartError> {
        let in_force = self.parts.in_force.get();
        let (old, listeners) = (&self.parts.config.listeners.0, &new.listeners.0);
        let both = std::iter::zip(old, listeners).zip(&in_force.terms);
        let terms = both.enumerate().map(|(place, ((was, is), terms))| {
            let doorway = match compare::has_new_door(was, is) {
                true => Arc::new(app::doorway(is, place)?),
                // Its files are looked at anyway, and clients that come back show its tickets.
                false => Arc::clone(terms.doorway()),
            };
            app::terms(new, is, doorway).map(Arc::new)
        });
        terms.collect()
    }

    /// The keys that have changed. On an error nothing has.
    fn apply(&mut self, loaded: Loaded<Config>) -> Result<Vec<String>, ReloadError> {
        let parts = &self.parts;
        let new = &loaded.value;
        let changed = compare::changed(&parts.config, new)?;
        let placed = |error: StartError| error.placed(&loaded.tree);
        let fixed: Vec<_> = changed
            .iter()
            .filter(|key| !compare::is_live(key, new))
            .map(|key| match loaded.tree.place_of(key) {
                Some(place) if *place != Origin::Default => format!("{key} ({place})"),
                // It is not in the new one.
                _ => key.clone(),
            })
            .collect();
        if !fixed.is_empty() {
            return Err(ReloadError::NeedsRestart(fixed));
        }

        // Everything that may fail comes before anything that is put in force.
        let old = Arc::clone(&parts.in_force.get().shared);
        let tls_metrics = &old.metrics.tls;
        let upstream = match compare::has_new_way(&parts.config, new) {
            true => {
                let dials = old.metrics.dials.clone();
                app::upstream(new, dials, tls_metrics).map_err(placed)?
            }
            // It knows the broker's addresses, and its files may be about to be replaced.
            false => old.upstream.clone(),
        };
        let sampling = app::sampling_if(parts.tracing_enabled, new)?;
        let options = app::pipeline(new, parts.tracing_enabled, tls_metrics).map_err(placed)?;
        let terms = self.terms(new).map_err(placed)?;
        self.earlier.retain(|earlier| earlier.strong_count() > 0);
        let authz = if compare::has_new_pipeline(&parts.config, new) {
            if self.earlier.len() >= MAX_EARLIER {
                return Err(ReloadError::TooManyEarlier);
            }
            self.earlier.push(old.authz.trace_of_life());
            let next = old
                .authz
                .succeed(&options, parts.data_plane.clone(), &parts.epochs);
            if parts.warms_up {
                next.warm_up();
            }
            next
        } else {
            old.authz.clone()
        };

        let shared = Arc::new(Shared {
            authz,
            upstream,
            succession: old.succession.clone(),
            oversight: old.oversight.clone(),
            events: old.events.clone(),
            sampling,
            write_stall: new.limits.write_stall,
            packet_deadline: new.limits.packet_deadline,
            metrics: old.metrics.clone(),
            log: old.log.clone(),
        });
        parts.in_force.set(InForce { shared, terms });
        parts.drain.set(new.drain.clone());
        parts.set_log(new);
        parts.dump.set(Dump {
            tree: loaded.tree,
            since: SystemTime::now(),
        });
        self.parts.config = loaded.value;
        Ok(changed)
    }
}

impl Parts {
    fn set_log(&self, new: &Config) {
        let Some(log) = &self.log else {
            return;
        };
        if new.log.filter == self.config.log.filter {
            return;
        }
        if log.is_from_environment() {
            warn!("log.filter has changed, but RUST_LOG wins over it");
        } else if let Err(error) = log.set(&new.log.filter) {
            // It was checked with the configuration.
            error!(%error, "the log filter stays");
        }
    }
}
