//! `$6$salt$hash` of Mosquitto 1: SHA-512 over password and salt, once. Not crypt's `$6$`, whose hash is shorter
//! than base64 of 64 bytes and so never taken for one of these.

use std::fmt;

use base64::Engine as _;
use sha2::{Digest as _, Sha512};
use subtle::ConstantTimeEq as _;

use super::{BASE64, HashFormat, Password, PasswordError, decode};

/// For a short password.
const NANOSECONDS: u64 = 1_000;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct SaltedSha512 {
    salt: Vec<u8>,
    hash: Vec<u8>,
}

impl SaltedSha512 {
    pub(super) fn parse(text: &str) -> Result<Self, PasswordError> {
        let parts: Vec<&str> = text.split('$').collect();
        let read = || match parts[..] {
            // Base64 of 64 bytes is 88 characters with its padding; crypt's own is 86.
            ["", "6", salt, hash] if hash.len() == 88 => Some(Self {
                salt: decode(salt, 1..=256)?,
                hash: decode(hash, 64..=64)?,
            }),
            _ => None,
        };
        read().ok_or(PasswordError::Malformed(HashFormat::MosquittoSha512))
    }

    pub(super) fn verify(&self, password: &Password) -> bool {
        let made = Sha512::new()
            .chain_update(password.expose())
            .chain_update(&self.salt)
            .finalize();
        made.as_slice().ct_eq(&self.hash).into()
    }

    pub(super) fn decoy(&self) -> Self {
        Self {
            hash: vec![0; 64],
            ..self.clone()
        }
    }

    pub(super) fn nanoseconds(&self) -> u64 {
        NANOSECONDS
    }
}

impl fmt::Display for SaltedSha512 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (salt, hash) = (BASE64.encode(&self.salt), BASE64.encode(&self.hash));
        write!(f, "$6${salt}${hash}")
    }
}
