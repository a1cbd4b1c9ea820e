//! Questions as they arrive, and what can be said to them.

use bytes::Bytes;
use prost::Message as _;
use tidegate_proto::v1::{
    AuthorizeConnectRequest, AuthorizeConnectResponse, AuthorizePublishRequest,
    AuthorizePublishResponse, AuthorizeSubscribeRequest, AuthorizeSubscribeResponse, CheckMetadata,
    ConnectAllow, ConnectResult, Deny, Failure, FailureCode, PublishAllow, PublishOrigin,
    PublishResult, ResultMetadata, SubscribeAllow, SubscribeResult, connect_result, publish_result,
    subscribe_result,
};

use super::framed;

/// What checks are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A CONNECT.
    Connect,
    /// The will in a CONNECT.
    Will,
    /// A PUBLISH.
    Publish,
    /// A filter of a SUBSCRIBE.
    Subscribe,
}

/// An answer that is complete gRPC, and no decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Results without a decision.
    Unset,
    /// Permissions for other checks.
    WrongIds,
    /// Permissions for check 0, which there never is.
    NoIds,
    /// Two permissions for each check.
    Twice,
    /// No results.
    Missing,
    /// A failure in the words of the contract.
    Failure,
    /// A message that is no message of the contract.
    Garbage,
    /// A message that says it is compressed.
    Compressed,
    /// No message at all, and a good status.
    Nothing,
    /// Two messages, each a full permission.
    TwoMessages,
    /// A denial with a code that does not exist.
    UnknownCode,
}

/// The checks of a call.
#[derive(Debug)]
pub(super) struct Asked {
    kind: Kind,
    ids: Vec<u32>,
}

/// What is said to each check.
#[derive(Debug, Clone, Copy)]
enum Word {
    Allow,
    Deny(i32),
    Failure,
    Unset,
}

impl Asked {
    /// `None`: no call with checks.
    pub(super) fn read(path: &str, message: &[u8]) -> Option<Self> {
        let (_, method) = path.rsplit_once('/')?;
        let (kind, metadata): (_, Vec<_>) = match method {
            "AuthorizeConnect" => {
                let request = AuthorizeConnectRequest::decode(message).ok()?;
                let checks = request.checks.into_iter();
                (Kind::Connect, checks.map(|check| check.metadata).collect())
            }
            "AuthorizePublish" => {
                let request = AuthorizePublishRequest::decode(message).ok()?;
                let mut origins = request.checks.iter().map(|check| check.origin());
                let kind = match origins.any(|origin| origin == PublishOrigin::Will) {
                    true => Kind::Will,
                    false => Kind::Publish,
                };
                let checks = request.checks.into_iter();
                (kind, checks.map(|check| check.metadata).collect())
            }
            "AuthorizeSubscribe" => {
                let request = AuthorizeSubscribeRequest::decode(message).ok()?;
                let checks = request.checks.into_iter();
                (
                    Kind::Subscribe,
                    checks.map(|check| check.metadata).collect(),
                )
            }
            _ => return None,
        };
        let id = |metadata: Option<CheckMetadata>| metadata.map_or(0, |it| it.item_id);
        Some(Self {
            kind,
            ids: metadata.into_iter().map(id).collect(),
        })
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn allow(&self) -> Vec<u8> {
        self.say(Word::Allow, &self.ids)
    }

    pub(super) fn deny(&self) -> Vec<u8> {
        self.say(Word::Deny(0), &self.ids)
    }

    /// The response message that says this word to each of these checks.
    fn say(&self, word: Word, ids: &[u32]) -> Vec<u8> {
        macro_rules! response {
            ($Response:ident, $Result:ident, $module:ident, $Allow:ident) => {
                $Response {
                    results: ids
                        .iter()
                        .map(|id| $Result {
                            metadata: Some(ResultMetadata {
                                item_id: *id,
                                ..ResultMetadata::default()
                            }),
                            decision: match word {
                                Word::Allow => Some($module::Decision::Allow($Allow::default())),
                                Word::Deny(code) => Some($module::Decision::Deny(Deny {
                                    reason_code: code,
                                    ..Deny::default()
                                })),
                                Word::Failure => Some($module::Decision::Failure(Failure {
                                    code: FailureCode::Internal.into(),
                                    ..Failure::default()
                                })),
                                Word::Unset => None,
                            },
                        })
                        .collect(),
                    ..$Response::default()
                }
                .encode_to_vec()
            };
        }
        match self.kind {
            Kind::Connect => response!(
                AuthorizeConnectResponse,
                ConnectResult,
                connect_result,
                ConnectAllow
            ),
            Kind::Will | Kind::Publish => response!(
                AuthorizePublishResponse,
                PublishResult,
                publish_result,
                PublishAllow
            ),
            Kind::Subscribe => response!(
                AuthorizeSubscribeResponse,
                SubscribeResult,
                subscribe_result,
                SubscribeAllow
            ),
        }
    }
}

impl Lie {
    /// The message, as it stands in the body of the answer.
    pub(super) fn frame(self, asked: &Asked) -> Bytes {
        let other = |id: &u32| id ^ 0x4000_0000;
        let ids = &asked.ids;
        match self {
            Self::Unset => framed(&asked.say(Word::Unset, ids)),
            Self::WrongIds => {
                let others: Vec<_> = ids.iter().map(other).collect();
                framed(&asked.say(Word::Allow, &others))
            }
            Self::NoIds => framed(&asked.say(Word::Allow, &vec![0; ids.len()])),
            Self::Twice => framed(&asked.say(Word::Allow, &[&ids[..], ids].concat())),
            Self::Missing => framed(&asked.say(Word::Allow, &[])),
            Self::Failure => framed(&asked.say(Word::Failure, ids)),
            Self::Garbage => framed(&[0xFF; 64]),
            Self::Compressed => {
                let mut frame = framed(&asked.allow()).to_vec();
                frame[0] = 1;
                frame.into()
            }
            Self::Nothing => Bytes::new(),
            Self::TwoMessages => {
                let allow = framed(&asked.allow());
                [&allow[..], &allow].concat().into()
            }
            Self::UnknownCode => framed(&asked.say(Word::Deny(0x7777), ids)),
        }
    }
}
