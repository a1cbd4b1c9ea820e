//! What goes to the broker: nothing but what was allowed, as it was asked about, once and in order;
//! and kinds of packets that need no verdict.

use std::time::Duration;

use gatekeeper::{Admitted, Basis, Exempt, Question, SubscribeQuestion, Ticket};

use super::{
    Case, Judge, TOPIC_ALIAS,
    connect::{changes, number},
    filters::{full, options},
    message::Message,
};
use crate::packet::{self, PUBACK, PUBCOMP, PUBREC, PUBREL, Packet, Properties, Publish};

const MESSAGE_EXPIRY: u8 = 0x02;

impl Judge {
    pub(super) fn broker_gets(&mut self, admitted: Admitted) {
        let basis = admitted.basis();
        let bytes = admitted.into_bytes();
        let version = self.version.expect("a CONNECT came before");
        let packet = packet::read(version, &bytes);
        let packet = packet.unwrap_or_else(|| panic!("{bytes:02x?} is not one packet"));
        assert!(self.reached, "{packet:?} before there is a broker");
        assert!(!self.left, "{packet:?} behind a DISCONNECT");
        assert_eq!(
            !self.sent,
            matches!(packet, Packet::Connect(_)),
            "{packet:?}"
        );
        self.sent = true;
        assert!(
            !self.connected || bytes.len() <= self.broker_takes,
            "{} bytes for a broker that takes {}",
            bytes.len(),
            self.broker_takes
        );
        match basis {
            Basis::Allowed(ticket) => self.check_allowed(ticket, &packet),
            Basis::Exempt(rule) => self.check_exempt(rule, &packet),
        }
    }

    fn check_exempt(&mut self, rule: Exempt, packet: &Packet) {
        match (rule, packet) {
            (Exempt::SuppressWill, Packet::Disconnect { code, .. }) => {
                assert!(!self.rules.suppress_will_on.is_empty() && *code == 0);
                self.left = true;
                return;
            }
            (
                Exempt::Release,
                Packet::Ack {
                    kind: PUBREL, id, ..
                },
            ) => self.released(*id),
            (
                Exempt::Purge,
                Packet::Ack {
                    kind: PUBREL,
                    id,
                    code: 0,
                    ..
                },
            ) => self.purged(*id),
            (
                Exempt::Acknowledgement,
                Packet::Ack {
                    kind: kind @ (PUBACK | PUBREC | PUBCOMP),
                    id,
                    code,
                    ..
                },
            ) => {
                if !self.is_clients_answer(*kind, *id, *code) {
                    self.check_own_answer(*kind, *id, *code);
                }
            }
            (Exempt::Unsubscribe, Packet::Unsubscribe { id, filters }) => {
                self.check_unsubscribe(*id, filters);
            }
            (Exempt::Withdraw, Packet::Unsubscribe { id, filters }) => {
                self.check_withdrawal(*id, filters);
            }
            (Exempt::Disconnect, Packet::Disconnect { code, properties }) => {
                self.check_goodbye(*code, properties);
                self.left = true;
            }
            (Exempt::Ping, Packet::Pingreq) => {}
            _ => panic!("{packet:?} is no {rule:?}"),
        }
        assert!(self.connected, "{packet:?} before the CONNACK");
    }

    /// The gate leaves what the client may have subscribed to, under an identifier that is free.
    fn check_withdrawal(&mut self, id: u16, filters: &[String]) {
        let busy = self.subscribes.iter().map(|subscribe| subscribe.id);
        let busy = busy.chain(self.leaving.iter().copied());
        assert!(busy.chain(self.own.iter().copied()).all(|busy| busy != id));
        for filter in filters {
            let own = self
                .mount
                .as_deref()
                .and_then(|mount| unmounted(filter, mount));
            let known = |name: &str| {
                let cases = self.cases.iter().filter_map(|case| match &case.question {
                    Question::Subscribe(subscribe) => Some(&subscribe.filters),
                    _ => None,
                });
                cases.flatten().any(|asked| full(asked) == name)
            };
            let known = known(filter) || own.is_some_and(|own| known(&own));
            assert!(known, "{filter} is left, and nobody asked for it");
        }
        self.own.push(id);
    }

    /// Only what was asked about before is asked about again.
    pub(super) fn check_recheck(&self, question: &SubscribeQuestion) {
        for filter in &question.filters {
            let known = self.cases.iter().any(|case| match &case.question {
                Question::Subscribe(subscribe) => {
                    let mut filters = subscribe.filters.iter();
                    filters.any(|asked| full(asked) == full(filter))
                }
                _ => false,
            });
            assert!(known, "{filter:?} is asked about out of nothing");
        }
    }

    fn check_allowed(&mut self, ticket: Ticket, sent: &Packet) {
        assert!(self.last < Some(ticket), "{ticket:?} after {:?}", self.last);
        self.last = Some(ticket);
        let found = self.cases.iter().rposition(|case| case.first == ticket);
        let index = found.expect("nobody was asked");
        assert!(!self.cases[index].forwarded, "{ticket:?} goes twice");
        self.cases[index].forwarded = true;
        let case = &self.cases[index];
        let (question, packet) = (case.question.clone(), case.packet.clone());
        match (&question, &packet, sent) {
            (Question::Connect(_), Packet::Connect(connect), Packet::Connect(sent)) => {
                self.check_admission();
                self.check_connect(connect, sent);
            }
            (Question::Publish(_), Packet::Publish(came), Packet::Publish(sent)) => {
                assert!(self.asks.is_allowed(ticket), "{sent:?} is not allowed");
                self.check_publish(&self.cases[index], came, sent);
                self.flows.forwarded(sent);
            }
            (
                Question::Subscribe(question),
                Packet::Subscribe {
                    id: came,
                    properties: own,
                    ..
                },
                Packet::Subscribe {
                    id,
                    properties,
                    filters,
                },
            ) => {
                assert_eq!((came, own), (id, properties));
                let sent = self.check_subscribe(ticket, question, filters);
                self.cases[index].sent_filters = sent;
            }
            (question, ..) => panic!("{sent:?} goes because of {question:?}"),
        }
    }

