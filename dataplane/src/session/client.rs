//! Who the client is, as the service is told: the gatekeeper's questions become checks.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use bytestring::ByteString;
use gatekeeper::{
    ConnectQuestion, FilterQuestion, PublishQuestion, Rules, Secret, SubscribeQuestion, Ticket,
    UserProperty, Version,
};
use tidegate_proto::v1;
use tokio::time::Instant;

use crate::{
    authz::{Body, Hook, Identity, Message, PublishBody, Seat, SessionBytes, Who, hook},
    events::SessionField,
    mount::Template,
    transport::Presented,
};

/// Where a connection came in, and what holds there.
#[derive(Debug, Clone)]
pub struct Origin {
    /// Name of the listener.
    pub listener: Arc<str>,
    /// The operator's constants for the listener.
    pub attributes: Arc<HashMap<String, String>>,
    /// What the client speaks.
    pub transport: v1::Transport,
    /// What the operator decided.
    pub rules: Arc<Rules>,
    /// Where the topics of its clients begin at the broker.
    pub mount: Option<Arc<Template>>,
    /// The client's address.
    pub peer: SocketAddr,
    /// The address at which it came in. `None`: it is not known whose the connection is.
    pub local: Option<SocketAddr>,
    /// When the connection was accepted: its time for the CONNECT began there.
    pub accepted_at: Instant,
    /// What the client has shown before its CONNECT.
    pub presented: Presented,
}

/// The client of a session: what every check says about it.
#[derive(Debug)]
pub(super) struct Client {
    session: v1::Session,
    /// The same as it travels.
    encoded: SessionBytes,
    /// Until the CONNECT: nothing else asks about it.
    peer: Option<Box<v1::Peer>>,
    who: Arc<Who>,
    seat: Arc<Seat>,
    /// In seconds; 0 is no bound.
    max_keep_alive: u16,
}

impl Client {
    /// Takes what the client has shown out of `origin`.
    pub(super) fn new(session_id: String, origin: &mut Origin) -> Self {
        let presented = std::mem::take(&mut origin.presented);
        Self {
            who: Arc::new(Who {
                session_id: session_id.clone(),
                ..Who::default()
            }),
            encoded: SessionBytes::default(),
            seat: Arc::new(Seat::new(origin.peer.ip())),
            max_keep_alive: origin.rules.limits.max_keep_alive,
            session: v1::Session {
                session_id,
                listener: origin.listener.to_string(),
                attributes: (*origin.attributes).clone(),
                ..v1::Session::default()
            },
            peer: Some(Box::new(v1::Peer {
                ip: origin.peer.ip().to_canonical().to_string(),
                port: origin.peer.port().into(),
                transport: origin.transport.into(),
                tls: presented.tls.map(|tls| *tls),
                http_headers: presented.http_headers,
            })),
        }
    }

    /// Who asks, for the decision log.
    pub(super) fn who(&self) -> &Arc<Who> {
        &self.who
    }

    /// The session, for the lanes.
    pub(super) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// The session, for those who hear of it afterwards.
    pub(super) fn as_told(&self, with_state: bool) -> SessionField {
        SessionField::new(&self.session, with_state)
    }

    /// The service has said who this is: every later check carries it.
    pub(super) fn identify(&mut self, identity: Identity) {
        self.who = Arc::new(Who {
            principal: identity.principal.clone(),
            ..(*self.who).clone()
        });
        self.session.principal = identity.principal;
        self.session.session_state = identity.session_state;
        self.encoded = SessionBytes::from(&self.session);
        self.seat.identify(&self.session.principal);
    }

