//! Gives an allowed client its mount, where its listener has one: from here on it is known who it is.
//!
//! A client that can have none is denied, and not told to come back: it would with the same names. It is
//! counted and logged as a denial, so the layer stands inside of `observe`.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use gatekeeper::{Allow, Deny, ReasonCode, Verdict};
use pin_project_lite::pin_project;
use tower::Service;

use crate::mount::{ExpandError, Placeholder, Template, Values};

use super::{
    check::{Check, Who},
    decision::Decision,
    failure::Failure,
    hook::Hook,
    wire::Outcome,
};

/// Fills in the mount of allowed clients.
#[derive(Debug, Clone)]
pub struct Mount<S> {
    inner: S,
}

impl<S> Mount<S> {
    /// Wraps the rest of the stack.
    pub fn new(inner: S) -> Self {
        Self { inner }
    }
}

impl<S, H> Service<Check<H>> for Mount<S>
where
    S: Service<Check<H>, Response = Decision, Error = Box<Failure>>,
    H: Hook,
{
    type Response = Decision;
    type Error = Box<Failure>;
    type Future = ResponseFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, check: Check<H>) -> Self::Future {
        let mount = check.context.mount.clone();
        let mount = mount.map(|template| (template, Arc::clone(&check.context.who)));
        ResponseFuture {
            inner: self.inner.call(check),
            mount,
        }
    }
}

pin_project! {
    /// Future of [`Mount`].
    #[derive(Debug)]
    pub struct ResponseFuture<F> {
        #[pin]
        inner: F,
        mount: Option<(Arc<Template>, Arc<Who>)>,
    }
}

impl<F> Future for ResponseFuture<F>
where
    F: Future<Output = Outcome>,
{
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.project();
        let outcome = ready!(this.inner.poll(cx));
        Poll::Ready(match this.mount.take() {
            Some((template, who)) => outcome.map(|decision| mounted(decision, &template, &who)),
            None => outcome,
        })
    }
}

fn mounted(mut decision: Decision, template: &Template, who: &Who) -> Decision {
    let Verdict::Allow(Allow::Connect(allow)) = &mut decision.verdict else {
        return decision;
    };
    let identity = decision.identity.as_ref();
    let values = Values {
        principal: identity.map_or("", |identity| &identity.principal),
        username: who.username.as_deref(),
        client_id: &who.client_id,
    };
    match template.expand(values) {
        Ok(mount) => allow.mount = Some(mount),
        Err(error) => {
            decision.verdict = Verdict::Deny(denial(error));
            decision.identity = None;
        }
    }
    decision
}

/// What a client is told that can have no mount: which of its names it is, if it is one.
fn denial(error: ExpandError) -> Deny {
    let code = match error {
        ExpandError::Missing(Placeholder::ClientId)
        | ExpandError::Separator(Placeholder::ClientId) => ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
        _ => ReasonCode::NOT_AUTHORIZED,
    };
    Deny {
        code: Some(code),
        reason_string: Some(format!("the client can have no mount: {error}").into()),
        ..Deny::default()
    }
}

#[cfg(test)]
mod tests {
    use std::{future::ready, time::Duration};

    use gatekeeper::ConnectAllow;
    use tidegate_proto::v1;
    use tokio::time::Instant;

    use super::*;
    use crate::authz::{Facts, Identity, hook, testing};

    async fn connect(template: &str, principal: &str) -> Outcome {
        connect_as(template, principal, "client").await
    }

    async fn connect_as(template: &str, principal: &str, client_id: &str) -> Outcome {
        let decision = Decision {
            verdict: Verdict::Allow(Allow::Connect(Box::default())),
            identity: Some(Identity {
                principal: principal.to_owned(),
                ..Identity::default()
            }),
            facts: Facts::default(),
            decided_at: Instant::now(),
        };
        let mut stack = Mount::new(tower::service_fn(move |_: Check<hook::Connect>| {
            ready(Ok::<_, Box<Failure>>(decision.clone()))
        }));
        let mut context = testing::context("", Duration::from_secs(1));
        context.mount = Some(Arc::new(template.parse().unwrap()));
        let who = Arc::make_mut(&mut context.who);
        who.username = None;
        who.client_id = client_id.into();
        let message = testing::message(&v1::ConnectCheck::default());
        stack.call(Check { message, context }).await
    }

    #[tokio::test]
    async fn an_allowed_client_has_its_mount() {
        let decision = connect("t/{principal}/{client_id}/", "alice")
            .await
            .unwrap();
        let Verdict::Allow(Allow::Connect(allow)) = decision.verdict else {
            panic!("{:?}", decision.verdict);
        };
        let expected = ConnectAllow {
            mount: Some("t/alice/client/".into()),
            ..ConnectAllow::default()
        };
        assert_eq!(*allow, expected);
    }

    #[tokio::test]
    async fn a_client_without_a_mount_is_denied() {
        let (id, no) = (
            ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
            ReasonCode::NOT_AUTHORIZED,
        );
        for (template, principal, client_id, code, reason) in [
            ("{principal}/", "", "c", no, "the client has no principal"),
            ("{principal}/", "a/b", "c", no, "`/` in principal"),
            ("{username}/", "a", "c", no, "the client has no username"),
            (
                "{principal}/",
                "#",
                "c",
                no,
                "it cannot stand in front of a topic",
            ),
            ("{client_id}/", "a", "a/b", id, "`/` in client_id"),
            ("{client_id}/", "a", "", id, "the client has no client_id"),
        ] {
            let decision = connect_as(template, principal, client_id).await.unwrap();
            let expected = Deny {
                code: Some(code),
                reason_string: Some(format!("the client can have no mount: {reason}").into()),
                ..Deny::default()
            };
            assert_eq!(decision.verdict, Verdict::Deny(expected));
            assert_eq!(decision.identity, None, "nobody in particular");
        }
    }
}
