//! CONNECT and CONNACK: who the broker takes the client for, and what the client is told.

use gatekeeper::{Allow, ConnectAllow, PublishChanges, Question, Resume, Verdict, Version};

use super::{
    super::SPARE_CLIENT_ID,
    Case, Judge,
    downlink::Downlink,
    message::{Message, content, text},
};
use crate::packet::{self, Connect, Packet, Properties};

/// Clean Start, Clean Session.
const CLEAN: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_RETAIN: u8 = 1 << 5;
const WILL_FLAGS: u8 = WILL | 3 << 3 | WILL_RETAIN;
const PASSWORD: u8 = 1 << 6;
const USERNAME: u8 = 1 << 7;

const SESSION_EXPIRY: u8 = 0x11;
const ASSIGNED_CLIENT_ID: u8 = 0x12;
const SERVER_KEEP_ALIVE: u8 = 0x13;
const WILL_DELAY: u8 = 0x18;
const RESPONSE_INFORMATION: u8 = 0x1A;
const SERVER_REFERENCE: u8 = 0x1C;
const REASON_STRING: u8 = 0x1F;
const RECEIVE_MAXIMUM: u8 = 0x21;
const TOPIC_ALIAS_MAXIMUM: u8 = 0x22;
const USER_PROPERTY: u8 = 0x26;
const MAXIMUM_PACKET_SIZE: u8 = 0x27;

impl Judge {
    /// The service's yes to the CONNECT.
    fn admission(&self) -> Option<&ConnectAllow> {
        let case = self.cases.first()?;
        match self.asks.outcome(case.first)? {
            Verdict::Allow(Allow::Connect(allow)) => Some(allow),
            _ => None,
        }
    }

    /// The CONNECT is allowed, and so is its will.
    pub(super) fn check_admission(&self) {
        let connect = self.cases.first().expect("a CONNECT");
        let allow = self.admission().expect("the CONNECT is allowed");
        if let Packet::Connect(Connect { will: Some(_), .. }) = &connect.packet
            && !allow.drop_will
        {
            let will = self.cases.get(1).expect("a will");
            let is_will = matches!(will.question, Question::Will(_));
            assert!(is_will && self.asks.is_allowed(will.first));
        }
    }

    /// The CONNECT for the broker is the client's, with what service and operator want changed.
    pub(super) fn check_connect(&mut self, came: &Connect, sent: &Connect) {
        let version = self.version.expect("it was asked about");
        let allow = self.admission().expect("it is allowed").clone();
        let most = self.longest_session(&allow);
        let mut expected = came.clone();
        if expected.client_id.is_empty() {
            SPARE_CLIENT_ID.clone_into(&mut expected.client_id);
        }
        if let Some(id) = &allow.broker_client_id {
            expected.client_id = id.to_string();
        }
        if let Some(name) = &allow.broker_username {
            expected.username = Some(name.to_string());
        }
        if let Some(password) = &allow.broker_password {
            expected.password = Some(password.expose().to_vec());
        }
        let mut flags = came.flags & !(USERNAME | PASSWORD);
        flags |= if expected.username.is_some() {
            USERNAME
        } else {
            0
        };
        flags |= if expected.password.is_some() {
            PASSWORD
        } else {
            0
        };
        let ends_at_once = version.is_v3() && most == 0;
        if allow.force_clean_start || self.rules.resume == Resume::ForceClean || ends_at_once {
            flags |= CLEAN;
        }
        if version == Version::V5 {
            let longest = self.rules.limits.max_keep_alive;
            expected.keep_alive = bounded(came.keep_alive, longest);
            lower(&mut expected.properties, SESSION_EXPIRY, most);
            let carries = self.rules.limits.max_downlink_packet_size as u32;
            match number(&expected.properties, MAXIMUM_PACKET_SIZE) {
                _ if !self.rules.limits.announce_downlink_size => {}
                Some(_) => lower(&mut expected.properties, MAXIMUM_PACKET_SIZE, carries),
                None => {
                    let added = (MAXIMUM_PACKET_SIZE, carries.to_be_bytes().to_vec());
                    expected.properties.push(added);
                }
            }
        }
        if let Some(mount) = &allow.mount {
            let legal = mount.ends_with('/') && !mount.starts_with('$');
            assert!(legal && !mount.contains(['+', '#', '\0']), "{mount:?}");
            expected
                .properties
                .retain(|(id, _)| *id != TOPIC_ALIAS_MAXIMUM);
        }
        if allow.drop_will {
            expected.will = None;
            flags &= !WILL_FLAGS;
        }
        if let Some(will) = &mut expected.will {
            // A will does not outlast a session that outlasts its connection.
            let session =
                number(&expected.properties, SESSION_EXPIRY).filter(|seconds| *seconds > 0);
            let most = self.rules.limits.max_will_delay;
            let most = most.min(session.unwrap_or(u32::MAX));
            lower(&mut will.0, WILL_DELAY, most);
            self.change_will(will, &mut flags, allow.mount.as_deref());
        }
        expected.flags = flags;
        assert_eq!(*sent, expected);
        assert_eq!(self.dialled.as_ref(), Some(&sent.client_id));

        let nameless = sent.client_id.is_empty();
        match version {
            Version::V31 => assert!(!nameless),
            Version::V311 => assert!(!nameless || flags & CLEAN != 0),
            Version::V5 => {}
        }
        assert!(version == Version::V5 || sent.password.is_none() || sent.username.is_some());
        self.sent_clean = flags & CLEAN != 0;
        self.sent_expiry = number(&sent.properties, SESSION_EXPIRY).unwrap_or(0);
        self.sent_keep_alive = sent.keep_alive;
        self.sent_will = sent.will.is_some();
        self.mount = allow.mount.map(Into::into);
        let at_once = number(&came.properties, RECEIVE_MAXIMUM).unwrap_or(u16::MAX.into());
        self.downlink = Downlink::new(at_once);
    }