    pub(super) fn connect_check(
        &mut self,
        ticket: Ticket,
        question: ConnectQuestion,
    ) -> Message<hook::Connect> {
        self.session.client_id = question.client_id.to_string();
        self.session.username = question.username.as_ref().map(ToString::to_string);
        self.session.protocol_version = match question.version {
            Version::V31 => v1::ProtocolVersion::Mqtt31,
            Version::V311 => v1::ProtocolVersion::Mqtt311,
            Version::V5 => v1::ProtocolVersion::Mqtt50,
        }
        .into();
        self.who = Arc::new(Who {
            session_id: self.session.session_id.clone(),
            client_id: self.session.client_id.clone(),
            username: self.session.username.clone(),
            principal: String::new(),
        });
        self.encoded = SessionBytes::from(&self.session);
        self.seat
            .set_patience(Duration::from_secs(self.keep_alive(&question).into()));
        let check = v1::ConnectCheck {
            metadata: None,
            session: None,
            peer: self.peer.take().map(|peer| *peer),
            password: question.password.as_ref().map(Secret::expose).cloned(),
            auth_method: None,
            auth_data: None,
            clean_start: question.clean_start,
            keep_alive_seconds: question.keep_alive.into(),
            session_expiry_seconds: question.session_expiry,
            client_id_assigned: question.client_id_assigned,
            will: question.will.map(|will| v1::Will {
                topic: will.topic.to_string(),
                qos: will.qos as u32,
                retain: will.retain,
                payload_size: size(will.payload_size),
            }),
            user_properties: user_properties(question.user_properties),
        };
        self.message(ticket, &check)
    }

    /// The keep alive that will hold, in seconds; 0 is none. An MQTT 5 client has the gate's if its own is
    /// longer.
    fn keep_alive(&self, question: &ConnectQuestion) -> u16 {
        let (asked, max) = (question.keep_alive, self.max_keep_alive);
        match question.version {
            Version::V5 if max > 0 && (asked == 0 || asked > max) => max,
            _ => asked,
        }
    }

    pub(super) fn publish_check<'a, H>(
        &self,
        ticket: Ticket,
        question: &'a PublishQuestion,
        origin: v1::PublishOrigin,
    ) -> Message<H>
    where
        H: Hook,
        PublishBody<'a>: Body<H>,
    {
        self.message(ticket, &PublishBody::new(question, origin))
    }

    /// One check per filter.
    pub(super) fn subscribe_checks(
        &self,
        first: Ticket,
        question: SubscribeQuestion,
    ) -> impl Iterator<Item = (Ticket, ByteString, Message<hook::Subscribe>)> {
        let properties = user_properties(question.user_properties);
        question
            .filters
            .into_iter()
            .enumerate()
            .map(move |(index, filter)| {
                let ticket = first.filter(index);
                let text = filter.filter.clone();
                (
                    ticket,
                    text,
                    self.subscribe_check(ticket, filter, &properties),
                )
            })
    }

    fn subscribe_check(
        &self,
        ticket: Ticket,
        filter: FilterQuestion,
        user_properties: &[v1::UserProperty],
    ) -> Message<hook::Subscribe> {
        let check = v1::SubscribeCheck {
            metadata: None,
            session: None,
            topic_filter: filter.filter.to_string(),
            share_name: text(filter.share_name),
            qos: filter.qos as u32,
            no_local: filter.no_local,
            retain_as_published: filter.retain_as_published,
            retain_handling: filter.retain_handling.into(),
            user_properties: user_properties.to_vec(),
        };
        self.message(ticket, &check)
    }

    /// A ticket is the sequence number of its check. Item id and trace context are added on the way.
    fn message<H: Hook>(&self, ticket: Ticket, body: &impl Body<H>) -> Message<H> {
        Message::new(ticket.sequence(), SystemTime::now(), &self.encoded, body)
    }
}

fn user_properties(properties: Vec<UserProperty>) -> Vec<v1::UserProperty> {
    properties
        .into_iter()
        .map(|property| v1::UserProperty {
            key: property.key.to_string(),
            value: property.value.to_string(),
        })
        .collect()
}

fn text(text: Option<ByteString>) -> String {
    text.map(|text| text.to_string()).unwrap_or_default()
}

/// No payload reaches 4 GiB: an MQTT packet ends at 256 MiB.
fn size(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
