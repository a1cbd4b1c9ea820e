//! What goes to the client: one CONNACK first, nothing behind a DISCONNECT, and no success that is
//! none.

use bytes::Bytes;
use gatekeeper::Version;

use super::{Judge, Question, Subscribe, broker};
use crate::packet::{self, Packet};

impl Judge {
    pub(super) fn client_gets(&mut self, bytes: &Bytes) {
        assert!(!self.said_goodbye, "{bytes:02x?} after a DISCONNECT");
        let is_passed = self.step.pass.as_ref() == Some(bytes);
        let pass = self.step.pass.clone().filter(|_| is_passed);
        if !self.answered {
            return self.client_gets_connack(bytes);
        }
        assert!(self.connected, "{bytes:02x?} behind a refusal");
        let version = self.version.expect("a CONNECT came before");
        let packet = match packet::read(version, bytes) {
            Some(packet) => packet,
            // The broker's messages are its own affair.
            None if is_passed && bytes[0] >> 4 == 3 => return,
            None => panic!("{bytes:02x?} is not one packet"),
        };
        assert!(
            is_passed || bytes.len() <= self.client_takes,
            "{packet:?} for a client that takes {} bytes",
            self.client_takes
        );
        match packet {
            Packet::Ack { kind, id, code, .. } => {
                self.client_hears(kind, id, code, pass.is_some());
            }
            Packet::Suback { id, codes, .. } => self.subscribed(id, &codes),
            Packet::Disconnect { .. } => {
                assert_eq!(version, Version::V5, "3.x has no such DISCONNECT");
                self.said_goodbye = true;
            }
            Packet::Connect(_)
            | Packet::Connack { .. }
            | Packet::Subscribe { .. }
            | Packet::Unsubscribe { .. }
            | Packet::Pingreq => panic!("{packet:?} for a client"),
            _ => {}
        }
        if is_passed {
            self.step.pass = None;
        }
    }

    fn client_gets_connack(&mut self, bytes: &Bytes) {
        // Who has sent no CONNECT that can be read is answered in one of the two forms.
        let versions = match self.version {
            Some(version) => vec![version],
            None => vec![Version::V5, Version::V311],
        };
        let mut readings = versions.iter().filter_map(|v| packet::read(*v, bytes));
        let Some(Packet::Connack {
            code, properties, ..
        }) = readings.next()
        else {
            panic!("{bytes:02x?} before the CONNACK");
        };
        self.answered = true;
        let Some(pass) = self.step.pass.take().filter(|_| code == 0) else {
            assert_ne!(code, 0, "a success that the broker has not sent");
            assert!(bytes.len() <= self.client_takes || self.sent, "{code:#04x}");
            return;
        };
        let version = self.version.expect("a CONNECT came before");
        let Some(Packet::Connack {
            session_present,
            code,
            properties: broker,
        }) = packet::read(version, &pass)
        else {
            panic!("a success out of {pass:02x?}");
        };
        assert_eq!(code, 0, "a success out of a refusal");
        self.resumed = match version {
            Version::V31 => !self.sent_clean,
            Version::V311 | Version::V5 => session_present,
        };
        assert!(
            !self.resumed || !self.sent_clean,
            "a session that nobody may have"
        );
        self.broker_takes = broker::size(&broker).unwrap_or(usize::MAX);
        let told = broker::size(&properties);
        let limit = self.rules.limits.max_packet_size.min(self.broker_takes);
        assert!(version != Version::V5 || told == Some(limit), "{told:?}");
    }

    /// Every filter has a code, and none is granted that was not allowed.
    fn subscribed(&mut self, id: u16, codes: &[u8]) {
        let found = self.subscribes.iter().position(|waiting| waiting.id == id);
        let subscribe = found.and_then(|index| self.subscribes.remove(index));
        let subscribe = subscribe.unwrap_or_else(|| panic!("SUBACK {id} for no SUBSCRIBE"));
        assert_eq!(codes.len(), subscribe.filters.len(), "{subscribe:?}");
        if self.version == Some(Version::V31) {
            // It has no word for a refusal.
            return;
        }
        let allowed = self.allowed(&subscribe);
        for ((code, allowed), filter) in codes.iter().zip(allowed).zip(&subscribe.filters) {
            assert!(*code >= 0x80 || allowed, "{filter} is granted and denied");
        }
    }

    /// Which of the filters were allowed.
    fn allowed(&self, subscribe: &Subscribe) -> Vec<bool> {
        let case = subscribe.case.map(|index| &self.cases[index]);
        let Some(case) = case else {
            return vec![false; subscribe.filters.len()];
        };
        let Question::Subscribe(question) = &case.question else {
            panic!("{case:?} is no SUBSCRIBE");
        };
        let mut asked = question.filters.iter().enumerate().peekable();
        let filters = subscribe.filters.iter();
        filters
            .map(|filter| {
                asked
                    .next_if(|(_, question)| broker::full(question) == *filter)
                    .is_some_and(|(index, _)| self.asks.is_allowed(case.first.filter(index)))
            })
            .collect()
    }
}
