//! The kinds of question, and what differs between them: message, method, answer.
//!
//! Everything else of the stack is generic over [`Hook`], so nothing is written three times.

use std::{fmt, future::Future};

use bytes::Bytes;
use gatekeeper::Allow;
use http::uri::PathAndQuery;
use prost::Message;
use tidegate_proto::v1;
use tonic::{Request, Status};

use super::{
    Ask, Asker, Stack, Stacks,
    call::Client,
    check::Check,
    codec::Raw,
    decision::Identity,
    failure::Cause,
    wire::{self, Answer, Answers, Rules},
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

/// One kind of question. Implemented by the four markers of this module and by nobody else.
pub trait Hook: sealed::Sealed + Send + Sync + Sized + 'static {
    /// Which one it is.
    const KIND: HookKind;
    /// Name of the method that answers it.
    const METHOD: &'static str;
    /// The method as HTTP/2 path.
    const PATH: &'static str;
    /// Fully qualified method: the name of the client span, so that it costs nothing to build.
    const SPAN_NAME: &'static str;
    /// Whether a denial may be acknowledged as a success ([`v1::DenyAction::Drop`]).
    const MAY_DROP: bool;
    /// The result of one check.
    type Result: Message + Default + 'static;
    /// The permission inside a result.
    type Allow;

    /// The item id of an encoded result that is a plain yes, if it is known as one.
    fn plain(_result: &[u8]) -> Option<u32> {
        None
    }

    /// Makes the call with an encoded request.
    #[doc(hidden)]
    fn call(
        mut client: Client,
        request: Request<Bytes>,
    ) -> impl Future<Output = Result<Answers<Self::Result>, Status>> + Send {
        async move {
            // What it says is put right by `classify`: it was no word of the service.
            client
                .ready()
                .await
                .map_err(|error| Status::from_error(error.into()))?;
            let path = PathAndQuery::from_static(Self::PATH);
            let response = client
                .server_streaming(request, path, Raw(Answers::decode::<Self>))
                .await?;
            let mut messages = response.into_inner();
            let message = messages.message().await?;
            let message = message.ok_or_else(|| Status::internal("no message"))?;
            // tonic's unary calls pass over what follows, which might say something else.
            match messages.message().await? {
                None => Ok(message),
                Some(_) => Err(Status::internal("more than one message")),
            }
        }
    }

    /// Takes a result apart. `None`: no decision, or one that this program does not know.
    fn open(result: Self::Result) -> (v1::ResultMetadata, Option<Answer<Self::Allow>>);

    /// What a permission grants, or why it is none.
    fn grant(allow: Self::Allow, rules: &Rules) -> Result<(Allow, Option<Identity>), Cause>;

    /// The stack that decides it.
    #[doc(hidden)]
    fn stack(stacks: &Stacks) -> &Stack<Self>;

    /// Puts a check into it.
    #[doc(hidden)]
    fn put(asker: &mut Asker, check: Check<Self>) -> Ask {
        asker.put_long(check)
    }
}

/// An allow that changes nothing. `None`: no such hook may be allowed without the service.
pub(super) fn plain_allow(hook: HookKind) -> Option<Allow> {
    match hook {
        HookKind::Connect | HookKind::Will => None,
        HookKind::Publish => Some(Allow::PUBLISH),
        HookKind::Subscribe => Some(Allow::SUBSCRIBE),
    }
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
    const PATH: &'static str = "/tidegate.authz.v1.AuthorizationService/AuthorizeConnect";
    const SPAN_NAME: &'static str = "tidegate.authz.v1.AuthorizationService/AuthorizeConnect";
    const MAY_DROP: bool = false;
    type Result = v1::ConnectResult;
    type Allow = v1::ConnectAllow;

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

impl Hook for Will {
    const KIND: HookKind = HookKind::Will;
    const METHOD: &'static str = "AuthorizePublish";
    const PATH: &'static str = "/tidegate.authz.v1.AuthorizationService/AuthorizePublish";
    const SPAN_NAME: &'static str = "tidegate.authz.v1.AuthorizationService/AuthorizePublish";
    const MAY_DROP: bool = true;
    type Result = v1::PublishResult;
    type Allow = v1::PublishAllow;

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
    const PATH: &'static str = Will::PATH;
    const SPAN_NAME: &'static str = Will::SPAN_NAME;
    const MAY_DROP: bool = true;
    type Result = v1::PublishResult;
    type Allow = v1::PublishAllow;

    fn open(result: Self::Result) -> (v1::ResultMetadata, Option<Answer<Self::Allow>>) {
        open!(result, publish_result)
    }

    fn grant(allow: Self::Allow, rules: &Rules) -> Result<(Allow, Option<Identity>), Cause> {
        wire::grant_publish(allow, rules)
    }

    fn stack(stacks: &Stacks) -> &Stack<Self> {
        &stacks.publish
    }

    fn plain(result: &[u8]) -> Option<u32> {
        wire::plain_publish(result)
    }

    fn put(asker: &mut Asker, check: Check<Self>) -> Ask {
        asker.put_publish(check)
    }
}

impl Hook for Subscribe {
    const KIND: HookKind = HookKind::Subscribe;
    const METHOD: &'static str = "AuthorizeSubscribe";
    const PATH: &'static str = "/tidegate.authz.v1.AuthorizationService/AuthorizeSubscribe";
    const SPAN_NAME: &'static str = "tidegate.authz.v1.AuthorizationService/AuthorizeSubscribe";
    const MAY_DROP: bool = false;
    type Result = v1::SubscribeResult;
    type Allow = v1::SubscribeAllow;

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
