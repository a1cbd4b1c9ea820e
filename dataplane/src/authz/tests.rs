//! The whole stack against services that live, die, hang and come back.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use bytes::Bytes;
use gatekeeper::{Allow, Verdict, Why};
use tidegate_proto::v1::{
    self,
    authorization_service_server::{AuthorizationService, AuthorizationServiceServer},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Notify,
    time::{Instant, timeout},
};
use tokio_stream::StreamExt;
use tonic::{Request, Response, Status};

use super::{
    testing::{
        self, publish,
        service::{Play, Scripted, allow_all, allow_first, framed},
    },
    *,
};

fn start(address: SocketAddr) -> Authz {
    start_with(address, |_| ())
}

fn start_with(address: SocketAddr, change: impl FnOnce(&mut AuthzOptions)) -> Authz {
    let mut options = AuthzOptions {
        endpoint: format!("http://{address}").parse().unwrap(),
        ..AuthzOptions::default()
    };
    change(&mut options);
    Authz::start(&options, v1::DataPlane::default())
}

fn is_allowed(decision: &Decision) -> bool {
    matches!(decision.verdict, Verdict::Allow(_))
}

/// Allows everything but the topic "no"; says who it was asked by.
struct Permissive;

#[tonic::async_trait]
impl AuthorizationService for Permissive {
    async fn authorize_connect(
        &self,
        request: Request<v1::AuthorizeConnectRequest>,
    ) -> Result<Response<v1::AuthorizeConnectResponse>, Status> {
        let checks = request.into_inner().checks.into_iter();
        let results = checks.map(|check| v1::ConnectResult {
            metadata: echo(check.metadata),
            decision: Some(v1::connect_result::Decision::Allow(v1::ConnectAllow {
                principal: "alice".to_owned(),
                session_state: Bytes::from_static(b"state"),
                ..v1::ConnectAllow::default()
            })),
        });
        Ok(Response::new(v1::AuthorizeConnectResponse {
            results: results.collect(),
            policy_revision: String::new(),
        }))
    }

    async fn authorize_publish(
        &self,
        request: Request<v1::AuthorizePublishRequest>,
    ) -> Result<Response<v1::AuthorizePublishResponse>, Status> {
        let checks = request.into_inner().checks.into_iter();
        let results = checks.map(|check| v1::PublishResult {
            metadata: echo(check.metadata),
            decision: Some(match check.topic.as_str() {
                "no" => testing::no(),
                _ => testing::yes(),
            }),
        });
        Ok(Response::new(v1::AuthorizePublishResponse {
            results: results.collect(),
            policy_revision: String::new(),
        }))
    }

    async fn authorize_subscribe(
        &self,
        request: Request<v1::AuthorizeSubscribeRequest>,
    ) -> Result<Response<v1::AuthorizeSubscribeResponse>, Status> {
        let checks = request.into_inner().checks.into_iter();
        let results = checks.map(|check| v1::SubscribeResult {
            metadata: echo(check.metadata),
            decision: Some(v1::subscribe_result::Decision::Allow(
                v1::SubscribeAllow::default(),
            )),
        });
        Ok(Response::new(v1::AuthorizeSubscribeResponse {
            results: results.collect(),
            policy_revision: String::new(),
        }))
    }

    async fn get_capabilities(
        &self,
        _request: Request<v1::GetCapabilitiesRequest>,
    ) -> Result<Response<v1::GetCapabilitiesResponse>, Status> {
        Err(Status::unimplemented("not needed"))
    }
}

fn echo(metadata: Option<v1::CheckMetadata>) -> Option<v1::ResultMetadata> {
    Some(v1::ResultMetadata {
        item_id: metadata?.item_id,
        policy: "permissive".to_owned(),
        ..v1::ResultMetadata::default()
    })
}

/// Where to say that it is frozen, and what to wait for.
type Freeze = (mpsc::Sender<()>, mpsc::Receiver<()>);

