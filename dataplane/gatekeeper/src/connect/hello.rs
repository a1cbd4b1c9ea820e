//! The CONNECT of a client: what is asked about it, and what the gate refuses unasked.

use bytestring::ByteString;

use crate::{
    close::CloseReason,
    frame::Frame,
    question::{ConnectQuestion, PublishQuestion},
    reason::ReasonCode,
    rules::{Limits, Rules},
    topic,
    violation::Violation,
    wire::{
        connect::{Connect, Will},
        properties,
    },
};

use super::refuse::Recipient;

/// The CONNECT of a client.
#[derive(Debug)]
pub(crate) struct Hello {
    pub(crate) connect: Connect,
    pub(super) frame: Frame,
    /// The client's own identifier, or the one that the gate chose for it.
    pub(super) client_id: ByteString,
    pub(super) assigned: bool,
    /// Whether the subscriptions of the session, if it has any, are to be asked about.
    pub(crate) recheck: bool,
}

/// What the gate has against a CONNECT, whatever the service would say.
pub(super) struct Objection {
    pub(super) code: ReasonCode,
    pub(super) reason: CloseReason,
}

impl Hello {
    /// `spare_client_id` is for a client that sends none [MQTT-3.1.3-6].
    pub(super) fn new(connect: Connect, frame: Frame, spare_client_id: ByteString) -> Self {
        let assigned = connect.client_id.is_empty();
        Self {
            client_id: if assigned {
                spare_client_id
            } else {
                connect.client_id.clone()
            },
            assigned,
            recheck: false,
            connect,
            frame,
        }
    }

    /// Whom a CONNACK is written for.
    pub(super) fn recipient(&self) -> Recipient {
        Recipient {
            version: self.connect.version,
            takes: self.connect.properties.maximum_packet_size,
        }
    }

    /// Looks for what nobody needs to be asked about.
    pub(super) fn check(&self, rules: &Rules) -> Result<(), Objection> {
        if self.connect.properties.auth_method.is_some() {
            // The service would judge a claimed user name while the broker authenticates another.
            return Err(Objection {
                code: ReasonCode::BAD_AUTHENTICATION_METHOD,
                reason: CloseReason::BadAuthenticationMethod,
            });
        }
        self.check_user_properties(&rules.limits)?;
        match &self.connect.will {
            Some(will) => check_will(will, rules),
            None => Ok(()),
        }
    }

    /// Those of the CONNECT and of its will are in one packet.
    fn check_user_properties(&self, limits: &Limits) -> Result<(), Objection> {
        let will = self.connect.will.as_ref();
        let will = will.map_or((0, 0), |will| will.raw_properties.user_properties());
        let own = self.connect.properties.raw.user_properties();
        let (count, bytes) = (own.0 + will.0, own.1 + will.1);
        properties::check_user_properties(count, bytes, limits.user_properties())?;
        Ok(())
    }

    pub(super) fn question(&self) -> ConnectQuestion {
        let connect = &self.connect;
        ConnectQuestion {
            version: connect.version,
            client_id: self.client_id.clone(),
            client_id_assigned: self.assigned,
            username: connect.username.clone(),
            password: connect.password.clone(),
            clean_start: connect.clean_start,
            keep_alive: connect.keep_alive,
            session_expiry: connect.properties.session_expiry,
            will: connect.will.as_ref().map(will_question),
            user_properties: connect.properties.user_properties.clone(),
        }
    }
}

impl From<Violation> for Objection {
    fn from(violation: Violation) -> Self {
        Self {
            code: violation.code,
            reason: CloseReason::ClientViolation(violation),
        }
    }
}

/// Every broker reads something else out of a topic that begins with `$`: statistics, control, a
/// delay, a share. Only an operator who knows the broker can let a will go there.
fn check_will(will: &Will, rules: &Rules) -> Result<(), Objection> {
    if will.topic.starts_with('$') && !rules.allow_dollar_wills {
        return Err(Objection {
            code: ReasonCode::TOPIC_NAME_INVALID,
            reason: CloseReason::WillDenied,
        });
    }
    topic::check_levels(&will.topic, rules.limits.max_topic_levels)?;
    let is_text = will.payload_format_indicator == Some(true);
    if is_text && rules.check_payload_format && std::str::from_utf8(&will.payload).is_err() {
        return Err(Violation::new(
            ReasonCode::PAYLOAD_FORMAT_INVALID,
            "will payload is not the UTF-8 that it is said to be",
            "§3.1.3.2.3",
        )
        .into());
    }
    Ok(())
}

/// What is asked about a will.
pub(super) fn will_question(will: &Will) -> PublishQuestion {
    PublishQuestion {
        topic: will.topic.clone(),
        qos: will.qos,
        retain: will.retain,
        dup: false,
        payload_size: will.payload.len(),
        content_type: will.content_type.clone(),
        response_topic: will.response_topic.clone(),
        user_properties: will.user_properties.clone(),
    }
}
