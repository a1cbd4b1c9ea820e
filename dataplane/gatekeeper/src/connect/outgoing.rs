//! The CONNECT that the broker gets: the client's, with what service and operator want changed.

use bytes::Bytes;

use crate::{
    change::{self, Invalid, Original},
    keepalive,
    mount::{self, Mount},
    question::Version,
    rules::{Limits, Resume, Rules},
    verdict::{ConnectAllow, PublishChanges},
    wire::connect::{Connect, Will},
};

use super::Hello;

/// The longest session that the client may ask the broker for, in seconds.
pub(super) fn max_session_expiry(allow: &ConnectAllow, limits: &Limits) -> u32 {
    let asked = allow.max_session_expiry.unwrap_or(u32::MAX);
    asked.min(limits.max_session_expiry)
}

/// Changes the CONNECT as far as the service's allow and the rules want it. What would not be MQTT
/// is no change at all but a failure.
pub(super) fn connect(
    hello: &Hello,
    allow: &ConnectAllow,
    rules: &Rules,
) -> Result<Connect, Invalid> {
    let mut connect = hello.connect.clone();
    connect.client_id = hello.client_id.clone();
    bound_session(&mut connect, allow, rules)?;
    if connect.version == Version::V5 {
        connect.keep_alive = keepalive::bounded(connect.keep_alive, rules.limits.max_keep_alive);
        bound_deliveries(&mut connect, &rules.limits)?;
    }
    name(&mut connect, allow)?;
    mount(&mut connect, allow)?;
    if allow.drop_will {
        connect.will = None;
    }
    // A will goes out when its session ends [MQTT-3.1.3-9]. There are brokers that forget it then if its
    // delay is not over, but none that does so for a session that ends with its connection.
    let session = connect.properties.session_expiry;
    let session = session.filter(|seconds| *seconds > 0);
    if let Some(will) = &mut connect.will {
        let most = rules.limits.max_will_delay;
        let most = session.map_or(most, |session| most.min(session));
        if will.delay > most {
            will.set_delay(most).map_err(|_| Invalid)?;
        }
    }
    Ok(connect)
}

/// Writes it: the client's own bytes, if nothing of it was changed.
pub(super) fn encode(connect: &Connect, hello: &Hello) -> Result<Bytes, Invalid> {
    if *connect == hello.connect && hello.connect.flags_agree {
        return Ok(hello.frame.clone().into_canonical());
    }
    connect.encode(&connect.client_id).map_err(|_| Invalid)
}

/// How long the session lives, and whether it begins anew.
fn bound_session(
    connect: &mut Connect,
    allow: &ConnectAllow,
    rules: &Rules,
) -> Result<(), Invalid> {
    let most = max_session_expiry(allow, &rules.limits);
    // MQTT 3.x has two lengths: until the connection ends, and for ever.
    let ends_at_once = connect.version.is_v3() && most == 0;
    if allow.force_clean_start || rules.resume == Resume::ForceClean || ends_at_once {
        connect.clean_start = true;
    }
    if connect
        .properties
        .session_expiry
        .is_some_and(|asked| asked > most)
    {
        connect
            .properties
            .set_session_expiry(most)
            .map_err(|_| Invalid)?;
    }
    Ok(())
}

/// What is too large for the gate the broker has to drop [MQTT-3.1.2-25]: here it would end the session,
/// and a retained message would end each that follows. MQTT 3.x has no word for it.
fn bound_deliveries(connect: &mut Connect, limits: &Limits) -> Result<(), Invalid> {
    let most = limits.max_downlink_packet_size;
    let asked = connect.properties.maximum_packet_size;
    if !limits.announce_downlink_size || asked.is_some_and(|asked| asked as usize <= most) {
        return Ok(());
    }
    let most = u32::try_from(most).map_err(|_| Invalid)?;
    connect
        .properties
        .set_maximum_packet_size(most)
        .map_err(|_| Invalid)
}

/// Who the broker takes the client for.
fn name(connect: &mut Connect, allow: &ConnectAllow) -> Result<(), Invalid> {
    if let Some(id) = &allow.broker_client_id {
        change::string(id)?;
        // A name of the broker's choice [3.1.1: MQTT-3.1.3-7] [MQTT-3.1.3-6].
        let may_be_empty = match connect.version {
            Version::V31 => false,
            Version::V311 => connect.clean_start,
            Version::V5 => true,
        };
        if id.is_empty() && !may_be_empty {
            return Err(Invalid);
        }
        connect.client_id = id.clone();
    }
    if let Some(username) = &allow.broker_username {
        change::string(username)?;
        connect.username = Some(username.clone());
    }
    if let Some(password) = &allow.broker_password {
        if password.expose().len() > usize::from(u16::MAX) {
            return Err(Invalid);
        }
        connect.password = Some(password.clone());
    }
    // [3.1.1: MQTT-3.1.2-22]
    if connect.version.is_v3() && connect.password.is_some() && connect.username.is_none() {
        return Err(Invalid);
    }
    Ok(())
}

/// Deliveries of a mounted session are written anew, and an alias for a topic that the client never
/// gets to see would be of no use.
fn mount(connect: &mut Connect, allow: &ConnectAllow) -> Result<(), Invalid> {
    let Some(mount) = &allow.mount else {
        return Ok(());
    };
    if !mount::check(mount) {
        return Err(Invalid);
    }
    connect.properties.forgo_topic_aliases();
    Ok(())
}

impl Will {
    /// The will with the changes of the service, under the rules for a PUBLISH.
    pub(super) fn change(
        &mut self,
        changes: PublishChanges,
        version: Version,
        mount: Option<&Mount>,
        limits: &Limits,
    ) -> Result<(), Invalid> {
        let original = Original {
            version,
            retain: self.retain,
            is_empty: self.payload.is_empty(),
        };
        change::check(&changes, original, limits)?;
        self.raw_properties = change::properties(&self.raw_properties, &changes)?;
        change::check_user_properties(&self.raw_properties, limits)?;
        if let (Some(mount), Some(topic), Some(response)) =
            (mount, &changes.topic, &self.response_topic)
            && mount.maps(&self.topic, topic)
        {
            self.raw_properties = mount
                .reply_to(response, &self.raw_properties)
                .ok_or(Invalid)?;
        }

        let removed = changes.user_property_keys_to_remove;
        self.user_properties
            .retain(|property| !removed.contains(&property.key));
        self.user_properties.extend(changes.user_properties_to_add);
        self.topic = changes.topic.unwrap_or_else(|| self.topic.clone());
        self.retain = changes.retain.unwrap_or(self.retain);
        if let Some(payload) = changes.payload {
            // Longer than a length field can say it is not written, and so a failure too.
            self.payload = payload;
            self.payload_format_indicator = changes.payload_format_indicator;
        }
        Ok(())
    }
}
