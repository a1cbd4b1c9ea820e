use std::time::Duration;

use gatekeeper::{Allow, PublishChanges};
use tokio::{sync::mpsc, task::yield_now};
use tokio_test::{assert_ready, task};
use tower::ServiceExt;
use tower_test::mock;

use super::*;
use crate::authz::{
    failure::Cause,
    hook,
    testing::{allowed, publish},
};

#[tokio::test]
async fn the_shadow_decides_nothing_and_counts() {
    let counters = Arc::<Counters>::default();
    let (service, mut handle) = mock::pair::<Check<hook::Publish>, Decision>();
    let service = service.map_err(|_| Box::<Failure>::from(Cause::Lost));
    let mut stack = Shadow::new(
        service.map_future(Box::pin),
        Mode::Shadow,
        Arc::clone(&counters),
    );
    let changed = Decision {
        verdict: Verdict::Allow(Allow::Publish(Some(Box::new(PublishChanges {
            topic: Some("other".into()),
            ..PublishChanges::default()
        })))),
        ..allowed()
    };
    let denied = Decision {
        verdict: Verdict::Deny(Deny::default()),
        ..allowed()
    };
    for (answer, outcome) in [
        (Some(allowed()), ShadowOutcome::Allow),
        (Some(changed), ShadowOutcome::AllowChanged),
        (Some(denied), ShadowOutcome::Deny),
        (None, ShadowOutcome::Failure),
    ] {
        std::future::poll_fn(|cx| stack.poll_ready(cx))
            .await
            .unwrap();
        let mut passes = task::spawn(stack.call(publish("t")));
        let decision = assert_ready!(passes.poll()).unwrap();
        assert_eq!(decision.verdict, Verdict::Allow(Allow::PUBLISH));
        let (_, reply) = handle.next_request().await.unwrap();
        match answer {
            Some(answer) => reply.send_response(answer),
            None => reply.send_error("away"),
        }
        let counts = counters.hook(HookKind::Publish);
        while counts.shadow(outcome).get() == 0 {
            yield_now().await;
        }
        assert_eq!(counts.shadow(outcome).get(), 1, "{outcome:?}");
    }
}

#[tokio::test]
async fn a_hook_that_is_off_asks_nobody() {
    for (mode, verdict) in [
        (Mode::Deny, Verdict::Deny(Deny::default())),
        (Mode::Allow, Verdict::Allow(Allow::PUBLISH)),
    ] {
        let counters = Arc::<Counters>::default();
        let (asked, mut was_asked) = mpsc::unbounded_channel();
        let service = tower::service_fn(move |_: Check<hook::Publish>| {
            asked.send(()).unwrap();
            std::future::ready(Ok::<_, Box<Failure>>(allowed()))
        });
        let mut stack = Shadow::new(service, mode, Arc::clone(&counters));
        let decision = tokio::time::timeout(Duration::from_secs(5), stack.call(publish("t")));
        assert_eq!(decision.await.unwrap().unwrap().verdict, verdict);
        assert!(was_asked.try_recv().is_err());
        assert_eq!(counters.hook(HookKind::Publish).skipped.get(), 1);
    }
}

#[test]
fn connects_and_wills_are_always_enforced() {
    for mode in [Mode::Shadow, Mode::Deny, Mode::Allow] {
        assert_eq!(mode.of(HookKind::Connect), Mode::Enforce);
        assert_eq!(mode.of(HookKind::Will), Mode::Enforce);
        assert_eq!(mode.of(HookKind::Subscribe), mode);
    }
}
