//! How many checks one core answers, and how long the user sources take.
//!
//! `cargo bench -p tidegate-authz`. Each check is a PUBLISH of one of many sessions, protobuf in and protobuf out. What
//! is counted is the CPU time of the one thread that serves, so that other work on the machine hardly matters:
//!
//! * *in process*: decode, decide, encode;
//! * *by gRPC*: a real connection over loopback to a server with one worker thread; the client is another thread;
//! * *not seen before*: so many sessions that none is found among those opened lately: the seal is verified each time;
//! * *by grant*: the last of fifteen grants of three roles decides.
//!
//! User sources are asked one login at a time, over loopback where there is a server. PostgreSQL has to be installed.

#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../tests/support/postgres.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with tests")]
mod postgres;
#[path = "checks/sources.rs"]
mod sources;

use std::{
    collections::BTreeMap,
    hint::black_box,
    num::NonZeroUsize,
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::future::join_all;
use prost::Message as _;
use rustix::time::{ClockId, clock_gettime};
use tidegate_authz::{
    access::{Access, RoleName, TopicTemplate},
    config::{PolicyConfig, RoleConfig},
    hashing::{HashingLimits, HashingPool},
    identity::{Principal, UserName},
    login::{Believed, Logins},
    password::PasswordHash,
    policy::Rules,
    recent::Recent,
    service::Service,
    session_state::{Binding, Claims, Keys, Sealer, Stored},
};
use tidegate_proto::v1::{
    AuthorizePublishRequest, CheckMetadata, ProtocolVersion, PublishCheck, PublishOrigin, Session,
    authorization_service_client::AuthorizationServiceClient,
    authorization_service_server::{AuthorizationService as _, AuthorizationServiceServer},
    publish_result::Decision,
};
use tokio::{net::TcpListener, runtime::Builder};
use tonic::{
    Request,
    transport::{Server, server::TcpIncoming},
};

const KEY: [u8; 32] = [7; 32];
const DAY: Duration = Duration::from_secs(86_400);
/// As many as a busy data plane has, and far below what is kept.
const SESSIONS: usize = 4_096;
/// More than twice of what is kept.
const MANY_SESSIONS: usize = 160_000;
const CALLS_IN_FLIGHT: usize = 8;

fn main() {
    let budget = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next()
        .unwrap_or(200_000);
    println!("PUBLISH checks per second of CPU time of one thread ({budget} checks each)\n");
    for size in [1, 16, 64] {
        let known = in_process(&requests(SESSIONS, size, Kind::Own), budget);
        let by_grpc = by_grpc(&requests(SESSIONS, size, Kind::Own), budget);
        println!("  batches of {size:2}   in process {known:9.0}   by gRPC {by_grpc:9.0}");
    }
    let unseen = in_process(&requests(MANY_SESSIONS, 64, Kind::Own), MANY_SESSIONS);
    println!("  batches of 64   in process {unseen:9.0}   not seen before");
    let granted = in_process(&requests(SESSIONS, 64, Kind::Granted), budget);
    println!("  batches of 64   in process {granted:9.0}   by grant");

    println!("\nLatency of the user sources, without hashing\n");
    sources::measure();
}

#[derive(Clone, Copy)]
enum Kind {
    Own,
    Granted,
}

fn service() -> Service {
    let recent = Arc::new(Recent::new(DAY, &["file"]));
    recent.heard("file", None);
    let pool = HashingPool::new(HashingLimits {
        workers: NonZeroUsize::MIN,
        queue: 1,
    });
    let believed = Believed::new(Duration::ZERO).unwrap();
    let sealer = Sealer::new(Keys::sealing_with(&KEY).unwrap(), DAY);
    let logins = Logins::new(Vec::new(), pool, believed);
    let role = |name: &usize| {
        let grants = (0..5).map(|number| Access {
            topic: TopicTemplate::new(&format!("plant/{name}/{number}/{{username}}/+")).unwrap(),
            publish: true,
            subscribe: false,
            retain: true,
            qos: 2,
        });
        let config = RoleConfig {
            grants: grants.collect(),
        };
        (RoleName::new(&format!("role{name}")).unwrap(), config)
    };
    let roles: BTreeMap<_, _> = [0, 1, 2].iter().map(role).collect();
    let rules = Rules::new(&PolicyConfig::default(), &roles);
    Service::new(rules, sealer, recent, logins, None, 1)
}

fn requests(sessions: usize, size: usize, kind: Kind) -> Vec<AuthorizePublishRequest> {
    let sealer = Sealer::new(Keys::sealing_with(&KEY).unwrap(), DAY);
    let checks: Vec<_> = (0..sessions)
        .map(|number| check(&sealer, number, size, kind))
        .collect();
    checks
        .chunks(size)
        .map(|checks| AuthorizePublishRequest {
            data_plane: None,
            checks: checks.to_vec(),
        })
        .collect()
}

fn check(sealer: &Sealer, number: usize, size: usize, kind: Kind) -> PublishCheck {
    let name = format!("device-{number:06}");
    let session_id = format!("0197a2b4-5c6d-7e8f-9012-{number:012x}");
    let client_id = format!("{name}-client");
    let claims = Claims {
        principal: Principal::User {
            name: UserName::new(&name).unwrap(),
            superuser: false,
            roles: (0..3)
                .map(|number| RoleName::new(&format!("role{number}")).unwrap())
                .collect(),
            grants: Vec::new(),
        },
        stored: Some(Stored {
            source: "file".into(),
            credential: PasswordHash::default().id(),
        }),
        oracle: false,
        ends: None,
    };
    let binding = Binding {
        session_id: &session_id,
        client_id: &client_id,
    };
    let session_state = sealer.seal(&claims, binding, SystemTime::now()).unwrap();
    PublishCheck {
        metadata: Some(CheckMetadata {
            item_id: u32::try_from(number % size).unwrap() + 1,
            sequence: 1_234,
            received_at: Some(SystemTime::now().into()),
            ..CheckMetadata::default()
        }),
        topic: match kind {
            Kind::Own => format!("{name}/sensors/kitchen/temperature"),
            Kind::Granted => format!("plant/2/4/{name}/temperature"),
        },
        session: Some(Session {
            session_id,
            client_id,
            username: Some(name.clone()),
            protocol_version: ProtocolVersion::Mqtt50.into(),
            listener: "mqtts".to_owned(),
            principal: name,
            session_state,
            ..Session::default()
        }),
        qos: 1,
        origin: PublishOrigin::Client.into(),
        payload_size: 64,
        ..PublishCheck::default()
    }
}

/// Enough calls for the budget, around and around.
fn calls<T>(requests: &[T], size: usize, budget: usize) -> impl Iterator<Item = &T> {
    requests.iter().cycle().take((budget / size).max(1))
}

fn rate(checks: usize, cpu: Duration) -> f64 {
    f64::from(u32::try_from(checks).unwrap()) / cpu.as_secs_f64()
}

fn cpu_of_this_thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(
        u64::try_from(time.tv_sec).unwrap(),
        u32::try_from(time.tv_nsec).unwrap(),
    )
}

