//! From a configuration to a running gate. The same two calls serve the program and every test.

mod authz;
mod error;
mod pem;
mod rules;
mod serve;

use std::{sync::Arc, time::SystemTime};

use tidegate_settings::{Loaded, Tree};
use tidegate_telemetry::{LogFilter, Sampler};
use tokio::{sync::Semaphore, time::Instant};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

pub use self::{error::StartError, serve::Bound};
use crate::{
    admin::{Admin, Dump},
    admission::{ConnectRate, PerAddress},
    authz::{Authz, AuthzOptions, Contact, Epochs},
    config::{self, AdminAddress, BrokerProxyProtocol, Config, SampleRatio},
    control::{Control, ControlParts},
    descriptors,
    drain::{Stop, Waves},
    in_force::InForce,
    listener::{Gate, Listener, Terms},
    live::Live,
    metrics::{Certificates, DialMetrics, Metrics, Overseen, TlsMetrics},
    mount::{Template, TemplateError},
    probes::{Probes, Readiness},
    reload::{Parts, Reloader},
    session::{Oversight, Sampling, SessionLog, Shared, Succession},
    systemd::{Notifier, Sockets},
    tls::client::{TlsError, TlsFiles},
    transport::Doorway,
    upstream::{Target, Upstream, UpstreamOptions},
    web::Socket,
};

/// The way to the broker.
pub(crate) type BrokerLeg = Upstream;

/// What the process has for a gate. The default has nothing.
#[derive(Debug, Default)]
pub struct Host {
    /// Whether spans are exported.
    pub tracing_enabled: bool,
    /// What becomes of the spans.
    pub spans: tidegate_telemetry::Counters,
    /// The filter of the logs, to be replaced.
    pub log: Option<LogFilter>,
    /// The manager of the process.
    pub notifier: Notifier,
    /// Sockets that the manager has opened.
    pub sockets: Sockets,
}

/// Reads the files that the configuration names, as [`bind`] will.
///
/// # Errors
///
/// A file that can't be used; the error says where it was named.
pub fn check(loaded: &Loaded<Config>) -> Result<(), StartError> {
    let config = &loaded.value;
    let uncounted = TlsMetrics::default();
    let checked = || {
        upstream(config, DialMetrics::default(), &uncounted)?;
        authz::options(config, &uncounted)?;
        let mut listeners = config.listeners.0.iter().enumerate();
        listeners.try_for_each(|(place, listener)| doorway(listener, place).map(drop))
    };
    checked().map_err(|error: StartError| error.placed(&loaded.tree))
}

/// As [`bind_in`], for a configuration that comes from nowhere, and a process that has nothing.
///
/// # Errors
///
/// As [`bind_in`].
pub async fn bind(config: &Config, tracing_enabled: bool) -> Result<Bound, StartError> {
    let tree = Tree::of_defaults(config)?;
    let loaded = Loaded {
        value: config.clone(),
        tree,
    };
    let host = Host {
        tracing_enabled,
        ..Host::default()
    };
    bind_in(loaded, host).await
}

