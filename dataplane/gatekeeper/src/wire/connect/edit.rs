//! Changes to a CONNECT that is to be written anew: the fields, and the raw properties with them.

use super::{ConnectProperties, Will};
use crate::wire::properties::TOPIC_ALIAS_MAXIMUM;
use crate::wire::{Property, TooLong};

impl ConnectProperties {
    /// Asks for a session of another length.
    ///
    /// # Errors
    /// If the properties grow beyond all bounds.
    pub fn set_session_expiry(&mut self, seconds: u32) -> Result<(), TooLong> {
        self.raw = self.raw.with(&[Property::SessionExpiryInterval(seconds)])?;
        self.session_expiry = Some(seconds);
        Ok(())
    }

    /// Takes no larger packets than this ([MQTT-3.1.2-24]).
    ///
    /// # Errors
    /// If the properties grow beyond all bounds.
    pub fn set_maximum_packet_size(&mut self, size: u32) -> Result<(), TooLong> {
        self.raw = self.raw.with(&[Property::MaximumPacketSize(size)])?;
        self.maximum_packet_size = Some(size);
        Ok(())
    }

    /// Asks for deliveries without topic aliases ([MQTT-3.1.2-27]).
    pub fn forgo_topic_aliases(&mut self) {
        self.raw = self.raw.without(&[TOPIC_ALIAS_MAXIMUM]);
        self.topic_alias_maximum = 0;
    }
}

impl Will {
    /// Asks for another Will Delay Interval.
    ///
    /// # Errors
    /// If the properties grow beyond all bounds.
    pub fn set_delay(&mut self, seconds: u32) -> Result<(), TooLong> {
        self.raw_properties = self
            .raw_properties
            .with(&[Property::WillDelayInterval(seconds)])?;
        self.delay = seconds;
        Ok(())
    }
}