    /// The client's message, with its alias resolved, with what the service wants changed, and with
    /// what is left of its time.
    fn check_publish(&self, case: &Case, came: &Publish, sent: &Publish) {
        let mut before = Message::of(came, &case.topic);
        before.properties.retain(|(id, _)| *id != TOPIC_ALIAS);
        let waited = self.now - case.asked_at;
        let expiry = number(&before.properties, MESSAGE_EXPIRY);
        if let Some(expiry) = expiry.filter(|_| waited >= Duration::from_secs(1)) {
            let left = u64::from(expiry).saturating_sub(waited.as_secs());
            assert!(left > 0, "{sent:?} is out of date");
            for (id, value) in &mut before.properties {
                if *id == MESSAGE_EXPIRY {
                    *value = (left as u32).to_be_bytes().to_vec();
                }
            }
        }
        let outcome = self.asks.outcome(case.first);
        let mut expected = before.clone();
        if let Some(changes) = changes(outcome) {
            expected = before.changed(changes, self.mount.as_deref());
            expected.check(&before, changes, &self.rules);
        }
        assert_eq!(Message::of(sent, &sent.topic), expected);
        assert_eq!((sent.qos, sent.id, sent.dup), (came.qos, came.id, came.dup));
    }

    /// A question is about what is in the packet.
    pub(super) fn check_question(&mut self, question: &Question, packet: &Packet) {
        match (question, packet) {
            (Question::Connect(question), Packet::Connect(packet)) => {
                assert_eq!(question.client_id_assigned, packet.client_id.is_empty());
                assert!(question.client_id_assigned || question.client_id == packet.client_id);
                assert_eq!(question.username.as_deref(), packet.username.as_deref());
                let password = question.password.as_ref();
                let password = password.map(|password| password.expose().to_vec());
                assert_eq!(password, packet.password);
                self.client_takes = size(&packet.properties).unwrap_or(usize::MAX);
            }
            (Question::Will(question), Packet::Connect(packet)) => {
                let (_, topic, payload) = packet.will.as_ref().expect("a will");
                assert_eq!(question.topic, topic.as_str());
                assert_eq!(question.payload_size, payload.len());
            }
            (Question::Publish(question), Packet::Publish(publish)) => {
                let topic = &*self.step.topic;
                assert_eq!(question.topic, topic);
                assert!(!topic.is_empty() && !topic.contains(['+', '#', '\0']));
                assert_eq!(question.qos as u8, publish.qos);
                assert_eq!(question.retain, publish.retain);
                assert_eq!(question.dup, publish.dup);
                assert_eq!(question.payload_size, publish.payload.len());
                self.check_offer(publish);
            }
            (Question::Subscribe(question), Packet::Subscribe { filters, .. }) => {
                let mut filters = filters.iter();
                for asked in &question.filters {
                    let asked = (full(asked), options(asked));
                    assert!(filters.any(|filter| *filter == asked), "{asked:?}");
                }
            }
            _ => panic!("{question:?} about {packet:?}"),
        }
    }

    /// Nobody is asked about what the broker does not offer.
    fn check_offer(&self, publish: &Publish) {
        const MAXIMUM_QOS: u8 = 0x24;
        const RETAIN_AVAILABLE: u8 = 0x25;

        let offer = |id, default| number(&self.offer, id).unwrap_or(default);
        assert!(u32::from(publish.qos) <= offer(MAXIMUM_QOS, 2));
        assert!(!publish.retain || offer(RETAIN_AVAILABLE, 1) == 1);
    }

    /// The topic name that a PUBLISH means.
    pub(super) fn resolve(&mut self, publish: &Publish) -> String {
        let Some(alias) = packet::property(&publish.properties, TOPIC_ALIAS) else {
            return publish.topic.clone();
        };
        if publish.topic.is_empty() {
            return self.aliases.get(alias).cloned().unwrap_or_default();
        }
        self.aliases.insert(alias.to_vec(), publish.topic.clone());
        publish.topic.clone()
    }
}

/// Maximum Packet Size.
pub(super) fn size(properties: &Properties) -> Option<usize> {
    const MAXIMUM_PACKET_SIZE: u8 = 0x27;

    let size = packet::property(properties, MAXIMUM_PACKET_SIZE)?;
    usize::try_from(u32::from_be_bytes(size.try_into().ok()?)).ok()
}

/// The client's name of a filter below the mount.
fn unmounted(filter: &str, mount: &str) -> Option<String> {
    let (share, inner) = match filter
        .strip_prefix("$share/")
        .and_then(|rest| rest.split_once('/'))
    {
        Some((name, inner)) => (format!("$share/{name}/"), inner),
        None => (String::new(), filter),
    };
    let rest = inner.strip_prefix(mount)?;
    Some(format!("{share}{rest}"))
}
