//! Services of which some are dead, slow, moving or lying, over real connections.

mod certificates;
mod names;
mod open;
mod ready;
mod tls;

use std::sync::atomic::AtomicUsize;

use bytes::Bytes;
use gatekeeper::{Verdict, Why};
use tokio::{
    net::TcpListener,
    time::{sleep, timeout},
};
use tonic_health::pb::{HealthCheckResponse, health_check_response::ServingStatus};

use super::*;
use crate::authz::{
    Authz, Check, hook,
    testing::{
        self, publish,
        service::{ANY, Play, Scripted, Seen, allow_all, framed},
    },
};

fn start(addresses: impl IntoIterator<Item = SocketAddr>) -> Authz {
    Authz::start(&testing::options(addresses), v1::DataPlane::default())
}

async fn ask(authz: &Authz) -> Verdict {
    authz.ask(publish("t")).await.verdict
}

async fn is_allowed(authz: &Authz) -> bool {
    matches!(ask(authz).await, Verdict::Allow(_))
}

/// Asks until this many checks in a row were allowed.
async fn settle(authz: &Authz, in_a_row: usize) {
    let settled = async {
        let mut allowed = 0;
        while allowed < in_a_row {
            allowed = if is_allowed(authz).await {
                allowed + 1
            } else {
                0
            };
        }
    };
    timeout(Duration::from_secs(30), settled).await.unwrap();
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.unwrap();
}

/// A replica, and how many calls with checks it has seen.
async fn replica(
    at: SocketAddr,
    script: impl Fn(&Seen) -> Play + Send + Sync + 'static,
) -> (Scripted, Arc<AtomicUsize>) {
    let calls = Arc::<AtomicUsize>::default();
    let seen_calls = Arc::clone(&calls);
    let service = Scripted::every(at, move |seen| {
        seen_calls.fetch_add(
            usize::from(seen.path.contains("/Authorize")),
            Ordering::Relaxed,
        );
        script(&seen)
    });
    (service.await, calls)
}

fn well(seen: &Seen) -> Play {
    match seen.path.contains("/Authorize") {
        true => allow_all(seen),
        false => Play::OnlyStatus(12),
    }
}

fn health(status: ServingStatus) -> Play {
    let status = status.into();
    Play::Say(framed(&HealthCheckResponse { status }))
}

fn is_watch(seen: &Seen) -> bool {
    seen.path == "/grpc.health.v1.Health/Watch"
}

#[tokio::test]
async fn a_dead_replica_costs_no_decision() {
    let (first, _) = replica(ANY, well).await;
    let (second, _) = replica(ANY, well).await;
    let (third, _) = replica(ANY, well).await;
    let authz = start([first.address, second.address, third.address]);
    second.stop().await;
    for _ in 0..50 {
        assert!(is_allowed(&authz).await);
    }
    // One that dies at work takes no check along: what it had is asked elsewhere.
    third.stop().await;
    for _ in 0..50 {
        assert!(is_allowed(&authz).await);
    }
    until(|| healthy(&authz) == 1).await;
}

fn is_healthy(authz: &Authz, service: &Scripted) -> bool {
    let address = service.address.to_string();
    let endpoints = authz.counters().endpoints();
    let mut endpoints = endpoints.iter();
    endpoints.any(|endpoint| endpoint.address == address && endpoint.is_healthy())
}

fn healthy(authz: &Authz) -> usize {
    let endpoints = authz.counters().endpoints();
    let healthy = endpoints.iter().filter(|endpoint| endpoint.is_healthy());
    healthy.count()
}

fn ejected(authz: &Authz) -> Vec<String> {
    let endpoints = authz.counters().endpoints();
    let ejected = endpoints.iter().filter(|endpoint| endpoint.is_ejected());
    ejected.map(|endpoint| endpoint.address.clone()).collect()
}

