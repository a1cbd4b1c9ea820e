//! The three hooks of the contract, which differ in their types only.

use tidegate_proto::v1::{
    ConnectAllow, ConnectCheck, ConnectResult, Deny, Failure, PublishAllow, PublishCheck,
    PublishOrigin, PublishResult, ResultMetadata, Session, SubscribeAllow, SubscribeCheck,
    SubscribeResult, connect_result, publish_result, subscribe_result,
};

/// A method of the authorization service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hook {
    /// `AuthorizeConnect`.
    Connect,
    /// `AuthorizePublish`, for messages and wills.
    Publish,
    /// `AuthorizeSubscribe`.
    Subscribe,
}

/// A check as the service got it.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    /// Of a CONNECT.
    Connect(Box<ConnectCheck>),
    /// Of a PUBLISH, or a will.
    Publish(PublishCheck),
    /// Of one filter of a SUBSCRIBE.
    Subscribe(SubscribeCheck),
}

impl Check {
    /// The method by which it came.
    #[must_use]
    pub fn hook(&self) -> Hook {
        match self {
            Self::Connect(_) => Hook::Connect,
            Self::Publish(_) => Hook::Publish,
            Self::Subscribe(_) => Hook::Subscribe,
        }
    }

    /// Topic or filter; empty for CONNECT.
    #[must_use]
    pub fn topic(&self) -> &str {
        match self {
            Self::Connect(_) => "",
            Self::Publish(check) => &check.topic,
            Self::Subscribe(check) => &check.topic_filter,
        }
    }

    /// Whether it is about a will.
    #[must_use]
    pub fn is_will(&self) -> bool {
        matches!(self, Self::Publish(check) if check.origin() == PublishOrigin::Will)
    }

    /// The check of a CONNECT.
    ///
    /// # Panics
    /// If it is another.
    #[must_use]
    pub fn connect(&self) -> &ConnectCheck {
        match self {
            Self::Connect(check) => check,
            other => panic!("not the check of a CONNECT: {other:?}"),
        }
    }

    /// The session that it belongs to.
    ///
    /// # Panics
    /// If the check names none, against the contract.
    #[must_use]
    pub fn session(&self) -> &Session {
        let session = match self {
            Self::Connect(check) => &check.session,
            Self::Publish(check) => &check.session,
            Self::Subscribe(check) => &check.session,
        };
        session.as_ref().expect("every check names its session")
    }
}

/// What a result decides, before it is put into the types of its hook.
#[derive(Debug, Clone)]
pub(super) enum Decision {
    Allow,
    AllowAs(String),
    Rewrite(String),
    Change(Change),
    Deny(Deny),
    Failure(Failure),
}

/// A yes with whatever the contract lets a service say with it.
#[derive(Debug, Clone)]
pub enum Change {
    /// To a CONNECT.
    Connect(Box<ConnectAllow>),
    /// To a PUBLISH or a will.
    Publish(Box<PublishAllow>),
    /// To one filter.
    Subscribe(SubscribeAllow),
}

/// The check of one hook, and how its result is made.
pub(super) trait Ask: Send + 'static {
    const HOOK: Hook;
    type Result: Clone + Send + 'static;

    fn item_id(&self) -> u32;
    fn into_check(self) -> Check;
    fn result(item_id: u32, decision: Option<Decision>) -> Self::Result;
    fn metadata_of(result: &mut Self::Result) -> &mut Option<ResultMetadata>;
}

impl Ask for ConnectCheck {
    const HOOK: Hook = Hook::Connect;
    type Result = ConnectResult;

    fn item_id(&self) -> u32 {
        self.metadata
            .as_ref()
            .map_or(0, |metadata| metadata.item_id)
    }

    fn into_check(self) -> Check {
        Check::Connect(Box::new(self))
    }

    fn metadata_of(result: &mut ConnectResult) -> &mut Option<ResultMetadata> {
        &mut result.metadata
    }

    fn result(item_id: u32, decision: Option<Decision>) -> ConnectResult {
        use connect_result::Decision as D;
        let allow = ConnectAllow::default();
        ConnectResult {
            metadata: metadata(item_id),
            decision: decision.and_then(|decision| {
                Some(match decision {
                    Decision::Allow => D::Allow(allow),
                    Decision::AllowAs(client_id) => D::Allow(ConnectAllow {
                        broker_client_id: Some(client_id),
                        ..allow
                    }),
                    Decision::Rewrite(username) => D::Allow(ConnectAllow {
                        broker_username: Some(username),
                        ..allow
                    }),
                    Decision::Change(Change::Connect(allow)) => D::Allow(*allow),
                    Decision::Change(_) => return None,
                    Decision::Deny(deny) => D::Deny(deny),
                    Decision::Failure(failure) => D::Failure(failure),
                })
            }),
        }
    }
}

impl Ask for PublishCheck {
    const HOOK: Hook = Hook::Publish;
    type Result = PublishResult;

    fn item_id(&self) -> u32 {
        self.metadata
            .as_ref()
            .map_or(0, |metadata| metadata.item_id)
    }

    fn into_check(self) -> Check {
        Check::Publish(self)
    }

    fn metadata_of(result: &mut PublishResult) -> &mut Option<ResultMetadata> {
        &mut result.metadata
    }

    fn result(item_id: u32, decision: Option<Decision>) -> PublishResult {
        use publish_result::Decision as D;
        PublishResult {
            metadata: metadata(item_id),
            decision: decision.and_then(|decision| {
                Some(match decision {
                    Decision::Allow | Decision::AllowAs(_) => D::Allow(PublishAllow::default()),
                    Decision::Rewrite(topic) => D::Allow(PublishAllow {
                        topic: Some(topic),
                        ..PublishAllow::default()
                    }),
                    Decision::Change(Change::Publish(allow)) => D::Allow(*allow),
                    Decision::Change(_) => return None,
                    Decision::Deny(deny) => D::Deny(deny),
                    Decision::Failure(failure) => D::Failure(failure),
                })
            }),
        }
    }
}

impl Ask for SubscribeCheck {
    const HOOK: Hook = Hook::Subscribe;
    type Result = SubscribeResult;

    fn item_id(&self) -> u32 {
        self.metadata
            .as_ref()
            .map_or(0, |metadata| metadata.item_id)
    }

    fn into_check(self) -> Check {
        Check::Subscribe(self)
    }

    fn metadata_of(result: &mut SubscribeResult) -> &mut Option<ResultMetadata> {
        &mut result.metadata
    }

    fn result(item_id: u32, decision: Option<Decision>) -> SubscribeResult {
        use subscribe_result::Decision as D;
        SubscribeResult {
            metadata: metadata(item_id),
            decision: decision.and_then(|decision| {
                Some(match decision {
                    Decision::Allow | Decision::AllowAs(_) => D::Allow(SubscribeAllow::default()),
                    Decision::Rewrite(filter) => D::Allow(SubscribeAllow {
                        topic_filter: Some(filter),
                        ..SubscribeAllow::default()
                    }),
                    Decision::Change(Change::Subscribe(allow)) => D::Allow(allow),
                    Decision::Change(_) => return None,
                    Decision::Deny(deny) => D::Deny(deny),
                    Decision::Failure(failure) => D::Failure(failure),
                })
            }),
        }
    }
}

fn metadata(item_id: u32) -> Option<ResultMetadata> {
    Some(ResultMetadata {
        item_id,
        policy: "scripted".into(),
        ..ResultMetadata::default()
    })
}
