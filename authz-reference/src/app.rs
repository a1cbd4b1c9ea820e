//! The running service: [`build`] makes it from a configuration, [`Bound::serve`] runs it until
//! it is told to stop. The program and the tests go the same way.

mod error;
mod parts;
mod reload;
mod upkeep;

use std::{net::SocketAddr, sync::Arc};

use tidegate_proto::v1::{
    authorization_service_server::AuthorizationServiceServer,
    control_service_server::ControlServiceServer,
};
use tidegate_telemetry::Counters;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic_health::pb::health_server::HealthServer;
use tracing::{info, warn};

use crate::{
    config::{Address, Config, ShutdownConfig},
    control::{Control, feed::Feed, hub::Hub},
    front::Front,
    health::{Health, Standing},
    metrics::{Metrics, Observed, Spans},
    probes::Probes,
    server::{Server, Socket, tls::Tls},
    service::MAX_REQUEST_BYTES,
    users::changes::Changes,
};

pub use self::{
    error::AppError,
    reload::{ReloadError, Reloader},
    upkeep::FileWatch,
};
use self::{parts::Parts, upkeep::Upkeep};

/// A service that has its port and everything else it needs.
#[derive(Debug)]
pub struct Bound {
    /// Where it listens: the real port, if port 0 was asked for.
    pub address: Address,
    /// Where it answers probes, if anywhere.
    pub probes_address: Option<SocketAddr>,
    server: Server,
    probes: Option<Probes>,
    health: Health,
    feed: Feed,
    changes: Changes,
    upkeep: Upkeep,
    reloader: Reloader,
    shutdown: ShutdownConfig,
}

/// Loads what the configuration names, then binds the ports. To be called within a Tokio runtime.
///
/// # Errors
/// If anything is missing or a port cannot be had.
pub async fn build(config: &Config) -> Result<Bound, AppError> {
    build_with(config, Counters::default()).await
}

/// The same in a process that exports spans, which are counted here.
///
/// # Errors
/// As [`build`].
pub async fn build_with(config: &Config, spans: Counters) -> Result<Bound, AppError> {
    let (metrics, mut registry) = Metrics::registered();
    let (parts, changes) = Parts::load(config, &metrics)?;
    let tls = Tls::load(&config.tls)?.map(Arc::new);
    let hub = Hub::new(process()?);
    let front = Front::new(parts.service.clone(), metrics.clone());
    let health = Health::new();
    registry.register_collector(Box::new(Observed {
        hub: hub.clone(),
        pool: parts.pool.clone(),
        tls: tls.clone(),
    }));
    registry.register_collector(Box::new(Spans(spans)));

    let socket = Socket::bind(&config.bind).map_err(AppError::bind(&config.bind))?;
    let address = socket.address().map_err(AppError::bind(&config.bind))?;
    let (probes, probes_address) = match config.probes.bind {
        Some(bind) => {
            let failed = AppError::bind(&Address::Tcp(bind));
            let socket = Socket::tcp(bind).map_err(&failed)?;
            let address = socket.local_addr().map_err(&failed)?;
            let probes = Probes::new(socket, health.clone(), registry);
            (Some(probes), Some(address))
        }
        None => (None, None),
    };

    let upkeep = Upkeep {
        health: health.clone(),
        sources: parts.sources.clone(),
        recent: Arc::clone(&parts.recent),
        begun: Instant::now(),
        tls: tls.clone(),
        metrics: metrics.reload.clone(),
    };
    if !upkeep.look_at_sources() {
        warn!("no user source can be asked yet; not ready until one can");
    }
    let server = Server {
        socket,
        tls,
        routes: routes(&front, &hub, &health)?,
        settings: config.server.clone(),
    };
    let rules = Arc::new(Notify::new());
    parts.tell_rules(config);
    let stores = parts.stores(config);
    let feed = Feed::new(hub, stores, config.server.rollout, Arc::clone(&rules));
    let reloader = Reloader::new(config.clone(), parts, rules, metrics.reload);
    Ok(Bound {
        address,
        probes_address,
        server,
        probes,
        health,
        feed,
        changes,
        upkeep,
        reloader,
        shutdown: config.shutdown.clone(),
    })
}

/// Loads what the configuration names, and lets it go again.
///
/// # Errors
/// If anything of it cannot be used.
pub(crate) fn check(config: &Config) -> Result<(), AppError> {
    Parts::load(config, &Metrics::registered().0)?;
    Tls::load(&config.tls)?;
    Ok(())
}

/// Sets the directives and decisions of this process apart from those of others.
fn process() -> Result<String, getrandom::Error> {
    Ok(format!("{:016x}", getrandom::u64()?))
}

fn routes(front: &Front, hub: &Hub, health: &Health) -> Result<Routes, AppError> {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tidegate_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let authorization =
        AuthorizationServiceServer::new(front.clone()).max_decoding_message_size(MAX_REQUEST_BYTES);
    Ok(Routes::new(authorization)
        .add_service(ControlServiceServer::new(Control::new(hub.clone())))
        .add_service(HealthServer::new(health.clone()))
        .add_service(reflection)
        .prepare())
}

impl Bound {
    /// Takes new configurations while it runs.
    #[must_use]
    pub fn reloader(&self) -> Reloader {
        self.reloader.clone()
    }

    /// Serves until `shutdown` completes and the calls that are open then are answered, but no
    /// longer than the configuration says.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let note = self.reloader.note();
        let company = async {
            tokio::join!(
                self.feed.run(self.changes, note),
                self.upkeep.keep(),
                serve_probes(self.probes),
            );
        };
        let end = async {
            shutdown.await;
            let ShutdownConfig { delay, grace } = self.shutdown;
            self.health.set(Standing::Stopping);
            if !delay.is_zero() {
                info!("stopping: not ready, and serving for another {delay:?}");
                sleep(delay).await;
            }
            info!("stopping: no new calls, {grace:?} for open ones");
            stop.cancel();
            sleep(grace).await;
            warn!("some calls are still open after {grace:?}; leaving them");
        };
        tokio::select! {
            () = self.server.serve(stop.clone()) => {}
            () = end => {}
            () = company => {}
        }
    }
}

async fn serve_probes(probes: Option<Probes>) {
    match probes {
        Some(probes) => match probes.serve().await {},
        None => std::future::pending().await,
    }
}
