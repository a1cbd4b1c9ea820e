//! From a configuration to a running gate. The same two calls serve the program and every test.

use std::{io, net::SocketAddr, sync::Arc};

use gatekeeper::{Deadlines, OnDenied, OnDeniedV3, OnFailed, Rules};
use thiserror::Error;
use tidegate_proto::v1;
use tidegate_telemetry::Sampler;
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::{
    admission::Undecided,
    authz::{Authz, AuthzOptions, DecisionLog, HookOptions, Mutations},
    config::{Config, OnDeny, OnDenyV3, OnFailure, SampleRatio},
    listener::{Gate, Listener},
    session::{Sampling, Shared},
    upstream::{Target, TcpUpstream},
};

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
    gate: Gate,
    shared: Arc<Shared<TcpUpstream>>,
    drain_timeout: std::time::Duration,
}

/// Binds all listeners. Nothing is accepted, dialled or asked yet.
///
/// # Errors
///
/// An address that can't be bound.
pub async fn bind(config: &Config, tracing_enabled: bool) -> Result<Bound, StartError> {
    let upstream = upstream(config)?;
    let sampling = if tracing_enabled {
        sampling(&config.telemetry.trace_sample_ratio)?
    } else {
        Sampling::default()
    };
    let options = authz_options(config)?;

    let mut listeners = Vec::new();
    let mut addresses = Vec::new();
    for listener in &config.listeners.0 {
        let refused = |source| StartError::Bind {
            name: listener.name.clone(),
            address: listener.bind,
            source,
        };
        let bound = Listener::bind(listener).await.map_err(refused)?;
        addresses.push((listener.name.clone(), bound.local_addr().map_err(refused)?));
        listeners.push(bound);
    }

    Ok(Bound {
        listeners,
        addresses,
        gate: Gate {
            permits: Arc::new(Semaphore::new(config.limits.max_connections)),
            undecided: Undecided::new(config.limits.max_undecided_per_address),
            sessions: TaskTracker::new(),
            drain: CancellationToken::new(),
        },
        shared: Arc::new(Shared {
            rules: Arc::new(rules(config)),
            authz: Authz::start(&options, data_plane(config)),
            upstream,
            sampling,
            write_stall: config.limits.write_stall,
        }),
        drain_timeout: config.drain.timeout,
    })
}

impl Bound {
    /// Name and address of each listener, with the port that was taken.
    #[must_use]
    pub fn addresses(&self) -> &[(String, SocketAddr)] {
        &self.addresses
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
    }
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

fn rules(config: &Config) -> Rules {
    let limits = &config.limits;
    let denied = |choice| match choice {
        OnDeny::Reject => OnDenied::Reject,
        OnDeny::Disconnect => OnDenied::Disconnect,
    };
    let failed = |choice| match choice {
        OnFailure::Reject => OnFailed::Reject,
        OnFailure::Disconnect => OnFailed::Disconnect,
    };
    Rules {
        limits: gatekeeper::Limits {
            max_connect_size: limits.max_connect_size,
            max_packet_size: limits.max_packet_size,
            max_downlink_packet_size: limits.max_downlink_packet_size,
            window_packets: limits.window_packets,
            window_bytes: limits.window_bytes,
            topic_alias_maximum: limits.topic_alias_maximum,
            max_filters: limits.max_filters,
            max_topic_levels: limits.max_topic_levels,
            max_filter_wildcards: limits.max_filter_wildcards,
            max_subscriptions: limits.max_subscriptions,
            max_user_properties: limits.max_user_properties,
            max_user_property_bytes: limits.max_user_property_bytes,
            receive_maximum: limits.receive_maximum,
            ..gatekeeper::Limits::default()
        },
        deadlines: Deadlines {
            handshake: limits.handshake_deadline,
            connect: config.authz.connect.deadline,
            publish: config.authz.publish.deadline,
            subscribe: config.authz.subscribe.deadline,
            broker_connect: config.broker.connect_timeout,
            broker_ping: config.broker.ping_timeout,
            ..Deadlines::default()
        },
        on_publish_denied: denied(config.authz.publish.on_deny),
        on_publish_denied_v3: match config.authz.publish.on_deny_v3 {
            OnDenyV3::AckAndDrop => OnDeniedV3::AckAndDrop,
            OnDenyV3::Disconnect => OnDeniedV3::Disconnect,
        },
        on_subscribe_denied: denied(config.authz.subscribe.on_deny),
        on_publish_failed: failed(config.authz.publish.on_failure),
        on_subscribe_failed: failed(config.authz.subscribe.on_failure),
        ..Rules::default()
    }
}

fn authz_options(config: &Config) -> Result<AuthzOptions, StartError> {
    let authz = &config.authz;
    let defaults = AuthzOptions::default();
    Ok(AuthzOptions {
        endpoint: authz.endpoint.parse().map_err(|_| StartError::Value {
            key: "authz.endpoint",
            reason: "expected http://host:port".to_owned(),
        })?,
        connect_timeout: authz.connect_timeout,
        connect: HookOptions {
            deadline: authz.connect.deadline,
            ..defaults.connect
        },
        publish: HookOptions {
            deadline: authz.publish.deadline,
            max_items: authz.publish.max_batch,
        },
        subscribe: HookOptions {
            deadline: authz.subscribe.deadline,
            max_items: authz.subscribe.max_batch,
        },
        queue_checks: authz.queue_checks,
        queue_bytes: authz.queue_bytes,
        mutations: Mutations {
            broker_client_id: authz.permit.broker_client_id,
        },
        max_session_state: authz.max_session_state,
        decision_log: DecisionLog {
            allows_at_info: config.log.allows,
            ..defaults.decision_log
        },
        ..defaults
    })
}

fn data_plane(config: &Config) -> v1::DataPlane {
    let id = if config.instance.id.is_empty() {
        host_name()
    } else {
        config.instance.id.clone()
    };
    v1::DataPlane {
        instance_id: id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: config.instance.labels.clone().into_iter().collect(),
    }
}

/// The host's name as the kernel has it; in Kubernetes it is the pod's.
fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "tidegate".to_owned())
}