/// A service in a runtime of its own, so that it can die or freeze like a process.
struct Server {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    freeze: tokio::sync::mpsc::Sender<Freeze>,
    stop: Arc<Notify>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    fn start(bind: SocketAddr) -> Self {
        let connections = Arc::<AtomicUsize>::default();
        let stop = Arc::<Notify>::default();
        let (freeze, mut frozen) = tokio::sync::mpsc::channel::<Freeze>(1);
        let (bound, address) = mpsc::channel();
        let run = {
            let (connections, stop) = (Arc::clone(&connections), Arc::clone(&stop));
            async move {
                let listener = TcpListener::bind(bind).await.unwrap();
                bound.send(listener.local_addr().unwrap()).unwrap();
                let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
                let incoming = incoming.map(move |socket| {
                    connections.fetch_add(1, Ordering::Relaxed);
                    socket.inspect(|socket| socket.set_nodelay(true).unwrap())
                });
                let service = AuthorizationServiceServer::new(Permissive);
                let serve = tonic::transport::Server::builder()
                    .add_service(service)
                    .serve_with_incoming(incoming);
                let freezer = async move {
                    while let Some((is_frozen, thaw)) = frozen.recv().await {
                        // Blocks the runtime on purpose: not even an acknowledgement of HTTP/2 gets
                        // out, as with SIGSTOP.
                        is_frozen.send(()).unwrap();
                        let _ = thaw.recv();
                    }
                };
                tokio::select! {
                    served = serve => served.unwrap(),
                    () = freezer => {}
                    () = stop.notified() => {}
                }
            }
        };
        let thread = thread::spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(run);
        });
        Self {
            address: address.recv().unwrap(),
            connections,
            freeze,
            stop,
            thread: Some(thread),
        }
    }

    /// Freezes until the returned handle is dropped.
    fn freeze(&self) -> mpsc::Sender<()> {
        let (thaw, thawed) = mpsc::channel();
        let (say, is_frozen) = mpsc::channel();
        self.freeze.try_send((say, thawed)).unwrap();
        is_frozen.recv().unwrap();
        thaw
    }
}