    fn change_will(
        &self,
        will: &mut (Properties, String, Vec<u8>),
        flags: &mut u8,
        mount: Option<&str>,
    ) {
        let outcome = self
            .cases
            .get(1)
            .and_then(|case| self.asks.outcome(case.first));
        let Some(Verdict::Allow(Allow::Publish(Some(changes)))) = outcome else {
            return;
        };
        let before = Message {
            topic: will.1.clone(),
            retain: *flags & WILL_RETAIN != 0,
            payload: will.2.clone(),
            properties: will.0.clone(),
        };
        let after = before.changed(changes, mount);
        after.check(&before, changes, &self.rules);
        *flags = *flags & !WILL_RETAIN | if after.retain { WILL_RETAIN } else { 0 };
        *will = (after.properties, after.topic, after.payload);
    }

    pub(super) fn longest_session(&self, allow: &ConnectAllow) -> u32 {
        let most = self.rules.limits.max_session_expiry;
        allow
            .max_session_expiry
            .map_or(most, |asked| asked.min(most))
    }

    /// The client's CONNACK of a session that begins, out of the broker's.
    pub(super) fn check_connack(&mut self, broker: &[u8], client: &[u8]) {
        let version = self.version.expect("a CONNECT came before");
        let Some(Packet::Connack {
            session_present,
            code,
            properties: mut before,
        }) = packet::read(version, broker)
        else {
            panic!("a success out of {broker:02x?}");
        };
        assert_eq!(code, 0, "a success out of a refusal");
        self.resumed = match version {
            Version::V31 => !self.sent_clean,
            Version::V311 | Version::V5 => session_present,
        };
        let nobodys = session_present && self.sent_clean && version != Version::V31;
        assert!(!nobodys, "a session that nobody asked for");
        match version {
            Version::V31 => return assert_eq!(client, [0x20, 2, 0, 0]),
            Version::V311 => return assert_eq!(client, broker),
            Version::V5 => {}
        }
        assert!(client.len() <= self.client_takes, "{client:02x?}");
        self.offer = before.clone();
        self.broker_takes = super::broker::size(&before).unwrap_or(usize::MAX);
        let expected = self.told(&before);
        let Some(Packet::Connack {
            session_present: present,
            properties: mut after,
            ..
        }) = packet::read(version, client)
        else {
            panic!("{client:02x?} is no CONNACK");
        };
        assert_eq!(present, session_present);
        for (id, value) in expected {
            let found = packet::property(&after, id);
            assert_eq!(found, value.as_deref(), "property {id:#04x}");
            before.retain(|(found, _)| *found != id);
            after.retain(|(found, _)| *found != id);
        }
        // What only explains goes if there is no room for it.
        for explains in [REASON_STRING, USER_PROPERTY] {
            if before != after {
                let dropped = before.iter().filter(|(id, _)| *id == explains);
                let size: usize = dropped.map(|(_, value)| value.len() + 1).sum();
                assert!(client.len() + size > self.client_takes, "{explains:#04x}");
                before.retain(|(id, _)| *id != explains);
            }
        }
        assert_eq!(before, after, "the other properties");
    }