#[tokio::test]
async fn a_replica_that_hangs_is_left_alone_after_five_calls() {
    let (first, _) = replica(ANY, well).await;
    let (second, _) = replica(ANY, well).await;
    let hang = |seen: &Seen| match is_watch(seen) {
        // It says that it is well, too.
        true => health(ServingStatus::Serving),
        false => Play::Hang,
    };
    let (hanging, hung) = replica(ANY, hang).await;
    let authz = start([first.address, second.address, hanging.address]);
    until_all_up(&authz, 3).await;
    let ask = async || {
        let context = testing::context("t", Duration::from_millis(300));
        let check = Check::<hook::Publish> {
            context,
            ..publish("t")
        };
        authz.ask(check).await
    };
    let eventually = async {
        while ejected(&authz).is_empty() {
            ask().await;
        }
    };
    timeout(Duration::from_secs(60), eventually).await.unwrap();
    assert_eq!(ejected(&authz), [hanging.address.to_string()]);
    let before = hung.load(Ordering::Relaxed);
    settle(&authz, 50).await;
    assert_eq!(hung.load(Ordering::Relaxed), before);
}

/// Asks once, and waits until all are connected.
async fn until_all_up(authz: &Authz, count: usize) {
    ask(authz).await;
    until(|| healthy(authz) == count).await;
}

#[tokio::test]
async fn a_replica_that_fails_while_it_says_it_is_well_is_left_alone() {
    let overloaded = |seen: &Seen| match is_watch(seen) {
        true => health(ServingStatus::Serving),
        false => Play::OnlyStatus(8),
    };
    let (liar, _) = replica(ANY, overloaded).await;
    let (honest, _) = replica(ANY, well).await;
    let authz = start([liar.address, honest.address]);
    until_all_up(&authz, 2).await;
    settle(&authz, 50).await;
    assert_eq!(ejected(&authz), [liar.address.to_string()]);
}

#[tokio::test]
async fn a_status_that_a_check_may_have_caused_ejects_nobody() {
    for code in [2, 3, 13] {
        let (failing, _) = replica(ANY, move |_| Play::OnlyStatus(code)).await;
        let (other, _) = replica(ANY, well).await;
        let authz = start([failing.address, other.address]);
        for _ in 0..50 {
            ask(&authz).await;
        }
        assert!(ejected(&authz).is_empty(), "{code}");
    }
}

#[tokio::test]
async fn one_that_does_not_serve_is_avoided_unless_none_does() {
    let was_watched = Arc::new(Notify::new());
    let watched = Arc::clone(&was_watched);
    let unwell = move |seen: &Seen| match is_watch(seen) {
        true => {
            watched.notify_one();
            health(ServingStatus::NotServing)
        }
        false => well(seen),
    };
    let (serving, _) = replica(ANY, well).await;
    let (resting, rested) = replica(ANY, unwell).await;
    let authz = start([serving.address, resting.address]);
    ask(&authz).await;
    // It is connected, and it has told: only then is it avoided, and not for being away.
    was_watched.notified().await;
    until(|| is_healthy(&authz, &serving) && !is_healthy(&authz, &resting)).await;
    let before = rested.load(Ordering::Relaxed);
    for _ in 0..50 {
        assert!(is_allowed(&authz).await);
    }
    assert_eq!(rested.load(Ordering::Relaxed), before);
    serving.stop().await;
    settle(&authz, 50).await;
}

#[tokio::test]
async fn health_is_not_asked_for_if_it_is_switched_off() {
    let (resting, _) = replica(ANY, |seen| {
        assert!(!is_watch(seen));
        well(seen)
    })
    .await;
    let mut options = testing::options([resting.address]);
    options.health_check = false;
    let authz = Authz::start(&options, v1::DataPlane::default());
    settle(&authz, 20).await;
}

#[tokio::test]
async fn all_dead_then_back() {
    let (first, _) = replica(ANY, well).await;
    let (second, _) = replica(ANY, well).await;
    let addresses = [first.address, second.address];
    let authz = start(addresses);
    until_all_up(&authz, 2).await;
    first.stop().await;
    second.stop().await;
    for _ in 0..20 {
        assert_eq!(ask(&authz).await, Verdict::Unavailable(Why::Unavailable));
    }
    let _back = replica(addresses[1], well).await;
    // The next attempt to connect is a tenth of a second away at most.
    settle(&authz, 20).await;
}

#[tokio::test]
async fn one_who_accepts_and_closes_is_not_dialled_for_every_call() {
    let listener = TcpListener::bind(ANY).await.unwrap();
    let slammer = listener.local_addr().unwrap();
    let accepted = Arc::<AtomicUsize>::default();
    let counting = Arc::clone(&accepted);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counting.fetch_add(1, Ordering::Relaxed);
            drop(socket);
        }
    });
    let (well, _) = replica(ANY, well).await;
    let authz = start([slammer, well.address]);
    for _ in 0..300 {
        assert!(is_allowed(&authz).await);
    }
    // Alone, too.
    let authz = start([slammer]);
    for _ in 0..300 {
        assert!(!is_allowed(&authz).await);
    }
    let accepted = accepted.load(Ordering::Relaxed);
    assert!(accepted < 100, "dialled {accepted} times");
}