impl Drop for Server {
    /// Kills it: connections are closed without a GOAWAY.
    fn drop(&mut self) {
        self.stop.notify_one();
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

#[tokio::test]
async fn every_hook_is_decided_on_three_connections() {
    let server = Server::start(ANY);
    let authz = start(server.address);
    let context = || testing::context("t", Duration::from_secs(10));

    let connect = authz.ask(Check::<hook::Connect> {
        message: v1::ConnectCheck::default(),
        context: context(),
    });
    let connect = connect.await;
    assert!(is_allowed(&connect));
    assert_eq!(connect.identity.unwrap().session_state, "state");
    assert_eq!(connect.facts.policy, "permissive");

    let will = authz.ask(Check::<hook::Will> {
        message: v1::PublishCheck::default(),
        context: context(),
    });
    assert_eq!(will.await.verdict, Verdict::Allow(Allow::Publish));
    let subscribe = authz.ask(Check::<hook::Subscribe> {
        message: v1::SubscribeCheck::default(),
        context: context(),
    });
    assert_eq!(subscribe.await.verdict, Verdict::Allow(Allow::Subscribe));
    let publish = [publish("yes"), publish("no")].map(|check| authz.ask(check));
    let [allowed, denied] = publish;
    assert_eq!(allowed.await.verdict, Verdict::Allow(Allow::Publish));
    assert!(matches!(denied.await.verdict, Verdict::Deny(_)));

    assert_eq!(server.connections.load(Ordering::Relaxed), 3);
}

#[tokio::test]
async fn every_check_has_exactly_one_outcome() {
    let server = Server::start(ANY);
    let authz = start_with(server.address, |options| options.max_check_bytes = 1000);
    let (mut allowed, mut denied, mut cancelled) = (0, 0, 0);
    let mut asked = Vec::new();
    for n in 0..300 {
        match n % 3 {
            0 => {
                allowed += 1;
                asked.push(authz.ask(publish("yes")));
            }
            1 => {
                denied += 1;
                asked.push(authz.ask(publish("no")));
            }
            _ => {
                cancelled += 1;
                drop(authz.ask(publish("cancelled")));
            }
        }
    }
    asked.push(authz.ask(publish(&"t".repeat(1001))));
    for answer in asked {
        answer.await;
    }
    let counts = authz.counters().hook(HookKind::Publish);
    assert_eq!(counts.asked.get(), 301);
    assert_eq!(counts.allowed.get(), allowed);
    assert_eq!(counts.denied.get(), denied);
    assert_eq!(counts.cancelled.get(), cancelled);
    assert_eq!(counts.failed(Why::TooLarge), 1);
    assert_eq!(counts.failures(), 1);
}

#[tokio::test]
async fn a_check_goes_its_way_without_being_polled() {
    let (asked, mut was_asked) = tokio::sync::mpsc::channel(1);
    let service = Scripted::each(move |seen| {
        asked.try_send(()).unwrap();
        allow_all(&seen)
    })
    .await;
    let authz = start(service.address);
    let answer = authz.ask(publish("t"));
    was_asked.recv().await.unwrap();
    assert!(is_allowed(&answer.await));
}

#[tokio::test]
async fn no_misbehaviour_allows() {
    let first = || framed(&allow_first());
    for play in [
        Play::Answer(Bytes::new(), 0),
        Play::Answer(first(), 14),
        Play::Answer(framed(&v1::AuthorizePublishResponse::default()), 0),
        Play::OnlyStatus(0),
        Play::OnlyStatus(7),
        Play::NoTrailers(first()),
        Play::EmptyTrailers(first()),
        Play::Http(200, "application/json"),
        Play::Http(404, "application/grpc"),
        Play::Reset(h2::Reason::NO_ERROR),
        Play::ResetMidway(h2::Reason::NO_ERROR),
        Play::BreakMidway,
        Play::GoAway,
    ] {
        let service = Scripted::start(play.clone()).await;
        let authz = start(service.address);
        let decision = authz.ask(publish("t")).await;
        assert!(
            matches!(decision.verdict, Verdict::Unavailable(_)),
            "{play:?}: {:?}",
            decision.verdict
        );
        let counts = authz.counters().hook(HookKind::Publish);
        assert_eq!((counts.allowed.get(), counts.failures()), (0, 1));
    }
}

#[tokio::test]
async fn a_service_that_restarts_is_found_by_the_next_check() {
    let address = Server::start(ANY).address;
    let authz = start(address);
    for _ in 0..3 {
        let server = Server::start(address);
        assert!(is_allowed(&authz.ask(publish("a")).await));
        drop(server);
        let decision = authz.ask(publish("a")).await;
        assert_eq!(decision.verdict, Verdict::Unavailable(Why::Unavailable));
    }
}

#[tokio::test]
async fn a_frozen_service_costs_deadlines_and_nothing_after_them() {
    let server = Server::start(ANY);
    let authz = start_with(server.address, |options| {
        options.publish.deadline = Duration::from_millis(200);
    });
    let check = || Check {
        context: testing::context("a", Duration::from_millis(200)),
        ..publish("a")
    };
    assert!(is_allowed(&authz.ask(check()).await));
    let thaw = server.freeze();
    for _ in 0..2 {
        let asked_at = Instant::now();
        let answers: Vec<_> = (0..5000).map(|_| authz.ask(check())).collect();
        for answer in answers {
            let decision = answer.await;
            assert!(matches!(
                decision.verdict,
                Verdict::Unavailable(Why::Timeout | Why::ExpiredInQueue)
            ));
            // Whoever awaits it last, it failed in time: the rest is this test's own time.
            let failed_after = decision.decided_at - asked_at;
            assert!(failed_after >= Duration::from_millis(140));
        }
    }
    drop(thaw);
    // The service finds dozens of calls that were given up meanwhile, and HTTP/2 servers may close a
    // connection for that; then one more check fails before the next one dials.
    let allowed = async { while !is_allowed(&authz.ask(publish("a")).await) {} };
    timeout(Duration::from_secs(1), allowed).await.unwrap();
}

#[tokio::test]
async fn a_connection_into_the_void_is_replaced() {
    let server = Server::start(ANY);
    let gateway = TcpListener::bind(ANY).await.unwrap();
    let authz = start(gateway.local_addr().unwrap());
    // The first connection is acknowledged and led nowhere; those after it reach the service.
    let target = server.address;
    tokio::spawn(async move {
        let _void = gateway.accept().await.unwrap();
        loop {
            let (mut client, _) = gateway.accept().await.unwrap();
            tokio::spawn(async move {
                let mut service = TcpStream::connect(target).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
            });
        }
    });
    let decision = authz.ask(publish("a")).await;
    assert_eq!(decision.verdict, Verdict::Unavailable(Why::Timeout));
    assert!(is_allowed(&authz.ask(publish("a")).await));
}

#[tokio::test]
async fn tmp_slow() {
    for per_check in [false, true] {
        let delay = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let server = {
            let listener = TcpListener::bind(ANY).await.unwrap();
            let a = listener.local_addr().unwrap();
            let _ = &delay;
            struct Slow(bool);
            #[tonic::async_trait]
            impl AuthorizationService for Slow {
                async fn authorize_connect(
                    &self,
                    r: Request<v1::AuthorizeConnectRequest>,
                ) -> Result<Response<v1::AuthorizeConnectResponse>, Status> {
                    Permissive.authorize_connect(r).await
                }
                async fn authorize_subscribe(
                    &self,
                    r: Request<v1::AuthorizeSubscribeRequest>,
                ) -> Result<Response<v1::AuthorizeSubscribeResponse>, Status> {
                    Permissive.authorize_subscribe(r).await
                }
                async fn get_capabilities(
                    &self,
                    r: Request<v1::GetCapabilitiesRequest>,
                ) -> Result<Response<v1::GetCapabilitiesResponse>, Status> {
                    Permissive.get_capabilities(r).await
                }
                async fn authorize_publish(
                    &self,
                    r: Request<v1::AuthorizePublishRequest>,
                ) -> Result<Response<v1::AuthorizePublishResponse>, Status> {
                    let n = if self.0 {
                        r.get_ref().checks.len() as u64
                    } else {
                        1
                    };
                    tokio::time::sleep(Duration::from_millis(n)).await;
                    Permissive.authorize_publish(r).await
                }
            }
            thread::spawn(move || {
                let listener = listener.into_std().unwrap();
                tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()
                    .unwrap()
                    .block_on(async move {
                        let listener = TcpListener::from_std(listener).unwrap();
                        let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener)
                            .map(|s| s.inspect(|s| s.set_nodelay(true).unwrap()));
                        tonic::transport::Server::builder()
                            .add_service(AuthorizationServiceServer::new(Slow(per_check)))
                            .serve_with_incoming(incoming)
                            .await
                            .unwrap();
                    });
            });
            a
        };
        let authz = start(server);
        for window in [16usize, 512] {
            let before = authz.counters().hook(HookKind::Publish).calls.get();
            let t = std::time::Instant::now();
            let mut q = std::collections::VecDeque::new();
            for _ in 0..20_000 {
                if q.len() == window {
                    let f: AskFuture = q.pop_front().unwrap();
                    assert!(is_allowed(&f.await));
                }
                q.push_back(authz.ask(publish("a")));
            }
            while let Some(f) = q.pop_front() {
                assert!(is_allowed(&f.await));
            }
            let calls = authz.counters().hook(HookKind::Publish).calls.get() - before;
            println!(
                "per_check={per_check} window {window}: 20000 in {:?}, batch {:.1}",
                t.elapsed(),
                20000.0 / calls as f64
            );
        }
        // open loop
        for rate in [1000u32, 5_000, 20_000] {
            let before = authz.counters().hook(HookKind::Publish).calls.get();
            let n = rate;
            let mut tasks = tokio::task::JoinSet::new();
            let t0 = std::time::Instant::now();
            for k in 0..n {
                while t0.elapsed() < Duration::from_secs(1) * k / rate {
                    tokio::task::yield_now().await;
                }
                let authz = authz.clone();
                tasks.spawn(async move {
                    let s = std::time::Instant::now();
                    let d = authz.ask(publish("a")).await;
                    assert!(is_allowed(&d), "{:?}", d.verdict);
                    s.elapsed()
                });
            }
            let mut all = tasks.join_all().await;
            all.sort();
            let calls = authz.counters().hook(HookKind::Publish).calls.get() - before;
            println!(
                "  open loop {rate}/s: batch {:.1} p50 {:?} p99 {:?}",
                f64::from(n) / calls as f64,
                all[all.len() / 2],
                all[all.len() * 99 / 100]
            );
        }
    }
}

#[tokio::test]
async fn tmp_srv() {
    if std::env::var("TMP_NS").is_err() { return; }
    let _s = Server::start("10.9.0.1:5000".parse().unwrap());
    tokio::time::sleep(Duration::from_secs(25)).await;
}
#[tokio::test]
async fn tmp_cli() {
    if std::env::var("TMP_NS").is_err() { return; }
    let authz = start("10.9.0.1:5000".parse().unwrap());
    let t = Instant::now();
    let mut last = String::new();
    while t.elapsed() < Duration::from_secs(20) {
        let d = authz.ask(publish("a")).await;
        let now = format!("{:?}", d.verdict);
        if now != last { println!("{:?} {now}", t.elapsed()); last = now; }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