fn in_process(requests: &[AuthorizePublishRequest], budget: usize) -> f64 {
    let size = requests[0].checks.len();
    let encoded: Vec<Bytes> = requests
        .iter()
        .map(|request| request.encode_to_vec().into())
        .collect();
    let service = service();
    let runtime = Builder::new_current_thread().build().unwrap();
    let run = |budget| {
        let mut checks = 0;
        for call in calls(&encoded, size, budget) {
            let request = AuthorizePublishRequest::decode(call.clone()).unwrap();
            checks += request.checks.len();
            let answered = runtime.block_on(service.authorize_publish(Request::new(request)));
            let response = answered.unwrap().into_inner();
            assert!(
                response
                    .results
                    .iter()
                    .all(|result| matches!(result.decision, Some(Decision::Allow(_))))
            );
            black_box(response.encode_to_vec());
        }
        checks
    };
    run(requests.len().min(budget / size / 4) * size);
    let begun = cpu_of_this_thread();
    let checks = run(budget);
    rate(checks, cpu_of_this_thread() - begun)
}

fn by_grpc(requests: &[AuthorizePublishRequest], budget: usize) -> f64 {
    let size = requests[0].checks.len();
    let (ready, address) = std::sync::mpsc::channel();
    thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let here = tokio::runtime::Handle::current();
            ready.send((address, here)).unwrap();
            Server::builder()
                .add_service(AuthorizationServiceServer::new(service()))
                .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
                .await
                .unwrap();
        });
    });
    let (address, server) = address.recv().unwrap();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async move {
        let cpu = || async { server.spawn(async { cpu_of_this_thread() }).await.unwrap() };
        let client = AuthorizationServiceClient::connect(format!("http://{address}"))
            .await
            .unwrap();
        let run = async |budget: usize| {
            let share = budget / CALLS_IN_FLIGHT;
            let clients = (0..CALLS_IN_FLIGHT).map(|number| {
                let mut client = client.clone();
                let requests = &requests[requests.len() / CALLS_IN_FLIGHT * number..];
                async move {
                    let mut checks = 0;
                    for request in calls(requests, size, share) {
                        let response = client.authorize_publish(request.clone()).await.unwrap();
                        checks += response.into_inner().results.len();
                    }
                    checks
                }
            });
            join_all(clients).await.into_iter().sum::<usize>()
        };
        run(budget / 10).await;
        let begun = cpu().await;
        let checks = run(budget).await;
        rate(checks, cpu().await - begun)
    })
}
