//! CONNECT to send.

use super::{
    Version, property,
    wire::string,
    write::{Encode, Publish, frame, property_field},
};

/// CONNECT.
#[derive(Debug, Clone)]
pub struct Connect {
    client_id: String,
    clean: bool,
    keep_alive: u16,
    username: Option<String>,
    password: Option<Vec<u8>>,
    will: Option<Publish>,
    properties: Vec<u8>,
}

impl Connect {
    /// Clean, without credentials or will, and with a keep alive that the gate leaves as it is.
    #[must_use]
    pub fn new(client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            clean: true,
            keep_alive: 60,
            username: None,
            password: None,
            will: None,
            properties: Vec::new(),
        }
    }

    /// The same from another client.
    #[must_use]
    pub fn client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = client_id.into();
        self
    }

    /// Sets user name and password.
    #[must_use]
    pub fn login(mut self, username: &str, password: impl AsRef<[u8]>) -> Self {
        self.username = Some(username.to_owned());
        self.password = Some(password.as_ref().to_vec());
        self
    }

    /// Sets the will.
    #[must_use]
    pub fn will(mut self, will: Publish) -> Self {
        self.will = Some(will);
        self
    }

    /// Sets the user name alone.
    #[must_use]
    pub fn username(mut self, username: &str) -> Self {
        self.username = Some(username.to_owned());
        self
    }

    /// Asks for the session that the broker kept, without a word about how long to keep it.
    #[must_use]
    pub fn unclean(mut self) -> Self {
        self.clean = false;
        self
    }

    /// Asks for the session that the broker kept, and on MQTT 5 to keep it for an hour.
    #[must_use]
    pub fn resume(self) -> Self {
        self.unclean().property(property::session_expiry(3600))
    }

    /// Sets the keep alive in seconds.
    #[must_use]
    pub fn keep_alive(mut self, seconds: u16) -> Self {
        self.keep_alive = seconds;
        self
    }

    /// Adds an encoded property; left out where there are none.
    #[must_use]
    pub fn property(mut self, property: Vec<u8>) -> Self {
        self.properties.extend(property);
        self
    }
}

impl Encode for Connect {
    fn encode(&self, version: Version) -> Vec<u8> {
        let mut flags = u8::from(self.clean) << 1;
        let mut payload = string(&self.client_id);
        if let Some(will) = &self.will {
            flags |= 0x04 | will.qos << 3 | u8::from(will.retain) << 5;
            payload.extend(property_field(version, &will.properties));
            payload.extend(string(&will.topic));
            payload.extend(string(&will.payload));
        }
        if let Some(username) = &self.username {
            flags |= 0x80;
            payload.extend(string(username));
        }
        if let Some(password) = &self.password {
            flags |= 0x40;
            payload.extend(string(password));
        }
        let body = [
            string(version.protocol_name()),
            vec![version as u8, flags],
            self.keep_alive.to_be_bytes().to_vec(),
            property_field(version, &self.properties),
            payload,
        ];
        frame(0x10, &body.concat())
    }
}