    /// What stands in the CONNACK in the place of the broker's words.
    fn told(&mut self, broker: &Properties) -> Vec<(u8, Option<Vec<u8>>)> {
        let allow = self.admission().expect("it is allowed").clone();
        let limits = &self.rules.limits;
        let Some(Packet::Connect(asked)) = self.cases.first().map(|case| &case.packet) else {
            panic!("a CONNACK for nothing");
        };
        let theirs = |id| packet::property(broker, id).map(<[u8]>::to_vec);
        let size = number(broker, MAXIMUM_PACKET_SIZE).unwrap_or(u32::MAX);
        let size = size.min(u32::try_from(limits.max_packet_size).unwrap_or(u32::MAX));
        let receive = number(broker, RECEIVE_MAXIMUM).unwrap_or(u16::MAX.into());
        let receive = receive.min(limits.receive_maximum.into()) as u16;
        let server = number(broker, SERVER_KEEP_ALIVE);
        let keep_alive = server.map_or(self.sent_keep_alive, |seconds| {
            bounded(seconds as u16, limits.max_keep_alive)
        });
        let is_news = server.is_some() || keep_alive != asked.keep_alive;
        let most = self.longest_session(&allow);
        let expiry = match number(&asked.properties, SESSION_EXPIRY) {
            Some(asked) if asked > most => {
                let granted = number(broker, SESSION_EXPIRY).unwrap_or(most).min(most);
                Some(granted.to_be_bytes().to_vec())
            }
            _ => theirs(SESSION_EXPIRY),
        };
        let id = match (asked.client_id.as_str(), &allow.broker_client_id) {
            ("", _) => Some(text(SPARE_CLIENT_ID)),
            (_, Some(_)) => None,
            (_, None) => theirs(ASSIGNED_CLIENT_ID),
        };
        let reference = theirs(SERVER_REFERENCE).filter(|_| self.rules.pass_server_reference);
        let information = theirs(RESPONSE_INFORMATION);
        let information = match &allow.mount {
            None => information,
            Some(mount) => information
                .as_deref()
                .and_then(|value| content(value).strip_prefix(&**mount))
                .filter(|rest| !rest.is_empty())
                .map(text),
        };
        let keep_alive = is_news.then(|| keep_alive.to_be_bytes().to_vec());
        let aliases = limits.topic_alias_maximum.to_be_bytes().to_vec();
        self.receive_maximum = receive.into();
        vec![
            (TOPIC_ALIAS_MAXIMUM, Some(aliases)),
            (MAXIMUM_PACKET_SIZE, Some(size.to_be_bytes().to_vec())),
            (RECEIVE_MAXIMUM, Some(receive.to_be_bytes().to_vec())),
            (SERVER_KEEP_ALIVE, keep_alive),
            (SESSION_EXPIRY, expiry),
            (ASSIGNED_CLIENT_ID, id),
            (SERVER_REFERENCE, reference),
            (RESPONSE_INFORMATION, information),
        ]
    }

    /// A refusal, the broker's or the gate's.
    pub(super) fn check_refusal(&self, properties: &Properties, length: usize) {
        if self.version == Some(Version::V5) {
            assert!(length <= self.client_takes, "{length} bytes of CONNACK");
        }
        let reference = packet::property(properties, SERVER_REFERENCE);
        let is_brokers = self.step.came.is_some();
        let hidden = is_brokers && !self.rules.pass_server_reference;
        assert!(reference.is_none() || !hidden, "{reference:02x?}");
    }

    /// The client's DISCONNECT as the broker may have it.
    pub(super) fn check_goodbye(&mut self, code: u8, properties: &Properties) {
        let Some((said, came)) = self.goodbye.take() else {
            panic!("a DISCONNECT that the client did not send");
        };
        // There are brokers that forget the will of a client that says why it fails.
        let is_failure = self.sent_will && said >= 0x80;
        assert_eq!(code, if is_failure { 4 } else { said });
        let asked = self.cases.first().map(|case: &Case| match &case.packet {
            Packet::Connect(connect) => number(&connect.properties, SESSION_EXPIRY).unwrap_or(0),
            _ => 0,
        });
        let most = self.admission().map(|allow| self.longest_session(allow));
        let most = most.expect("it is allowed");
        let expected = match number(&came, SESSION_EXPIRY) {
            Some(seconds) if asked == Some(0) => {
                assert_eq!(seconds, 0, "it is raised from 0");
                Some(0)
            }
            Some(_) if self.sent_expiry == 0 => None,
            seconds => seconds.map(|seconds| seconds.min(most)),
        };
        assert_eq!(number(properties, SESSION_EXPIRY), expected);
        let rest = |properties: &Properties| {
            let mut rest = properties.clone();
            rest.retain(|(id, _)| *id != SESSION_EXPIRY);
            rest
        };
        let came = if is_failure { Properties::new() } else { came };
        assert_eq!(rest(properties), rest(&came));
    }
}

/// The changes of a message, if there are any.
pub(super) fn changes(verdict: Option<&Verdict>) -> Option<&PublishChanges> {
    match verdict {
        Some(Verdict::Allow(Allow::Publish(changes))) => changes.as_deref(),
        _ => None,
    }
}

fn bounded(seconds: u16, most: u16) -> u16 {
    match most {
        0 => seconds,
        most if seconds == 0 => most,
        most => seconds.min(most),
    }
}

/// Makes a number of seconds smaller.
fn lower(properties: &mut Properties, id: u8, most: u32) {
    for (_, value) in properties.iter_mut().filter(|(found, _)| *found == id) {
        let seconds = value
            .iter()
            .fold(0, |all, byte| all << 8 | u32::from(*byte));
        *value = seconds.min(most).to_be_bytes().to_vec();
    }
}

/// The value of a property that is a number.
pub(super) fn number(properties: &Properties, id: u8) -> Option<u32> {
    let value = packet::property(properties, id)?;
    let number = value
        .iter()
        .fold(0, |all, byte| all << 8 | u32::from(*byte));
    Some(number)
}
