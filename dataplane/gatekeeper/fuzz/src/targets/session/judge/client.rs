//! What goes to the client: one CONNACK first, nothing behind a DISCONNECT, and no success that is
//! none.

use bytes::Bytes;
use gatekeeper::Version;

use super::{Judge, Question, Subscribe, filters};
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
        let Some(packet) = packet::read(version, bytes) else {
            panic!("{bytes:02x?} is not one packet");
        };
        // What comes out of the broker's own packet is as large as the broker makes it.
        let came = self.step.pass.as_ref().map_or(0, Bytes::len);
        let is_delivery = matches!(packet, Packet::Publish(_));
        assert!(
            is_passed || is_delivery || bytes.len() <= self.client_takes.max(came),
            "{packet:?} for a client that takes {} bytes",
            self.client_takes
        );
        match packet {
            Packet::Ack { kind, id, code, .. } => {
                let is_passed = pass.is_some() || self.is_corrected(kind, id, code);
                self.client_hears(kind, id, code, is_passed);
                if is_passed {
                    self.step.pass = None;
                }
            }
            Packet::Publish(publish) => self.check_delivery(&publish, bytes.len()),
            Packet::Unsuback { id, .. } => {
                assert!(
                    self.step.swallowed != Some(id),
                    "UNSUBACK {id} is the gate's"
                );
                self.leaving.retain(|leaving| *leaving != id);
            }
            Packet::Suback { id, codes, .. } => self.subscribed(id, &codes),
            Packet::Disconnect { properties, .. } => {
                let is_brokers = matches!(self.step.came, Some(Packet::Disconnect { .. }));
                let hidden = is_brokers && !self.rules.pass_server_reference;
                let reference = packet::property(&properties, 0x1C);
                assert!(!hidden || reference.is_none(), "{reference:02x?}");
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

    /// Whether it is the broker's refusal, with a code that the packet may carry.
    fn is_corrected(&self, kind: u8, id: u16, code: u8) -> bool {
        const LEGAL: [u8; 9] = [0, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];

        let came = self.step.pass.as_ref().and(self.step.came.as_ref());
        match came {
            Some(Packet::Ack {
                kind: k,
                id: i,
                code: came,
                ..
            }) => {
                let is_refusal = *came >= 0x80 && code >= 0x80;
                (*k, *i) == (kind, id) && is_refusal && !LEGAL.contains(came)
            }
            _ => false,
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
        match self.step.pass.take().filter(|_| code == 0) {
            Some(pass) => self.check_connack(&pass, bytes),
            None => {
                assert_ne!(code, 0, "a success that the broker has not sent");
                self.check_refusal(&properties, bytes.len());
            }
        }
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
            assert!(
                *code >= 0x80 || allowed,
                "{filter} is granted and was not sent"
            );
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
                    .next_if(|(_, question)| filters::full(question) == *filter)
                    .is_some_and(|(index, _)| case.sent_filters.get(index) == Some(&true))
            })
            .collect()
    }
}
