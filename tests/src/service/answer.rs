//! What a scripted service can say to a check.

use std::{future::Future, pin::Pin, time::Duration};

use tidegate_proto::v1::{
    CacheHint, ConnectAllow, Deny, DenyAction, Failure, FailureCode, PublishAllow, ReasonCode,
    SubscribeAllow,
};
use tokio::{sync::watch, time};
use tonic::{Code, Status};

use super::hooks::{Ask, Change, Decision};

/// An answer to one check. The first group is what a service should say, the second what it should
/// not: none of those may open the gate.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Yes.
    Allow,
    /// Yes, and use this client id towards the broker. CONNECT only; a plain yes elsewhere.
    AllowAs(String),
    /// Yes, with changes. For a check of another hook it is no decision.
    Change(Change),
    /// No.
    Deny(Deny),
    /// I can't tell.
    Fail(FailureCode),
    /// What another answer says, and that it may be used again.
    Reusable(CacheHint, Box<Self>),
    /// What another answer says, later.
    After(Duration, Box<Self>),
    /// What another answer says, once the test lets go.
    Held(Hold, Box<Self>),

    /// A result without a decision.
    Unset,
    /// No result.
    Missing,
    /// Two results, both saying yes.
    Twice,
    /// A yes for a check that nobody asked about.
    Stray,
    /// A yes with a change that the operator did not permit: another topic, filter or user name.
    Rewrite(String),
    /// A gRPC status instead of an answer, for all checks of the call.
    Status(Code),
}

impl Answer {
    /// No, with a reason code.
    #[must_use]
    pub fn deny(code: ReasonCode) -> Self {
        Self::deny_and(DenyAction::Unspecified, code)
    }

    /// No, with a reason code and what to do about the client.
    #[must_use]
    pub fn deny_and(action: DenyAction, code: ReasonCode) -> Self {
        Self::Deny(Deny {
            reason_code: code.into(),
            action: action.into(),
            ..Deny::default()
        })
    }

    /// The same, later.
    #[must_use]
    pub fn after(self, delay: Duration) -> Self {
        Self::After(delay, Box::new(self))
    }

    /// The same, and that it may be used again for so long, and for so much longer while the service fails.
    #[must_use]
    pub fn reusable(self, ttl: Duration, stale: Duration) -> Self {
        let hint = CacheHint {
            ttl: ttl.try_into().ok(),
            stale_if_error: stale.try_into().ok(),
        };
        Self::Reusable(hint, Box::new(self))
    }

    /// The same, once the test lets go.
    #[must_use]
    pub fn held_by(self, hold: &Hold) -> Self {
        Self::Held(hold.clone(), Box::new(self))
    }

    /// The results that this comes to, once its time has come.
    pub(super) fn settle<A: Ask>(self, item_id: u32) -> Settling<A::Result> {
        Box::pin(async move {
            let result = |decision| A::result(item_id, decision);
            Ok(match self {
                Self::After(delay, answer) => {
                    time::sleep(delay).await;
                    answer.settle::<A>(item_id).await?
                }
                Self::Reusable(hint, answer) => {
                    let mut results = answer.settle::<A>(item_id).await?;
                    for result in &mut results {
                        if let Some(metadata) = A::metadata_of(result) {
                            metadata.cache = Some(hint);
                        }
                    }
                    results
                }
                Self::Held(hold, answer) => {
                    hold.let_go().await;
                    answer.settle::<A>(item_id).await?
                }
                Self::Allow => vec![result(Some(Decision::Allow))],
                Self::AllowAs(client_id) => vec![result(Some(Decision::AllowAs(client_id)))],
                Self::Rewrite(text) => vec![result(Some(Decision::Rewrite(text)))],
                Self::Change(change) => vec![result(Some(Decision::Change(change)))],
                Self::Deny(deny) => vec![result(Some(Decision::Deny(deny)))],
                Self::Fail(code) => vec![result(Some(Decision::Failure(Failure {
                    code: code.into(),
                    ..Failure::default()
                })))],
                Self::Unset => vec![result(None)],
                Self::Missing => Vec::new(),
                Self::Twice => vec![result(Some(Decision::Allow)), result(Some(Decision::Allow))],
                Self::Stray => vec![A::result(item_id ^ 0x4000_0000, Some(Decision::Allow))],
                Self::Status(code) => return Err(Status::new(code, "as the script says")),
            })
        })
    }
}

impl From<ConnectAllow> for Answer {
    fn from(allow: ConnectAllow) -> Self {
        Self::Change(Change::Connect(Box::new(allow)))
    }
}

impl From<PublishAllow> for Answer {
    fn from(allow: PublishAllow) -> Self {
        Self::Change(Change::Publish(Box::new(allow)))
    }
}

impl From<SubscribeAllow> for Answer {
    fn from(allow: SubscribeAllow) -> Self {
        Self::Change(Change::Subscribe(allow))
    }
}

/// The results of one check, in a while.
type Settling<R> = Pin<Box<dyn Future<Output = Result<Vec<R>, Status>> + Send>>;

/// Keeps answers back until the test lets go of them.
#[derive(Debug, Clone)]
pub struct Hold(watch::Sender<bool>);

impl Hold {
    /// Holds.
    #[must_use]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Lets go of all answers that it holds, and will hold.
    pub fn release(&self) {
        self.0.send_replace(true);
    }

    async fn let_go(&self) {
        let mut released = self.0.subscribe();
        // This very value keeps the channel open, so the wait can't fail.
        let _ = released.wait_for(|&released| released).await;
    }
}

impl Default for Hold {
    fn default() -> Self {
        Self::new()
    }
}
