//! From a configuration to a running gate. The same two calls serve the program and every test.

mod authz;
mod rules;

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use thiserror::Error;
use tidegate_telemetry::Sampler;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    admission::PerAddress,
    authz::{Authz, Contact, Epochs},
    config::{self, Config, SampleRatio},
    control::{Control, ControlParts},
    descriptors,
    events::Reporter,
    listener::{Gate, Listener},
    metrics::{Metrics, Overseen, Server},
    mount::{Template, TemplateError},
    session::{Oversight, Sampling, SessionLog, Shared, Succession},
    transport::Doorway,
    upstream::{Target, TcpUpstream},
};

/// For the last events to be reported.
const LAST_REPORTS: Duration = Duration::from_secs(2);

/// Why a gate could not be started.
#[derive(Debug, Error)]
pub enum StartError {
    /// An address could not be bound.
    #[error("listener {name:?} cannot bind {address}")]
    Bind {
        /// Name of the listener.
        name: String,
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The address of `/metrics` could not be bound.
    #[error("metrics.bind: cannot bind {address}")]
    Metrics {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A value that should have been refused with the configuration.
    #[error("{key} is not usable: {reason}")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

/// A gate whose listeners are bound and not yet served.
#[derive(Debug)]
pub struct Bound {
    listeners: Vec<Listener>,
    addresses: Vec<(String, SocketAddr)>,
    metrics: Option<Server>,
    gate: Gate,
    shared: Arc<Shared<TcpUpstream>>,
    drain_timeout: Duration,
    watch: Option<Control>,
    reporter: Option<Reporter>,
}

/// Reads the files that the configuration names, as [`bind`] will.
///
/// # Errors
///
/// A file that can't be used.
pub fn check(config: &Config) -> Result<(), StartError> {
    authz::options(config)?;
    let listeners = &config.listeners.0;
    listeners
        .iter()
        .try_for_each(|listener| doorway(listener).map(drop))
}

/// Binds all listeners. Nothing is accepted, dialled or asked yet; but directives are watched for from here
/// on, if they are wanted.
///
/// # Errors
///
/// An address that can't be bound.
pub async fn bind(config: &Config, tracing_enabled: bool) -> Result<Bound, StartError> {
    descriptors::raise(config.limits.max_connections);
    let upstream = upstream(config)?;
    let sampling = if tracing_enabled {
        sampling(&config.telemetry.trace_sample_ratio)?
    } else {
        Sampling::default()
    };
    let mut options = authz::options(config)?;
    if !tracing_enabled {
        options.retroactive_spans_per_second = 0;
    }
    let data_plane = authz::data_plane(config);
    let control = &config.authz.control;
    let epochs = Arc::new(match control.enabled {
        true => Epochs::watched(control.silence),
        false => Epochs::unwatched(),
    });
    let oversight = Oversight::new(
        Arc::clone(&epochs),
        config.authz.failure_closes_per_second,
        control.terminations_per_second,
    );
    let (reporter, events) = authz::reporter(config, &options, &data_plane)?.unzip();
    let events = events.unwrap_or_default();
    let authz = Authz::start_with(&options, data_plane.clone(), &epochs);
    let overseen = Overseen {
        epochs,
        failure_closes: Arc::clone(&oversight.failure_closes),
        terminations: Arc::clone(&oversight.terminations),
        events: events.clone(),
    };
    let (metrics, registry) = Metrics::registered(authz.counters(), overseen);
    let watch = match control.enabled {
        true => {
            let options = authz::companion(config, &options, control.endpoint.as_ref())?;
            Some(Control::start(
                Contact::new(&options, data_plane.clone()),
                data_plane,
                control.silence,
                ControlParts {
                    registry: Arc::clone(&oversight.registry),
                    terminations: Arc::clone(&oversight.terminations),
                    events: events.clone(),
                    metrics: metrics.control.clone(),
                },
            ))
        }
        false => None,
    };

    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    for listener in &config.listeners.0 {
        let refused = |source| StartError::Bind {
            name: listener.name.clone(),
            address: listener.bind,
            source,
        };
        let mount = mount(listener)?;
        let rules = rules::rules(config, listener);
        let bound = Listener::bind(listener, rules, mount, doorway(listener)?, &metrics)
            .await
            .map_err(refused)?;
        addresses.push((listener.name.clone(), bound.local_addr().map_err(refused)?));
        listeners.push(bound);
    }

    let metrics_server = match config.metrics.bind {
        Some(address) => Some(
            Server::bind(address, registry)
                .await
                .map_err(|source| StartError::Metrics { address, source })?,
        ),
        None => None,
    };

    Ok(Bound {
        listeners,
        addresses,
        metrics: metrics_server,
        gate: Gate {
            permits: Arc::new(Semaphore::new(config.limits.max_connections)),
            per_address: PerAddress::new(config.limits.max_connections_per_address),
            undecided: PerAddress::new(config.limits.max_undecided_per_address),
            sessions: TaskTracker::new(),
            drain: CancellationToken::new(),
        },
        shared: Arc::new(Shared {
            authz,
            upstream,
            succession: Succession::default(),
            oversight,
            events,
            sampling,
            write_stall: config.limits.write_stall,
            packet_deadline: config.limits.packet_deadline,
            metrics,
            log: SessionLog::default(),
        }),
        drain_timeout: config.drain.timeout,
        watch,
        reporter,
    })
}

impl Bound {
    /// Name and address of each listener, with the port that was taken.
    #[must_use]
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
    }

    /// Address of `/metrics`, with the port that was taken. `None`: it is not served.
    #[must_use]
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.local_addr().ok()
    }

    /// Serves until `stop` is done, then ends all sessions and returns.
    pub async fn serve(self, stop: impl Future<Output = ()>) {
        let accepting = TaskTracker::new();
        for listener in self.listeners {
            info!(
                listener = listener.name(),
                address = %listener.local_addr().map_or_else(|_| String::new(), |at| at.to_string()),
                "listening"
            );
            accepting.spawn(listener.serve(self.gate.clone(), Arc::clone(&self.shared)));
        }
        // It answers as long as there is something to be seen, the drain included.
        let served = CancellationToken::new();
        let _served = served.clone().drop_guard();
        if let Some(metrics) = self.metrics {
            tokio::spawn(metrics.serve(served));
        }
        stop.await;

        let sessions = &self.gate.sessions;
        info!(sessions = sessions.len(), "draining");
        self.gate.drain.cancel();
        accepting.close();
        accepting.wait().await;
        sessions.close();
        if timeout(self.drain_timeout, sessions.wait()).await.is_err() {
            warn!(
                sessions = sessions.len(),
                "cutting the sessions that did not end in time"
            );
        }
        // Directives count up to the end of the last session.
        drop(self.watch);
        if let Some(reporter) = self.reporter {
            reporter.finish(LAST_REPORTS).await;
        }
    }
}

fn doorway(listener: &config::Listener) -> Result<Doorway, StartError> {
    Doorway::load(listener).map_err(|error| StartError::Value {
        key: "listeners.tls",
        reason: format!("{error} (listener {:?})", listener.name),
    })
}

fn mount(listener: &config::Listener) -> Result<Option<Template>, StartError> {
    let template = listener.mount.as_deref().map(str::parse).transpose();
    template.map_err(|error: TemplateError| StartError::Value {
        key: "listeners.mount",
        reason: format!("expected {error}"),
    })
}

fn upstream(config: &Config) -> Result<TcpUpstream, StartError> {
    let target: Target = config
        .broker
        .url
        .parse()
        .map_err(|error| StartError::Value {
            key: "broker.url",
            reason: format!("expected {error}"),
        })?;
    Ok(TcpUpstream::new(target))
}

fn sampling(ratio: &SampleRatio) -> Result<Sampling, StartError> {
    let sampler = |ratio| {
        Sampler::ratio(ratio).map_err(|error| StartError::Value {
            key: "telemetry.trace_sample_ratio",
            reason: error.to_string(),
        })
    };
    Ok(Sampling {
        connect: sampler(ratio.connect)?,
        subscribe: sampler(ratio.subscribe)?,
        publish: sampler(ratio.publish)?,
    })
}
