//! What the service's changes make of a message or a will, and whether that may go to a broker.

use gatekeeper::{PublishChanges, Rules};

use crate::packet::{Properties, Publish};

pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
pub(super) const RESPONSE_TOPIC: u8 = 0x08;
const USER_PROPERTY: u8 = 0x26;

/// What can be changed in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) retain: bool,
    pub(super) payload: Vec<u8>,
    pub(super) properties: Properties,
}

impl Message {
    /// A PUBLISH under its own topic.
    pub(super) fn of(publish: &Publish, topic: &str) -> Self {
        Self {
            topic: topic.to_owned(),
            retain: publish.retain,
            payload: publish.payload.clone(),
            properties: publish.properties.clone(),
        }
    }

    /// With the changes, whether they are legal or not.
    pub(super) fn changed(&self, changes: &PublishChanges, mount: Option<&str>) -> Self {
        let mut changed = self.clone();
        let properties = &mut changed.properties;
        if let Some(payload) = &changes.payload {
            changed.payload = payload.to_vec();
            properties.retain(|(id, _)| *id != PAYLOAD_FORMAT);
        }
        for key in &changes.user_property_keys_to_remove {
            let key = text(key);
            properties.retain(|(id, value)| *id != USER_PROPERTY || !value.starts_with(&key));
        }
        let format = changes
            .payload_format_indicator
            .filter(|_| changes.payload.is_some());
        properties.extend(format.map(|is_text| (PAYLOAD_FORMAT, vec![is_text.into()])));
        for added in &changes.user_properties_to_add {
            let value = [text(&added.key), text(&added.value)].concat();
            properties.push((USER_PROPERTY, value));
        }
        changed.retain = changes.retain.unwrap_or(self.retain);
        if let Some(topic) = &changes.topic {
            changed.topic = topic.to_string();
            // Who answers does not know of the mount.
            if let Some(mount) = mount
                && changed.topic == [mount, &self.topic].concat()
            {
                let response = changed.properties.iter_mut();
                for (_, value) in response.filter(|(id, _)| *id == RESPONSE_TOPIC) {
                    *value = text(&format!("{mount}{}", content(value)));
                }
            }
        }
        changed
    }

    /// What came of the changes is a message that a client could have sent, and means the same.
    pub(super) fn check(&self, before: &Self, changes: &PublishChanges, rules: &Rules) {
        let limits = &rules.limits;
        if self.topic != before.topic {
            let legal = !self.topic.is_empty() && !self.topic.contains(['+', '#', '\0', '\u{1}']);
            assert!(legal && self.topic.len() < 1 << 16, "{:?}", self.topic);
            let levels = self.topic.split('/').count();
            assert!(levels <= limits.max_topic_levels, "{:?}", self.topic);
        }
        if changes.payload.is_some() {
            let is_text = self.properties.contains(&(PAYLOAD_FORMAT, vec![1]));
            assert!(!is_text || std::str::from_utf8(&self.payload).is_ok());
        }
        assert!(changes.payload_format_indicator.is_none() || changes.payload.is_some());
        let deletes = |message: &Self| message.retain && message.payload.is_empty();
        if deletes(self) && !deletes(before) {
            assert!(before.payload.is_empty(), "{before:?} becomes a deletion");
        }
        if deletes(before) && self.retain {
            assert!(deletes(self), "a deletion becomes {self:?}");
        }
        if !changes.user_properties_to_add.is_empty() {
            let user = self
                .properties
                .iter()
                .filter(|(id, _)| *id == USER_PROPERTY);
            assert!(user.count() <= limits.max_user_properties, "{self:?}");
        }
    }
}

/// A string with its length.
pub(super) fn text(text: &str) -> Vec<u8> {
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    [&length.to_be_bytes(), text.as_bytes()].concat()
}

/// A string without its length.
pub(super) fn content(value: &[u8]) -> &str {
    let text = value.get(2..).unwrap_or_default();
    std::str::from_utf8(text).expect("it was read as a string")
}
