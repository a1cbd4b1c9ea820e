//! What goes to the broker: nothing but what was allowed, as it was asked about, once and in order;
//! and kinds of packets that need no verdict.

use gatekeeper::{
    Admitted, Allow, Basis, Exempt, FilterQuestion, PublishQuestion, Question, Ticket, Verdict,
};

use super::{super::SPARE_CLIENT_ID, Case, Judge, TOPIC_ALIAS};
use crate::packet::{self, Connect, PUBACK, PUBCOMP, PUBREC, PUBREL, Packet, Properties, Publish};

const MESSAGE_EXPIRY: u8 = 0x02;

/// Clean Start, Clean Session: in the flags of a CONNECT.
const CLEAN: u8 = 1 << 1;

impl Judge {
    /// The CONNECT is allowed, and so is its will.
    pub(super) fn check_admission(&self) {
        let allowed = |case: &Case| self.asks.is_allowed(case.first);
        let connect = self.cases.first().expect("a CONNECT");
        assert!(allowed(connect), "the CONNECT is not allowed");
        if let Packet::Connect(Connect { will: Some(_), .. }) = &connect.packet
            && !self.drops_will()
        {
            let will = self.cases.get(1).expect("a will");
            assert!(matches!(will.question, Question::Will(_)) && allowed(will));
        }
    }

    fn drops_will(&self) -> bool {
        let outcome = self
            .cases
            .first()
            .and_then(|case| self.asks.outcome(case.first));
        matches!(outcome, Some(Verdict::Allow(Allow::Connect(allow))) if allow.drop_will)
    }

    pub(super) fn broker_gets(&mut self, admitted: Admitted) {
        let basis = admitted.basis();
        let bytes = admitted.into_bytes();
        let version = self.version.expect("a CONNECT came before");
        let packet = packet::read(version, &bytes);
        let packet = packet.unwrap_or_else(|| panic!("{bytes:02x?} is not one packet"));
        assert!(self.reached, "{packet:?} before there is a broker");
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
            _ => assert!(is_exempt(rule, packet), "{packet:?} is no {rule:?}"),
        }
        assert!(self.connected, "{packet:?} before the CONNACK");
    }

    fn check_allowed(&mut self, ticket: Ticket, sent: &Packet) {
        assert!(self.last < Some(ticket), "{ticket:?} after {:?}", self.last);
        self.last = Some(ticket);
        let found = self.cases.iter().rposition(|case| case.first == ticket);
        let index = found.expect("nobody was asked");
        assert!(!self.cases[index].forwarded, "{ticket:?} goes twice");
        self.cases[index].forwarded = true;
        let case = &self.cases[index];
        match (&case.question, &case.packet, sent) {
            (Question::Connect(_), Packet::Connect(connect), Packet::Connect(sent)) => {
                self.check_admission();
                self.check_connect(ticket, connect, sent);
                self.sent_clean = sent.flags & CLEAN != 0;
            }
            (Question::Publish(question), Packet::Publish(came), Packet::Publish(sent)) => {
                assert!(self.asks.is_allowed(ticket), "{sent:?} is not allowed");
                check_publish(question, came, sent);
                self.flows.forwarded(sent);
            }
            (
                Question::Subscribe(question),
                Packet::Subscribe { id: came, .. },
                Packet::Subscribe { id, filters, .. },
            ) => {
                assert_eq!(came, id);
                let asked = question.filters.iter().enumerate();
                let allowed = asked
                    .filter(|(index, _)| self.asks.is_allowed(ticket.filter(*index)))
                    .map(|(_, filter)| (full(filter), options(filter)));
                assert!(
                    allowed.eq(filters.iter().cloned()),
                    "{filters:?} of {question:?}"
                );
            }
            (question, ..) => panic!("{sent:?} goes because of {question:?}"),
        }
    }

    fn check_connect(&self, ticket: Ticket, came: &Connect, sent: &Connect) {
        let id = match self.asks.outcome(ticket) {
            Some(Verdict::Allow(Allow::Connect(allow))) => allow.broker_client_id.as_deref(),
            _ => None,
        };
        let id = id.unwrap_or(match came.client_id.as_str() {
            "" => SPARE_CLIENT_ID,
            id => id,
        });
        assert_eq!(sent.client_id, id);
        assert_eq!(sent.username, came.username);
        assert_eq!(sent.password, came.password);
        assert!(sent.will == came.will || self.drops_will());
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

fn check_publish(question: &PublishQuestion, came: &Publish, sent: &Publish) {
    assert_eq!(sent.topic, question.topic.as_ref() as &str);
    let as_came =
        (sent.qos, sent.id, sent.dup, sent.retain) == (came.qos, came.id, came.dup, came.retain);
    assert!(as_came, "{sent:?} of {came:?}");
    assert_eq!(sent.payload, came.payload);
    let kept = |publish: &Publish| {
        let mut properties = publish.properties.clone();
        properties.retain(|(id, _)| ![TOPIC_ALIAS, MESSAGE_EXPIRY].contains(id));
        properties
    };
    assert_eq!(kept(sent), kept(came));
    let alias = packet::property(&sent.properties, TOPIC_ALIAS);
    assert_eq!(alias, None, "an alias goes to the broker");
}

/// The filter as a client writes it.
pub(super) fn full(question: &FilterQuestion) -> String {
    match &question.share_name {
        Some(name) => format!("$share/{name}/{}", question.filter),
        None => question.filter.to_string(),
    }
}

fn options(question: &FilterQuestion) -> u8 {
    question.qos as u8
        | u8::from(question.no_local) << 2
        | u8::from(question.retain_as_published) << 3
        | question.retain_handling << 4
}

fn is_exempt(rule: Exempt, packet: &Packet) -> bool {
    matches!(
        (rule, packet),
        (
            Exempt::Acknowledgement,
            Packet::Ack {
                kind: PUBACK | PUBREC | PUBCOMP,
                ..
            }
        ) | (Exempt::Unsubscribe, Packet::Unsubscribe { .. })
            | (Exempt::Ping, Packet::Pingreq)
            | (Exempt::Disconnect, Packet::Disconnect { .. })
    )
}
