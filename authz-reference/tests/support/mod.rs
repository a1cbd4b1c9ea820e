//! A service of its own for each test, and short ways to ask it.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    missing_docs,
    unreachable_pub
)]

pub mod postgres;
pub mod program;
pub mod tls;

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use argon2::{Argon2, Params, PasswordHasher};
use tempfile::TempDir;
use tidegate_authz::{
    app,
    config::{Address, Config},
};
use tidegate_proto::v1::{
    AuthorizeConnectRequest, AuthorizePublishRequest, AuthorizeSubscribeRequest, CheckMetadata,
    ConnectAllow, ConnectCheck, ConnectResult, PublishCheck, PublishResult, Session,
    SubscribeCheck, SubscribeResult, authorization_service_client::AuthorizationServiceClient,
    connect_result,
};
use tokio::{
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};
use tonic::transport::Channel;
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};

pub type Client = AuthorizationServiceClient<Channel>;

/// A users file with `name`, password `name-secret`; `root` is a superuser. The parameters only
/// make the tests quick. The same at each call, as a file is at a restart: who has another hash has to log in again.
pub fn users(names: &[&str]) -> String {
    let cheap = Argon2::from(Params::new(64, 1, 1, None).unwrap());
    names
        .iter()
        .map(|name| {
            let hash = cheap
                .hash_password_with_salt(format!("{name}-secret").as_bytes(), b"a salt for tests")
                .unwrap();
            let superuser = *name == "root";
            format!("[users.{name}]\npassword = \"{hash}\"\nsuperuser = {superuser}\n")
        })
        .collect()
}

pub struct Running {
    pub folder: TempDir,
    pub addr: SocketAddr,
    pub probes: Option<SocketAddr>,
    pub stop: oneshot::Sender<()>,
    pub served: JoinHandle<()>,
}

impl Running {
    /// Starts a service with the users alice, bob and root.
    pub async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            bind: ([127, 0, 0, 1], 0).into(),
            ..Config::default()
        };
        let file = folder.path().join("users.toml");
        fs::write(&file, users(&["alice", "bob", "root"])).unwrap();
        config.users.file = Some(file);
        adjust(&mut config);
        Self::of(folder, &config).await
    }

    /// On a Unix domain socket.
    pub async fn unix(path: &Path) -> Self {
        Self::with(|config| config.bind = Address::Unix(path.to_owned())).await
    }

    async fn of(folder: TempDir, config: &Config) -> Self {
        let bound = app::build(config).await.unwrap();
        let none = ([0, 0, 0, 0], 0).into();
        let addr = bound.address.tcp().unwrap_or(none);
        let probes = bound.probes_address;
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(bound.serve(async {
            stopped.await.ok();
        }));
        Self {
            folder,
            addr,
            probes,
            stop,
            served,
        }
    }

    pub fn users_file(&self) -> PathBuf {
        self.folder.path().join("users.toml")
    }

    pub async fn channel(&self) -> Channel {
        channel(self.addr).await
    }

    pub async fn client(&self) -> Client {
        Client::new(self.channel().await)
    }
}

/// Waits until it is ready: its stores tell what has changed at first.
pub async fn until_serving(channel: Channel) {
    let mut health = HealthClient::new(channel);
    let ready = async {
        loop {
            let answer = health.check(HealthCheckRequest::default()).await;
            if answer.is_ok_and(|it| it.into_inner().status() == ServingStatus::Serving) {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(Duration::from_secs(30), ready).await.unwrap();
}

pub async fn channel(addr: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{addr}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

/// Numbers the checks from 10 on, asks, and sorts the results by number: exactly one for each.
macro_rules! ask {
    ($name:ident, $check:ty, $result:ty, $request:ident, $method:ident) => {
        pub async fn $name(client: &mut Client, mut checks: Vec<$check>) -> Vec<$result> {
            let ids: Vec<u32> = (10..).take(checks.len()).collect();
            for (check, id) in checks.iter_mut().zip(&ids) {
                let metadata = check.metadata.take().unwrap_or_default();
                check.metadata = Some(CheckMetadata {
                    item_id: *id,
                    ..metadata
                });
            }
            let request = $request {
                data_plane: None,
                checks,
            };
            let response = client.$method(request).await.unwrap().into_inner();
            assert!(!response.policy_revision.is_empty());

            let mut results = response.results;
            results.sort_by_key(|result| result.metadata.as_ref().unwrap().item_id);
            let answered: Vec<u32> = results
                .iter()
                .map(|result| result.metadata.as_ref().unwrap().item_id)
                .collect();
            assert_eq!(answered, ids);
            results
        }
    };
}
ask!(
    connect_all,
    ConnectCheck,
    ConnectResult,
    AuthorizeConnectRequest,
    authorize_connect
);
ask!(
    publish_all,
    PublishCheck,
    PublishResult,
    AuthorizePublishRequest,
    authorize_publish
);
ask!(
    subscribe_all,
    SubscribeCheck,
    SubscribeResult,
    AuthorizeSubscribeRequest,
    authorize_subscribe
);

/// `allow`, or reason code and reason of a denial, or code of a failure; and the rule.
#[macro_export]
macro_rules! summary {
    ($result:expr, $module:ident) => {{
        use tidegate_proto::v1::{FailureCode, ReasonCode, $module::Decision};
        let result = &$result;
        let rule = result.metadata.as_ref().unwrap().policy.as_str();
        assert!(!result.metadata.as_ref().unwrap().decision_id.is_empty());
        match result.decision.as_ref().unwrap() {
            Decision::Allow(_) => format!("allow {rule}"),
            Decision::Deny(deny) => {
                assert!(!deny.reason_string.is_empty());
                let code = ReasonCode::try_from(deny.reason_code).unwrap();
                format!("deny {code:?} {rule}")
            }
            Decision::Failure(failure) => {
                assert!(!failure.message.is_empty());
                format!(
                    "failure {:?} {rule}",
                    FailureCode::try_from(failure.code).unwrap()
                )
            }
        }
    }};
}

pub fn session(id: &str, username: Option<&str>) -> Session {
    Session {
        session_id: id.to_owned(),
        client_id: "c1".to_owned(),
        username: username.map(str::to_owned),
        ..Session::default()
    }
}

pub fn connect(username: Option<&str>, password: Option<&str>) -> ConnectCheck {
    ConnectCheck {
        session: Some(session("s1", username)),
        password: password.map(|password| password.to_owned().into()),
        ..ConnectCheck::default()
    }
}

pub fn publish(session: &Session, topic: &str) -> PublishCheck {
    PublishCheck {
        session: Some(session.clone()),
        topic: topic.to_owned(),
        ..PublishCheck::default()
    }
}

pub fn subscribe(session: &Session, filter: &str) -> SubscribeCheck {
    SubscribeCheck {
        session: Some(session.clone()),
        topic_filter: filter.to_owned(),
        ..SubscribeCheck::default()
    }
}

/// What CONNECT allowed.
pub fn allowed(result: &ConnectResult) -> ConnectAllow {
    match result.decision.as_ref().unwrap() {
        connect_result::Decision::Allow(allow) => allow.clone(),
        other => panic!("not allowed: {other:?}"),
    }
}

/// A session as the data plane carries it after CONNECT.
pub async fn logged_in(client: &mut Client, name: &str) -> Session {
    let password = format!("{name}-secret");
    let results = connect_all(client, vec![connect(Some(name), Some(&password))]).await;
    let allow = allowed(&results[0]);
    Session {
        principal: allow.principal,
        session_state: allow.session_state,
        ..session("s1", Some(name))
    }
}
