//! The kinds of question, and what differs between them: message, method, answer.
//!
//! Everything else of the stack is generic over [`Hook`], so nothing is written three times.

use std::{fmt, future::Future};

use gatekeeper::Allow;
use prost::Message;
use tidegate_proto::v1;
use tonic::{Request, Status};

use super::{
    Stack, Stacks,
    call::Client,
    decision::Identity,
    failure::Cause,
    wire::{self, Answer, Rules},
};

/// The kinds of question, as the word in logs, spans and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HookKind {
    /// May this client connect?
    Connect,
    /// May the client that was just allowed leave this will? Asked with `AuthorizePublish`.
    Will,
    /// May this message be published?
    Publish,
    /// May this subscription be made?
    Subscribe,
}

impl HookKind {
    /// All kinds, in the order of their discriminants.
    pub const ALL: [Self; 4] = [Self::Connect, Self::Will, Self::Publish, Self::Subscribe];

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Will => "will",
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one call carries: the caller and its checks.
#[derive(Debug, Clone)]
pub struct Payload<C> {
    /// Who asks.
    pub data_plane: v1::DataPlane,
    /// At least one check, each with an `item_id` of its own.
    pub checks: Vec<C>,
}

/// One kind of question. Implemented by the four markers of this module and by nobody else.
pub trait Hook: sealed::Sealed + Send + Sync + Sized + 'static {
    /// Which one it is.
    const KIND: HookKind;
    /// Name of the method that answers it.
    const METHOD: &'static str;
    /// Fully qualified method: the name of the client span, so that it costs nothing to build.
    const SPAN_NAME: &'static str;
    /// Whether a denial may be acknowledged as a success ([`v1::DenyAction::Drop`]).
    const MAY_DROP: bool;
    /// The typed check.
    type Check: Message + Clone + 'static;
    /// The result of one check.
    type Result: Send + 'static;
    /// The permission inside a result.
    type Allow;

    /// The fields that every check carries.
    fn metadata(check: &mut Self::Check) -> &mut v1::CheckMetadata;

    /// Makes the call.
    fn call(
        client: Client,
        request: Request<Payload<Self::Check>>,
    ) -> impl Future<Output = Result<Vec<Self::Result>, Status>> + Send;

    /// Takes a result apart. `None`: no decision, or one that this program does not know.
    fn open(result: Self::Result) -> (v1::ResultMetadata, Option<Answer<Self::Allow>>);

    /// What a permission grants, or why it is none.
    fn grant(allow: Self::Allow, rules: &Rules) -> Result<(Allow, Option<Identity>), Cause>;

    /// The stack that decides it.
    #[doc(hidden)]
    fn stack(stacks: &Stacks) -> &Stack<Self>;
}

/// Marker of CONNECT.
#[derive(Debug)]
pub enum Connect {}

/// Marker of a will: a publication by its message, on the connection of CONNECT.
#[derive(Debug)]
pub enum Will {}

/// Marker of PUBLISH.
#[derive(Debug)]
pub enum Publish {}

/// Marker of one filter of a SUBSCRIBE.
#[derive(Debug)]
pub enum Subscribe {}

mod sealed {
    pub trait Sealed {}
    impl Sealed for super::Connect {}
    impl Sealed for super::Will {}
    impl Sealed for super::Publish {}
    impl Sealed for super::Subscribe {}
}

macro_rules! open {
    ($result:expr, $module:ident) => {{
        let result = $result;
        let answer = result.decision.map(|decision| match decision {
            v1::$module::Decision::Allow(allow) => Answer::Allow(allow),
            v1::$module::Decision::Deny(deny) => Answer::Deny(deny),
            v1::$module::Decision::Failure(failure) => Answer::Failure(failure),
        });
        (result.metadata.unwrap_or_default(), answer)
    }};
}

impl Hook for Connect {
    const KIND: HookKind = HookKind::Connect;
    const METHOD: &'static str = "AuthorizeConnect";
    const SPAN_NAME: &'static str = "tidegate.authz.v1.AuthorizationService/AuthorizeConnect";
    const MAY_DROP: bool = false;
    type Check = v1::ConnectCheck;
    type Result = v1::ConnectResult;
    type Allow = v1::ConnectAllow;

    fn metadata(check: &mut Self::Check) -> &mut v1::CheckMetadata {
        check.metadata.get_or_insert_default()
    }

    async fn call(
        mut client: Client,
        request: Request<Payload<Self::Check>>,
    ) -> Result<Vec<Self::Result>, Status> {
        let request = request.map(|payload| v1::AuthorizeConnectRequest {
            data_plane: Some(payload.data_plane),
            checks: payload.checks,
        });
        let response = client.authorize_connect(request).await?;
        Ok(response.into_inner().results)
    }

