//! The running service: [`build`] makes it from a configuration, [`Bound::serve`] runs it until
//! it is told to stop. The program and the tests go the same way.

use std::{io, net::SocketAddr, path::PathBuf, time::Duration};

use futures_util::StreamExt as _;
use thiserror::Error;
use tidegate_proto::v1::authorization_service_server::{
    AuthorizationServiceServer, SERVICE_NAME as AUTHORIZATION,
};
use tokio::sync::{mpsc, oneshot};
use tonic::transport::server::{Router, Server, TcpIncoming};
use tonic_health::{ServingStatus, server::HealthReporter};
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::{
    config::{Config, SessionConfig},
    hashing::HashingPool,
    login::Logins,
    service::{MAX_CONCURRENT_CALLS, MAX_REQUEST_BYTES, Service},
    session_state::{KeyError, Sealer},
    users::open::{self, OpenError},
};

/// How long calls may take to finish once the service has been told to stop.
const GRACE: Duration = Duration::from_secs(5);
/// The name under which gRPC health asks about the server as a whole.
const WHOLE_SERVER: &str = "";
/// A batch fits into a stream's window and several streams into the connection's, so one large
/// request does not hold up the others on its connection.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * STREAM_WINDOW;
/// A data plane that went away without a word is found out in less than a minute.
const PING_EVERY: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// After a failed accept. With no file descriptors left it would fail again at once, for ever.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Why the service did not start or did not go on.
#[derive(Debug, Error)]
pub enum AppError {
    /// A user base cannot be used as it is configured.
    #[error(transparent)]
    Users(#[from] OpenError),
    /// The session key file cannot be read.
    #[error("session.key_file: cannot read {}: {source}", path.display())]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no usable session key.
    #[error("session.key_file: {0}")]
    Key(#[from] KeyError),
    /// The system gave no randomness.
    #[error("no randomness for decision ids: {0}")]
    Random(#[from] getrandom::Error),
    /// The address cannot be listened on.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Reflection does not understand the contract.
    #[error("cannot set up reflection: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The server broke down.
    #[error("the server failed: {0}")]
    Serve(#[from] tonic::transport::Error),
}

impl AppError {
    /// Whether the operator has to change the configuration or the files it names.
    #[must_use]
    pub fn is_configuration(&self) -> bool {
        matches!(
            self,
            Self::Users(_) | Self::KeyFile { .. } | Self::Key(KeyError::TooShort(_))
        )
    }
}

/// A service that has its port and everything else it needs.
#[derive(Debug)]
pub struct Bound {
    /// Where it listens: the real port, if port 0 was asked for.
    pub addr: SocketAddr,
    incoming: TcpIncoming,
    router: Router,
    health: HealthReporter,
}

/// Loads what the configuration names, then binds the port. To be called within a Tokio runtime.
///
/// # Errors
/// If anything is missing or the port cannot be had.
pub async fn build(config: &Config) -> Result<Bound, AppError> {
    let service = service(config)?;
    let (health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(tidegate_proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let router = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_CONCURRENT_CALLS)
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .add_service(health_service)
        .add_service(reflection)
        .add_service(
            AuthorizationServiceServer::new(service).max_decoding_message_size(MAX_REQUEST_BYTES),
        );

    let bind = |source| AppError::Bind {
        addr: config.bind,
        source,
    };
    let incoming = TcpIncoming::bind(config.bind)
        .map_err(bind)?
        // Here and not on the server builder, which has no say over given connections: without it
        // every small answer waits for Nagle's algorithm, some 40 ms.
        .with_nodelay(Some(true));
    let addr = incoming.local_addr().map_err(bind)?;
    Ok(Bound {
        addr,
        incoming,
        router,
        health,
    })
}

/// The service with its users and keys. To be called within a Tokio runtime.
///
/// # Errors
/// If one of the files that the configuration names cannot be used.
pub(crate) fn service(config: &Config) -> Result<Service, AppError> {
    // Nobody listens to changes yet.
    let (changes, _) = mpsc::channel(1);
    let users = open::open(config, changes)?;
    let pool = HashingPool::new(config.hashing.limits());
    let process = getrandom::u32()?;
    Ok(Service::new(
        config.policy.clone(),
        Logins::new(users, pool),
        sealer(&config.session)?,
        process,
    ))
}

impl Bound {
    /// Serves until `shutdown` completes and the calls that are open then are answered, but no
    /// longer than five seconds more.
    ///
    /// # Errors
    /// If the server breaks down.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), AppError> {
        let Self {
            incoming,
            router,
            health,
            ..
        } = self;
        let (stopping, stopped) = oneshot::channel();
        let signal = async move {
            shutdown.await;
            info!("stopping: no new calls, {GRACE:?} for open ones");
            say_goodbye(health).await;
            stopping.send(()).ok();
        };
        let incoming = incoming.then(async |accepted| {
            if let Err(error) = &accepted {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
            accepted
        });
        let out_of_patience = async {
            match stopped.await {
                Ok(()) => tokio::time::sleep(GRACE).await,
                // The server ended by itself, and its branch below tells why.
                Err(_) => std::future::pending().await,
            }
        };
        tokio::select! {
            served = router.serve_with_incoming_shutdown(incoming, signal) => Ok(served?),
            () = out_of_patience => {
                warn!("some calls are still open after {GRACE:?}; leaving them");
                Ok(())
            }
        }
    }
}

/// Tells those who watch the health of this server, and then ends their watching: it would never
/// end by itself, and the server waits for open calls.
async fn say_goodbye(mut health: HealthReporter) {
    set_health(&health, ServingStatus::NotServing).await;
    for service in [WHOLE_SERVER, AUTHORIZATION] {
        health.clear_service_status(service).await;
    }
}

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for service in [WHOLE_SERVER, AUTHORIZATION] {
        health.set_service_status(service, status).await;
    }
}

fn sealer(config: &SessionConfig) -> Result<Sealer, AppError> {
    let Some(path) = &config.key_file else {
        return Ok(Sealer::random()?);
    };
    let secret = std::fs::read(path)
        .map(Zeroizing::new)
        .map_err(|source| AppError::KeyFile {
            path: path.clone(),
            source,
        })?;
    Ok(Sealer::from_secret(secret.trim_ascii_end())?)
}
