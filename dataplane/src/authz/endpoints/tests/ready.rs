//! Whether a service has answered: what a proxy says before it has a route is no answer.

use super::*;

/// Connected to a service that answers the question for capabilities like this, and a first time to that for its
/// health. `true`: it counts as an answer.
async fn counts(answer: Play) -> bool {
    let asked = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&asked);
    let service = Scripted::every(ANY, move |call| {
        if call.path.ends_with("/GetCapabilities") {
            seen.fetch_add(1, Ordering::Relaxed);
            return answer.clone();
        }
        // Answered last of all: by then it is known what came of the other question.
        Play::Hang
    });
    let service = service.await;
    let authz = start([service.address]);
    authz.warm_up();
    until(|| asked.load(Ordering::Relaxed) > 0).await;
    let waiting = async {
        while !authz.counters().has_answered() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_millis(500), waiting).await.is_ok()
}

#[tokio::test]
async fn only_the_service_can_say_that_it_is_there() {
    // It has no such method: an older one.
    assert!(counts(Play::OnlyStatus(12)).await);
    for play in [
        Play::Http(404, "text/html"),
        Play::Http(403, "text/html"),
        Play::Http(401, "application/grpc"),
        // PERMISSION_DENIED, UNAUTHENTICATED: it will not decide, either.
        Play::OnlyStatus(7),
        Play::OnlyStatus(16),
    ] {
        assert!(!counts(play.clone()).await, "{play:?}");
    }
}

#[tokio::test]
async fn a_proxy_without_a_route_does_not_end_the_watch_of_health() {
    let watched = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&watched);
    let service = Scripted::every(ANY, move |call| {
        if !is_watch(&call) {
            return well(&call);
        }
        match seen.fetch_add(1, Ordering::Relaxed) {
            0 => Play::Http(404, "text/html"),
            _ => health(ServingStatus::NotServing),
        }
    });
    let service = service.await;
    let authz = start([service.address]);
    authz.warm_up();
    let is_down = || {
        let endpoints = authz.counters().endpoints();
        endpoints.iter().all(|endpoint| !endpoint.is_healthy())
    };
    // It is asked again, and then believed.
    until(|| watched.load(Ordering::Relaxed) > 1 && is_down()).await;
}