#[tokio::test]
async fn a_connection_that_retires_costs_no_decision() {
    let script = |seen: &Seen| match well(seen) {
        Play::Answer(message, _) => Play::Retire(message),
        other => other,
    };
    let (service, _) = replica(ANY, script).await;
    let authz = start([service.address]);
    for _ in 0..50 {
        assert!(is_allowed(&authz).await);
    }
}

#[tokio::test]
async fn a_second_attempt_says_so_and_goes_elsewhere() {
    let away = |seen: &Seen| match seen.path.contains("/Authorize") {
        true => Play::OnlyStatus(14),
        false => Play::OnlyStatus(12),
    };
    let (away, _) = replica(ANY, away).await;
    let (present, _) = replica(ANY, |seen| {
        if let Some(before) = seen.headers.get("grpc-previous-rpc-attempts") {
            assert_eq!(before, "1");
        }
        well(seen)
    })
    .await;
    let authz = start([away.address, present.address]);
    until_all_up(&authz, 2).await;
    for _ in 0..20 {
        assert!(is_allowed(&authz).await);
    }
    let hook = authz.counters().hook(HookKind::Publish);
    assert!(hook.retries.get() > 0);
}

#[tokio::test]
async fn a_pushback_is_obeyed() {
    for (code, pushback, calls_expected) in
        [(14, "-1", 1), (14, "soon", 1), (8, "10", 2), (8, "5000", 1)]
    {
        let (service, calls) = replica(ANY, move |seen| match well(seen) {
            Play::Answer(..) => Play::PushBack(code, pushback),
            other => other,
        })
        .await;
        let authz = start([service.address]);
        assert!(!is_allowed(&authz).await);
        assert_eq!(calls.load(Ordering::Relaxed), calls_expected, "{pushback}");
    }
}

#[tokio::test]
async fn a_unix_socket_is_an_endpoint() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("authz.sock");
    let _service = Scripted::unix(&path, |seen| allow_all(&seen));
    let options = AuthzOptions {
        endpoints: vec![format!("unix:{}", path.display()).parse().unwrap()],
        ..AuthzOptions::default()
    };
    let authz = Authz::start(&options, v1::DataPlane::default());
    assert!(is_allowed(&authz).await);
}

#[tokio::test]
async fn a_service_narrows_what_is_sent() {
    let answer = v1::GetCapabilitiesResponse {
        max_batch_size: 3,
        max_request_bytes: 10_000,
        implementation: "example\n1.0".to_owned(),
        ..v1::GetCapabilitiesResponse::default()
    };
    let (service, _) = replica(ANY, move |seen| match seen.path.contains("/GetCap") {
        true => Play::Answer(framed(&answer), 0),
        false => well(seen),
    })
    .await;
    let authz = start([service.address]);
    assert!(is_allowed(&authz).await);
    let capabilities = authz.capabilities(HookKind::Publish);
    until(|| capabilities.max_batch_size(64) == 3).await;
    assert_eq!(capabilities.max_request_bytes(1 << 20), 10_000);
    assert_eq!(capabilities.max_concurrent_calls(64), 64);
}

#[tokio::test]
async fn nonsense_about_health_and_capabilities_changes_nothing() {
    let (service, _) = replica(ANY, |seen| match seen.path.contains("/Authorize") {
        true => allow_all(seen),
        false => Play::Answer(Bytes::from_static(b"<html>"), 0),
    })
    .await;
    let authz = start([service.address]);
    settle(&authz, 20).await;
    assert_eq!(healthy(&authz), 1);
}

#[tokio::test]
async fn calls_are_counted_by_endpoint_and_status() {
    let (service, _) = replica(ANY, well).await;
    let authz = start([service.address]);
    settle(&authz, 3).await;
    let endpoints = authz.counters().endpoints();
    let [endpoint] = &endpoints[..] else {
        panic!("{endpoints:?}")
    };
    let calls = endpoint.calls();
    let [("publish", "OK", durations)] = &calls[..] else {
        panic!("{calls:?}")
    };
    assert_eq!(durations.count(), 3);
}
