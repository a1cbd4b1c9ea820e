//! What becomes of packets, as the gatekeeper tells it.

use std::time::Duration;

use gatekeeper::{Deny, DenyAction, Fate, Ticket, Verdict, Version};

use super::{Case, Judge};
use crate::packet::{self, Packet};

impl Judge {
    /// Every packet has one fate, and it fits to what was said about it.
    pub(super) fn settled(&mut self, ticket: Ticket, fate: Fate) {
        let found = self.cases.iter().rposition(|case| case.first == ticket);
        let index = found.expect("a fate of a packet that was not asked about");
        let case = &mut self.cases[index];
        assert_eq!(case.fate.replace(fate), None, "{case:?} has two fates");
        self.step.fates.push(index);
        let case = &self.cases[index];
        let Packet::Publish(publish) = &case.packet else {
            return;
        };
        let outcome = self.asks.outcome(ticket);
        match fate {
            Fate::Refused(code) => {
                assert!(code.is_refusal(), "{code:?} is no refusal");
                assert!(self.version == Some(Version::V5), "3.x has no refusal");
            }
            Fate::Dropped if publish.qos > 0 => assert!(
                self.may_lose(outcome),
                "{publish:?} is lost after {outcome:?}"
            ),
            Fate::Expired => {
                let allowed = matches!(outcome, Some(Verdict::Allow(_)));
                assert!(allowed && self.is_expired(case), "{publish:?} is lost");
            }
            Fate::Dropped | Fate::Forwarded | Fate::ForwardedInPart | Fate::Closed => {}
        }
        let publish = publish.clone();
        self.message_settled(&publish, fate);
    }

    /// Whether a message with a QoS above 0 may be acknowledged as a success and go nowhere.
    fn may_lose(&self, outcome: Option<&Verdict>) -> bool {
        let is_v5 = self.version == Some(Version::V5);
        match outcome {
            Some(Verdict::Deny(Deny { action, .. })) => !is_v5 || *action == DenyAction::Drop,
            Some(Verdict::Unavailable(why)) => !is_v5 && why.is_permanent(),
            Some(Verdict::Allow(_)) | None => false,
        }
    }

    fn is_expired(&self, case: &Case) -> bool {
        const MESSAGE_EXPIRY: u8 = 0x02;

        let Packet::Publish(publish) = &case.packet else {
            return false;
        };
        packet::property(&publish.properties, MESSAGE_EXPIRY)
            .and_then(|seconds| Some(u32::from_be_bytes(seconds.try_into().ok()?)))
            .is_some_and(|seconds| self.now - case.asked_at >= Duration::from_secs(seconds.into()))
    }
}