/// Binds all listeners. Nothing is accepted or dialled yet, and no client's question asked; but directives are
/// watched for from here on, if they are wanted.
///
/// # Errors
///
/// An address that can't be bound.
pub async fn bind_in(loaded: Loaded<Config>, mut host: Host) -> Result<Bound, StartError> {
    let config = &loaded.value;
    let wanted = config.limits.max_connections;
    let max_connections = descriptors::raise(wanted.min(config.listeners.max_connections()));
    let placed = |error: StartError| error.placed(&loaded.tree);
    let tls_metrics = TlsMetrics::default();
    let sampling = sampling_if(host.tracing_enabled, config)?;
    let options = pipeline(config, host.tracing_enabled, &tls_metrics).map_err(placed)?;
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
    let oversight = match config.admin.bind {
        Some(_) => oversight.listing(),
        None => oversight,
    };
    let (reporter, events) = authz::reporter(config, &options, &data_plane).unzip();
    let events = events.unwrap_or_default();
    let authz = Authz::start_with(&options, data_plane.clone(), &epochs);
    let counters = Arc::clone(authz.counters());
    let overseen = Overseen {
        epochs: Arc::clone(&epochs),
        failure_closes: Arc::clone(&oversight.failure_closes),
        terminations: Arc::clone(&oversight.terminations),
        events: events.clone(),
    };
    let (metrics, mut registry) = Metrics::registered(&counters, overseen, tls_metrics, host.spans);
    let dials = metrics.dials.clone();
    let upstream = upstream(config, dials, &metrics.tls).map_err(placed)?;
    let watch = match control.enabled {
        true => {
            let options = authz::companion(&options, control.endpoint.as_ref());
            Some(Control::start(
                Contact::new(&options, data_plane.clone()),
                data_plane.clone(),
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
    let mut all_terms = Vec::new();
    for (place, listener) in config.listeners.0.iter().enumerate() {
        let refused = |source| StartError::Bind {
            name: listener.name.clone(),
            address: listener.bind,
            source,
        };
        let inherited = host
            .sockets
            .take_tcp(&listener.name, listener.bind, &socket_names(config));
        let inherited = inherited.map_err(refused)?;
        let doorway = Arc::new(doorway(listener, place).map_err(placed)?);
        all_terms.push(Arc::new(terms(config, listener, doorway)?));
        let bound = Listener::bind(listener, place, inherited, &metrics)
            .await
            .map_err(refused)?;
        addresses.push((listener.name.clone(), bound.local_addr().map_err(refused)?));
        listeners.push(bound);
    }
    let probes_socket = probes_socket(config, &mut host.sockets).await?;
    let admin_socket = admin_socket(config, &mut host.sockets).await?;
    host.sockets.expect_none()?;

    let stop = Stop::default();
    let readiness = Readiness::new(stop.clone());
    let gate = Gate {
        permits: Arc::new(Semaphore::new(max_connections)),
        connect_rate: config
            .limits
            .connect_rate()
            .map(|(per_second, burst)| ConnectRate::new(per_second, burst)),
        per_address: PerAddress::new(config.limits.max_connections_per_address),
        undecided: PerAddress::new(config.limits.max_undecided_per_address),
        sessions: TaskTracker::new(),
        drain: CancellationToken::new(),
        waves: Waves::default(),
    };
    let dump = Live::new(Dump {
        tree: loaded.tree,
        since: SystemTime::now(),
    });
    let admin = admin_socket.map(|socket| {
        let admin = Admin {
            readiness: readiness.clone(),
            stop: stop.clone(),
            registry: Arc::clone(&oversight.registry),
            sessions: gate.sessions.clone(),
            counters: Arc::clone(&counters),
            dump: dump.clone(),
            log: host.log.clone(),
            listeners: addresses
                .iter()
                .map(|(name, address)| (name.clone(), address.to_string()))
                .collect(),
            started_at: Instant::now(),
            is_file: matches!(socket, Socket::Unix(..)),
        };
        (socket, Arc::new(admin))
    });
    let shared = Arc::new(Shared {
        authz: authz.clone(),
        upstream,
        succession: Succession::default(),
        oversight,
        events,
        sampling,
        write_stall: config.limits.write_stall,
        packet_deadline: config.limits.packet_deadline,
        metrics: metrics.clone(),
        log: SessionLog::default(),
    });
    let in_force = Live::new(InForce {
        shared,
        terms: all_terms,
    });
    registry.register_collector(Box::new(Certificates {
        listeners: listeners.iter().map(|bound| bound.name().into()).collect(),
        in_force: in_force.clone(),
    }));
    let warms_up = probes_socket.is_some();
    let probes = probes_socket.map(|socket| {
        let readiness = readiness.clone();
        (
            socket,
            Arc::new(Probes {
                readiness,
                registry,
            }),
        )
    });
    if warms_up {
        authz.warm_up();
    }

    let drain = Live::new(config.drain.clone());
    let reloader = Reloader::new(Parts {
        in_force: in_force.clone(),
        drain: drain.clone(),
        dump,
        epochs,
        data_plane,
        log: host.log,
        tracing_enabled: host.tracing_enabled,
        metrics: metrics.reload,
        warms_up,
        config: loaded.value,
    });
    Ok(Bound {
        listeners,
        addresses,
        probes,
        admin,
        gate,
        in_force,
        drain,
        stop,
        readiness,
        counters,
        reloader,
        notifier: host.notifier,
        watch,
        reporter,
    })
}

async fn probes_socket(
    config: &Config,
    sockets: &mut Sockets,
) -> Result<Option<Socket>, StartError> {
    let Some(address) = config.probes_bind() else {
        return Ok(None);
    };
    let refused = |source| StartError::Probes { address, source };
    let inherited = sockets
        .take_tcp("probes", address, &socket_names(config))
        .map_err(refused)?;
    let socket = match inherited {
        Some(socket) => Socket::Tcp(socket),
        None => Socket::tcp(address).await.map_err(refused)?,
    };
    Ok(Some(socket))
}

async fn admin_socket(
    config: &Config,
    sockets: &mut Sockets,
) -> Result<Option<Socket>, StartError> {
    let Some(address) = &config.admin.bind else {
        return Ok(None);
    };
    let refused = |source| StartError::Admin {
        address: address.clone(),
        source,
    };
    let inherited = match address {
        AdminAddress::Tcp(address) => sockets
            .take_tcp("admin", *address, &socket_names(config))
            .map(|socket| socket.map(Socket::Tcp)),
        AdminAddress::Unix(_) => sockets
            .take_unix("admin")
            .map(|socket| socket.map(|socket| Socket::Unix(socket, None))),
    };
    if let Some(socket) = inherited.map_err(refused)? {
        if !config.admin.acknowledge_exposed
            && let Some(address) = socket.exposed()
        {
            return Err(StartError::AdminExposed { address });
        }
        return Ok(Some(socket));
    }
    let bound = match address {
        AdminAddress::Tcp(address) => Socket::tcp(*address).await,
        AdminAddress::Unix(path) => Socket::unix(path).await,
    };
    bound.map(Some).map_err(refused)
}

/// What holds for the clients of a listener.
pub(crate) fn terms(
    config: &Config,
    listener: &config::Listener,
    doorway: Arc<Doorway>,
) -> Result<Terms, StartError> {
    let mount = mount(listener)?;
    let rules = rules::rules(config, listener);
    Ok(Terms::new(listener, rules, mount, doorway))
}

/// The settings of the pipeline.
pub(crate) fn pipeline(
    config: &Config,
    tracing_enabled: bool,
    metrics: &TlsMetrics,
) -> Result<AuthzOptions, StartError> {
    let mut options = authz::options(config, metrics)?;
    if !tracing_enabled {
        options.retroactive_spans_per_second = 0;
    }
    Ok(options)
}

/// The names by which sockets may be handed over.
fn socket_names(config: &Config) -> Vec<&str> {
    let listeners = config.listeners.0.iter();
    let own = ["probes", "admin"].into_iter();
    own.chain(listeners.map(|listener| &*listener.name))
        .collect()
}

/// How connections of the listener in this place become streams of MQTT.
pub(crate) fn doorway(listener: &config::Listener, place: usize) -> Result<Doorway, StartError> {
    Doorway::load(listener).map_err(|error| {
        StartError::value(pem::key_of(listener, place, &error), pem::reason(&error))
    })
}

fn mount(listener: &config::Listener) -> Result<Option<Template>, StartError> {
    let template = listener.mount.as_deref().map(str::parse).transpose();
    template.map_err(|error: TemplateError| {
        StartError::value("listeners.mount", format!("expected {error}"))
    })
}

/// The way to the broker.
pub(crate) fn upstream(
    config: &Config,
    dials: DialMetrics,
    tls: &TlsMetrics,
) -> Result<BrokerLeg, StartError> {
    let broker = &config.broker;
    let target: Target = broker
        .url
        .parse()
        .map_err(|error| StartError::value("broker.url", format!("expected {error}")))?;
    let options = UpstreamOptions {
        target,
        tls: TlsFiles {
            ca: broker.tls.ca.clone(),
            cert: broker.tls.cert.clone(),
            key: broker.tls.key.clone(),
            server_name: broker.tls.server_name.clone(),
        },
        proxy_header: match broker.proxy_protocol {
            BrokerProxyProtocol::Off => false,
            BrokerProxyProtocol::V2 => true,
        },
        max_packet: config.limits.max_downlink_packet_size,
        metrics: dials,
    };
    Upstream::counted(options, tls)
        .map_err(|TlsError { key, reason }| StartError::value(key, reason))
}

/// How many packets are traced, if any are.
pub(crate) fn sampling_if(tracing_enabled: bool, config: &Config) -> Result<Sampling, StartError> {
    match tracing_enabled {
        true => sampling(&config.telemetry.trace_sample_ratio),
        false => Ok(Sampling::default()),
    }
}

fn sampling(ratio: &SampleRatio) -> Result<Sampling, StartError> {
    let sampler = |ratio| {
        Sampler::ratio(ratio)
            .map_err(|error| StartError::value("telemetry.trace_sample_ratio", error.to_string()))
    };
    Ok(Sampling {
        connect: sampler(ratio.connect)?,
        subscribe: sampler(ratio.subscribe)?,
        publish: sampler(ratio.publish)?,
    })
}
