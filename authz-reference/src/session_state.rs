//! The session state: what CONNECT settled, carried by the data plane and trusted by its seal.
//!
//! The data plane hands these bytes back with every PUBLISH and SUBSCRIBE check, so those touch no
//! user store. They are sealed with a key that only this service has, together with the id of the
//! session they were made for: an altered state, or one replayed on another session, does not
//! open.
//!
//! ```text
//! version (1) | flags (1) | user name (0 to 128) | HMAC-SHA-256 (32)
//! ```
//!
//! The seal covers all of it and the session id, which is not stored: every check names its own.

use bytes::{BufMut, Bytes, BytesMut};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::identity::{Principal, UserName};

/// The only layout so far. Another one takes another number; never reuse.
const VERSION: u8 = 1;
const SUPERUSER: u8 = 0b01;
const ANONYMOUS: u8 = 0b10;

const HEADER_BYTES: usize = 2;
const SEAL_BYTES: usize = 32;

/// Keeps these seals apart from anything else the same key may come to be used for.
const PURPOSE: &[u8] = b"tidegate-authz/session-state\0";

/// The shortest secret accepted for a key, in bytes.
pub const MIN_KEY_BYTES: usize = 32;

/// Why there is no key.
#[derive(Debug, Error)]
pub enum KeyError {
    /// The secret is too short to keep anybody out.
    #[error("a session key needs at least {MIN_KEY_BYTES} bytes, this one has {0}")]
    TooShort(usize),
    /// The system gave no randomness.
    #[error("cannot make a random session key: {0}")]
    Random(#[from] getrandom::Error),
}

/// A state that this key did not seal for this session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the session state was not made by this service for this session")]
pub struct InvalidState;

/// Makes and opens session states.
#[derive(Clone)]
pub struct Sealer(Hmac<Sha256>);

impl Sealer {
    /// A key that lives as long as this process. After a restart, and on another replica, live
    /// sessions are told that their state is invalid and connect afresh.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn random() -> Result<Self, KeyError> {
        let mut secret = Zeroizing::new([0; MIN_KEY_BYTES]);
        getrandom::fill(secret.as_mut_slice())?;
        Self::from_secret(secret.as_slice())
    }

    /// A key from a secret that outlives the process and can be shared by replicas.
    ///
    /// # Errors
    /// If the secret is shorter than [`MIN_KEY_BYTES`].
    pub fn from_secret(secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < MIN_KEY_BYTES {
            return Err(KeyError::TooShort(secret.len()));
        }
        let mac = Hmac::new_from_slice(secret).map_err(|_| KeyError::TooShort(secret.len()))?;
        Ok(Self(mac.chain_update(PURPOSE)))
    }

    /// The state of a session that `principal` has just opened.
    #[must_use]
    pub fn seal(&self, principal: &Principal, session_id: &str) -> Bytes {
        let (flags, name) = match principal {
            Principal::User {
                name, superuser, ..
            } => (u8::from(*superuser) * SUPERUSER, name.as_str()),
            Principal::Anonymous => (ANONYMOUS, ""),
        };
        let mut state = BytesMut::with_capacity(HEADER_BYTES + name.len() + SEAL_BYTES);
        state.put_u8(VERSION);
        state.put_u8(flags);
        state.put_slice(name.as_bytes());
        let seal = self.over(&state, session_id).finalize().into_bytes();
        state.put_slice(&seal);
        state.freeze()
    }

    /// Whose session this is, if `state` was sealed for it by this key.
    ///
    /// # Errors
    /// If the state was cut, altered, or made for another session or with another key.
    pub fn open(&self, state: &[u8], session_id: &str) -> Result<Principal, InvalidState> {
        let (sealed, seal) = state.split_last_chunk::<SEAL_BYTES>().ok_or(InvalidState)?;
        // In constant time; nothing of the content is looked at before.
        self.over(sealed, session_id)
            .verify_slice(seal)
            .map_err(|_| InvalidState)?;

        let (&[version, flags], name) = sealed.split_first_chunk().ok_or(InvalidState)?;
        match (version, flags) {
            (VERSION, ANONYMOUS) if name.is_empty() => Ok(Principal::Anonymous),
            (VERSION, 0 | SUPERUSER) => {
                let name = str::from_utf8(name).map_err(|_| InvalidState)?;
                let name = UserName::new(name).map_err(|_| InvalidState)?;
                Ok(Principal::User {
                    name,
                    superuser: flags == SUPERUSER,
                    roles: Vec::new(),
                    grants: Vec::new(),
                })
            }
            _ => Err(InvalidState),
        }
    }

    /// The length stands between the two texts, so that no end of one can pass as the beginning
    /// of the other.
    fn over(&self, sealed: &[u8], session_id: &str) -> Hmac<Sha256> {
        self.0
            .clone()
            .chain_update((sealed.len() as u64).to_be_bytes())
            .chain_update(sealed)
            .chain_update(session_id)
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Sealer(<redacted>)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alice(superuser: bool) -> Principal {
        Principal::User {
            name: UserName::new("alice").unwrap(),
            superuser,
            roles: Vec::new(),
            grants: Vec::new(),
        }
    }

    fn sealer() -> Sealer {
        Sealer::from_secret(&[7; 32]).unwrap()
    }

    #[test]
    fn opens_what_it_sealed() {
        for principal in [alice(false), alice(true), Principal::Anonymous] {
            let state = sealer().seal(&principal, "s1");
            assert_eq!(sealer().open(&state, "s1"), Ok(principal));
            assert!(state.len() <= 1024, "the data plane's default limit");
        }
    }

    #[test]
    fn opens_nothing_else() {
        let sealer = sealer();
        let state = sealer.seal(&alice(false), "s1");
        assert_eq!(
            sealer.open(&state, "s2"),
            Err(InvalidState),
            "another session"
        );
        assert_eq!(sealer.open(&state, ""), Err(InvalidState), "no session");
        assert_eq!(
            Sealer::random().unwrap().open(&state, "s1"),
            Err(InvalidState),
            "another key"
        );
        for length in 0..state.len() {
            assert_eq!(
                sealer.open(&state[..length], "s1"),
                Err(InvalidState),
                "cut to {length}"
            );
        }
        for bit in 0..state.len() * 8 {
            let mut altered = state.to_vec();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(
                sealer.open(&altered, "s1"),
                Err(InvalidState),
                "bit {bit} flipped"
            );
        }
    }

    #[test]
    fn name_and_session_id_do_not_run_together() {
        let sealer = sealer();
        let mut state = sealer.seal(&alice(false), "s1").to_vec();
        let seal = state.split_off(state.len() - SEAL_BYTES);
        let longer = [&state[..], b"s", &seal[..]].concat();
        assert_eq!(sealer.open(&longer, "1"), Err(InvalidState));
    }

    #[test]
    fn a_future_layout_is_not_misread() {
        let sealer = sealer();
        for header in [[2, 0], [1, 4], [1, ANONYMOUS | SUPERUSER], [1, ANONYMOUS]] {
            let sealed = [&header[..], b"alice"].concat();
            let seal = sealer.over(&sealed, "s1").finalize().into_bytes();
            let state = [&sealed[..], &seal[..]].concat();
            assert_eq!(sealer.open(&state, "s1"), Err(InvalidState), "{header:?}");
        }
    }

    #[test]
    fn a_short_secret_is_refused() {
        assert!(matches!(
            Sealer::from_secret(&[7; 31]),
            Err(KeyError::TooShort(31))
        ));
    }
}
