//! `Debug` by hand for the messages that hold a secret: prost would print passwords.
//!
//! A secret shows as its length, so that "absent", "empty" and "present" can still be told apart.

use std::fmt;

use crate::v1::{ConnectAllow, ConnectCheck, Peer, Session};

/// Prints in place of the bytes of a secret.
struct Redacted(usize);

impl Redacted {
    fn of(secret: Option<&impl AsRef<[u8]>>) -> Option<Self> {
        secret.map(|bytes| Self(bytes.as_ref().len()))
    }
}

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{} bytes, redacted>", self.0)
    }
}

impl fmt::Debug for ConnectCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectCheck")
            .field("metadata", &self.metadata)
            .field("session", &self.session)
            .field("peer", &self.peer)
            .field("password", &Redacted::of(self.password.as_ref()))
            .field("auth_method", &self.auth_method)
            .field("auth_data", &Redacted::of(self.auth_data.as_ref()))
            .field("clean_start", &self.clean_start)
            .field("keep_alive_seconds", &self.keep_alive_seconds)
            .field("session_expiry_seconds", &self.session_expiry_seconds)
            .field("client_id_assigned", &self.client_id_assigned)
            .field("will", &self.will)
            .field("user_properties", &self.user_properties)
            .finish()
    }
}

/// Headers may be cookies and tokens.
impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let headers = self.http_headers.iter();
        let headers: Vec<_> = headers
            .map(|header| (&header.key, Redacted(header.value.len())))
            .collect();
        f.debug_struct("Peer")
            .field("ip", &self.ip)
            .field("port", &self.port)
            .field("transport", &self.transport)
            .field("tls", &self.tls)
            .field("http_headers", &headers)
            .finish()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("session_id", &self.session_id)
            .field("client_id", &self.client_id)
            .field("username", &self.username)
            .field("protocol_version", &self.protocol_version)
            .field("listener", &self.listener)
            .field("principal", &self.principal)
            .field("session_state", &Redacted(self.session_state.len()))
            .field("attributes", &self.attributes)
            .finish()
    }
}

impl fmt::Debug for ConnectAllow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectAllow")
            .field("principal", &self.principal)
            .field("session_state", &Redacted(self.session_state.len()))
            .field("expires_at", &self.expires_at)
            .field("broker_client_id", &self.broker_client_id)
            .field("broker_username", &self.broker_username)
            .field(
                "broker_password",
                &Redacted::of(self.broker_password.as_ref()),
            )
            .field("drop_will", &self.drop_will)
            .field(
                "max_session_expiry_seconds",
                &self.max_session_expiry_seconds,
            )
            .field("force_clean_start", &self.force_clean_start)
            .field("limits", &self.limits)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::v1::{
        AuthorizeConnectRequest, ConnectAllow, ConnectCheck, Peer, Session, UserProperty,
    };

    const CANARY: &str = "canary-7f3a";

    fn assert_hides_canary(shown: &str) {
        assert!(!shown.contains(CANARY), "{shown}");
        for byte in CANARY.as_bytes().windows(4) {
            let as_list = format!("{}, {}, {}, {}", byte[0], byte[1], byte[2], byte[3]);
            assert!(!shown.contains(&as_list), "{shown}");
        }
    }

    #[test]
    fn no_secret_of_a_check_is_printed() {
        let check = ConnectCheck {
            password: Some(Bytes::from_static(CANARY.as_bytes())),
            auth_data: Some(Bytes::from_static(CANARY.as_bytes())),
            session: Some(Session {
                session_state: Bytes::from_static(CANARY.as_bytes()),
                ..Session::default()
            }),
            peer: Some(Peer {
                http_headers: vec![UserProperty {
                    key: "cookie".to_owned(),
                    value: CANARY.to_owned(),
                }],
                ..Peer::default()
            }),
            ..ConnectCheck::default()
        };
        let request = AuthorizeConnectRequest {
            data_plane: None,
            checks: vec![check],
        };
        let shown = format!("{request:?} {request:#?}");
        assert_hides_canary(&shown);
        assert!(shown.contains("<11 bytes, redacted>"), "{shown}");
    }

    #[test]
    fn no_secret_of_an_allow_is_printed() {
        let allow = ConnectAllow {
            session_state: Bytes::from_static(CANARY.as_bytes()),
            broker_password: Some(Bytes::from_static(CANARY.as_bytes())),
            ..ConnectAllow::default()
        };
        assert_hides_canary(&format!("{allow:?} {allow:#?}"));
    }
}
