//! What the decision pipeline gets to know of the configuration.

use tidegate_proto::v1;

use crate::{
    authz::{
        AuthzOptions, Contact, DecisionLog, FailurePolicy, HookKind, HookOptions, Step, Target,
        Tls, TlsFiles,
    },
    config::{self, AuthzTls, Config},
    events::{EventOptions, Events, Reporter},
    metrics::TlsMetrics,
};

use super::StartError;

/// The settings of the pipeline.
pub(super) fn options(config: &Config, metrics: &TlsMetrics) -> Result<AuthzOptions, StartError> {
    let authz = &config.authz;
    let defaults = AuthzOptions::default();
    let endpoints = authz.targets();
    // One for all of them: the files are the same.
    let companions = [&authz.control.endpoint, &authz.events.endpoint];
    let all = endpoints.iter().chain(companions.into_iter().flatten());
    let is_tls = all.into_iter().any(Target::is_tls);
    Ok(AuthzOptions {
        tls: is_tls.then(|| tls(&authz.tls, metrics)).transpose()?,
        endpoints,
        connect_timeout: authz.connect_timeout,
        health_check: authz.health_check,
        connect: HookOptions {
            deadline: authz.connect.deadline,
            on_failure: failure(authz, HookKind::Connect),
            ..defaults.connect
        },
        publish: HookOptions {
            deadline: authz.publish.deadline,
            max_items: authz.publish.max_batch,
            on_failure: failure(authz, HookKind::Publish),
            mode: authz.publish.mode.with(authz.publish.off_action),
        },
        subscribe: HookOptions {
            deadline: authz.subscribe.deadline,
            max_items: authz.subscribe.max_batch,
            on_failure: failure(authz, HookKind::Subscribe),
            mode: authz.subscribe.mode.with(authz.subscribe.off_action),
        },
        queue_checks: authz.queue_checks,
        queue_bytes: authz.queue_bytes,
        mutations: (&authz.permit).into(),
        max_session_state: authz.max_session_state,
        cache: authz.cache.options(),
        hold_bytes: authz.hold_bytes,
        retroactive_spans_per_second: config.telemetry.retroactive_spans_per_second,
        decision_log: DecisionLog {
            allows_at_info: config.log.allows,
            ..defaults.decision_log
        },
        ..defaults
    })
}

/// The settings for a companion of the service, which may be somewhere else.
pub(super) fn companion(options: &AuthzOptions, endpoint: Option<&Target>) -> AuthzOptions {
    let mut options = options.clone();
    if let Some(endpoint) = endpoint {
        options.endpoints = vec![endpoint.clone()];
    }
    options
}

/// Who hears of what happens, and the task that tells it. `None`: nobody does.
pub(super) fn reporter(
    config: &Config,
    options: &AuthzOptions,
    data_plane: &v1::DataPlane,
) -> Option<(Reporter, Events)> {
    let events = &config.authz.events;
    if !events.enabled {
        return None;
    }
    let settings = EventOptions {
        kinds: events.kinds.iter().copied().map(Into::into).collect(),
        queue_events: events.queue_events,
        queue_bytes: events.queue_bytes,
        // What the service gave is for the service: another one may be somebody else's.
        with_state: events.endpoint.is_none(),
    };
    let options = companion(options, events.endpoint.as_ref());
    let contact = Contact::new(&options, data_plane.clone());
    let started = Reporter::start(&settings, contact, data_plane.clone());
    Some(started)
}

/// What becomes of a hook's checks that nobody decided.
pub(super) fn failure(authz: &config::Authz, hook: HookKind) -> FailurePolicy {
    let (on_failure, hold_max, deadline) = match hook {
        HookKind::Connect | HookKind::Will => {
            let connect = &authz.connect;
            (&connect.on_failure, connect.hold_max, connect.deadline)
        }
        HookKind::Publish => {
            let publish = &authz.publish;
            (&publish.on_failure, publish.hold_max, publish.deadline)
        }
        HookKind::Subscribe => {
            let subscribe = &authz.subscribe;
            let steps = &subscribe.on_failure;
            let mut policy = steps.policy(subscribe.hold_max, subscribe.deadline);
            if steps.disconnects().is_none() {
                policy.steps.push(Step::Disconnect);
            }
            return policy;
        }
    };
    on_failure.policy(hold_max, deadline)
}

/// What connections over TLS need.
fn tls(files: &AuthzTls, metrics: &TlsMetrics) -> Result<Tls, StartError> {
    let files = TlsFiles {
        ca: files.ca.clone(),
        cert: files.cert.clone(),
        key: files.key.clone(),
        server_name: files.server_name.clone(),
    };
    Tls::counted(&files, metrics).map_err(|error| StartError::value(error.key, error.reason))
}

/// How this instance introduces itself to the service.
pub(super) fn data_plane(config: &Config) -> v1::DataPlane {
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