    fn open(result: Self::Result) -> (v1::ResultMetadata, Option<Answer<Self::Allow>>) {
        open!(result, connect_result)
    }

    fn grant(allow: Self::Allow, rules: &Rules) -> Result<(Allow, Option<Identity>), Cause> {
        wire::grant_connect(allow, rules)
    }

    fn stack(stacks: &Stacks) -> &Stack<Self> {
        &stacks.connect
    }
}

async fn authorize_publish(
    mut client: Client,
    request: Request<Payload<v1::PublishCheck>>,
) -> Result<Vec<v1::PublishResult>, Status> {
    let request = request.map(|payload| v1::AuthorizePublishRequest {
        data_plane: Some(payload.data_plane),
        checks: payload.checks,
    });
    let response = client.authorize_publish(request).await?;
    Ok(response.into_inner().results)
}

impl Hook for Will {
    const KIND: HookKind = HookKind::Will;
    const METHOD: &'static str = "AuthorizePublish";
    const SPAN_NAME: &'static str = "tidegate.authz.v1.AuthorizationService/AuthorizePublish";
    const MAY_DROP: bool = true;
    type Check = v1::PublishCheck;
    type Result = v1::PublishResult;
    type Allow = v1::PublishAllow;

    fn metadata(check: &mut Self::Check) -> &mut v1::CheckMetadata {
        check.metadata.get_or_insert_default()
    }

    async fn call(
        client: Client,
        request: Request<Payload<Self::Check>>,
    ) -> Result<Vec<Self::Result>, Status> {
        authorize_publish(client, request).await
    }

    fn open(result: Self::Result) -> (v1::ResultMetadata, Option<Answer<Self::Allow>>) {
        open!(result, publish_result)
    }

    fn grant(allow: Self::Allow, rules: &Rules) -> Result<(Allow, Option<Identity>), Cause> {
        wire::grant_publish(allow, rules)
    }

    fn stack(stacks: &Stacks) -> &Stack<Self> {
        &stacks.will
    }
}

impl Hook for Publish {
    const KIND: HookKind = HookKind::Publish;
    const METHOD: &'static str = Will::METHOD;
    const SPAN_NAME: &'static str = Will::SPAN_NAME;
    const MAY_DROP: bool = true;
    type Check = v1::PublishCheck;
    type Result = v1::PublishResult;
    type Allow = v1::PublishAllow;

    fn metadata(check: &mut Self::Check) -> &mut v1::CheckMetadata {
        check.metadata.get_or_insert_default()
    }

    async fn call(
        client: Client,
        request: Request<Payload<Self::Check>>,
    ) -> Result<Vec<Self::Result>, Status> {
        authorize_publish(client, request).await
    }

    fn open(result: Self::Result) -> (v1::ResultMetadata, Option<Answer<Self::Allow>>) {
        open!(result, publish_result)
    }

    fn grant(allow: Self::Allow, rules: &Rules) -> Result<(Allow, Option<Identity>), Cause> {
        wire::grant_publish(allow, rules)
    }

    fn stack(stacks: &Stacks) -> &Stack<Self> {
        &stacks.publish
    }
}

impl Hook for Subscribe {
    const KIND: HookKind = HookKind::Subscribe;
    const METHOD: &'static str = "AuthorizeSubscribe";
    const SPAN_NAME: &'static str = "tidegate.authz.v1.AuthorizationService/AuthorizeSubscribe";
    const MAY_DROP: bool = false;
    type Check = v1::SubscribeCheck;
    type Result = v1::SubscribeResult;
    type Allow = v1::SubscribeAllow;

    fn metadata(check: &mut Self::Check) -> &mut v1::CheckMetadata {
        check.metadata.get_or_insert_default()
    }

    async fn call(
        mut client: Client,
        request: Request<Payload<Self::Check>>,
    ) -> Result<Vec<Self::Result>, Status> {
        let request = request.map(|payload| v1::AuthorizeSubscribeRequest {
            data_plane: Some(payload.data_plane),
            checks: payload.checks,
        });
        let response = client.authorize_subscribe(request).await?;
        Ok(response.into_inner().results)
    }

    fn open(result: Self::Result) -> (v1::ResultMetadata, Option<Answer<Self::Allow>>) {
        open!(result, subscribe_result)
    }

    fn grant(allow: Self::Allow, rules: &Rules) -> Result<(Allow, Option<Identity>), Cause> {
        wire::grant_subscribe(allow, rules)
    }

    fn stack(stacks: &Stacks) -> &Stack<Self> {
        &stacks.subscribe
    }
}
