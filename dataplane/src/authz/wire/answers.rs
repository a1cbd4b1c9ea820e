//! The response to a call, as it comes off the wire.

use bytes::{Buf, Bytes};
use prost::{
    DecodeError, Message,
    encoding::{self, DecodeContext, decode_key, decode_varint, skip_field},
};

use crate::authz::{cache::Maker, hook::Hook};

/// Fields of every response.
const RESULTS: u32 = 1;
const POLICY_REVISION: u32 = 2;

/// What one call brought.
#[derive(Debug)]
pub struct Answers<R> {
    /// The results, in whatever order they came.
    pub(in crate::authz) results: Vec<Said<R>>,
    /// The version of the policy by which they were made.
    pub(in crate::authz) policy_revision: String,
    /// Whose they are, if somebody wants to know.
    pub(in crate::authz) maker: Option<Maker>,
}

/// One result.
#[derive(Debug)]
pub(in crate::authz) enum Said<R> {
    /// "Yes" to the check with this item id, and nothing else.
    Plain(u32),
    /// All that there is to say.
    Full(Box<R>),
}

impl<R> From<Vec<R>> for Answers<R> {
    fn from(results: Vec<R>) -> Self {
        let results = results
            .into_iter()
            .map(|result| Said::Full(Box::new(result)));
        Self {
            results: results.collect(),
            policy_revision: String::new(),
            maker: None,
        }
    }
}

impl<R: Message + Default> Answers<R> {
    /// Reads a response as the generated types would, but for the results that need none.
    pub(in crate::authz) fn decode<H: Hook<Result = R>>(
        mut response: Bytes,
    ) -> Result<Self, DecodeError> {
        let mut answers = Self::from(Vec::new());
        while response.has_remaining() {
            let (tag, wire_type) = decode_key(&mut response)?;
            let context = DecodeContext::default();
            match tag {
                RESULTS => {
                    let mut result = Bytes::new();
                    encoding::bytes::merge(wire_type, &mut result, &mut response, context)?;
                    answers.results.push(match H::plain(&result) {
                        Some(item_id) => Said::Plain(item_id),
                        None => Said::Full(Box::new(R::decode(result)?)),
                    });
                }
                POLICY_REVISION => {
                    let revision = &mut answers.policy_revision;
                    encoding::string::merge(wire_type, revision, &mut response, context)?;
                }
                _ => skip_field(wire_type, tag, &mut response, context)?,
            }
        }
        Ok(answers)
    }
}

/// The item of a [`PublishResult`](tidegate_proto::v1::PublishResult) that is exactly `metadata { item_id }, allow { }`, in this
/// order and in the usual encoding. Most are, and to make the generated type of each costs more than all
/// else that is done about it here. `None`: anything else, to be read in full.
pub(in crate::authz) fn plain_publish(result: &[u8]) -> Option<u32> {
    const METADATA: u8 = 1 << 3 | 2;
    const ITEM_ID: u8 = 1 << 3;
    const ALLOW: u8 = 2 << 3 | 2;

    let [METADATA, len @ ..0x80, rest @ ..] = result else {
        return None;
    };
    let (metadata, [ALLOW, 0]) = rest.split_at_checked(usize::from(*len))? else {
        return None;
    };
    let [ITEM_ID, item_id @ ..] = metadata else {
        return None;
    };
    let mut item_id = item_id;
    let number = decode_varint(&mut item_id).ok()?;
    item_id.is_empty().then_some(u32::try_from(number).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};
    use tidegate_proto::v1;

    use super::*;
    use crate::authz::{
        hook,
        testing::{no, result, yes},
    };

    fn decode(response: &v1::AuthorizePublishResponse) -> Answers<v1::PublishResult> {
        Answers::decode::<hook::Publish>(response.encode_to_vec().into()).unwrap()
    }

    #[test]
    fn a_plain_yes_is_known_by_its_bytes_and_anything_else_is_read() {
        let mut with_policy = result(4, yes());
        with_policy.metadata.as_mut().unwrap().policy = "rule".to_owned();
        let changed = v1::PublishAllow {
            retain: Some(true),
            ..v1::PublishAllow::default()
        };
        let changed = result(5, v1::publish_result::Decision::Allow(changed));
        let response = v1::AuthorizePublishResponse {
            results: vec![
                result(1, yes()),
                result(300, yes()),
                result(2, no()),
                result(3, None),
                with_policy.clone(),
                changed.clone(),
                result(0, yes()),
            ],
            policy_revision: "7".to_owned(),
        };
        let answers = decode(&response);
        assert_eq!(answers.policy_revision, "7");
        let said = answers.results.into_iter().map(|said| match said {
            Said::Plain(item_id) => Err(item_id),
            Said::Full(result) => Ok(*result),
        });
        let expected = [
            Err(1),
            Err(300),
            Ok(result(2, no())),
            Ok(result(3, None)),
            Ok(with_policy),
            Ok(changed),
            Ok(result(0, yes())),
        ];
        assert_eq!(said.collect::<Vec<_>>(), expected);
    }

    proptest! {
        /// It is read exactly if the generated type reads it, and says the same.
        #[test]
        fn what_is_read_is_what_the_generated_type_reads(
            bytes in prop_oneof![
                vec(any::<u8>(), 0..60),
                // Such as begin well.
                vec(prop_oneof![Just(10_u8), Just(8), Just(18), 0..4_u8, any::<u8>()], 0..16),
            ],
        ) {
            let generated = v1::AuthorizePublishResponse::decode(&bytes[..]);
            let own = Answers::decode::<hook::Publish>(Bytes::from(bytes));
            prop_assert_eq!(generated.is_ok(), own.is_ok());
            if let (Ok(generated), Ok(own)) = (generated, own) {
                let plain = |item_id| v1::PublishResult {
                    decision: Some(yes()),
                    ..result(item_id, None)
                };
                let own_results = own.results.into_iter().map(|said| match said {
                    Said::Plain(item_id) => plain(item_id),
                    Said::Full(result) => *result,
                });
                prop_assert_eq!(own_results.collect::<Vec<_>>(), generated.results);
                prop_assert_eq!(own.policy_revision, generated.policy_revision);
            }
        }
    }
}
