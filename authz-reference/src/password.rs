//! Passwords and their argon2id hashes.
//!
//! Everything here computes on the calling thread; [`crate::hashing`] decides where that is.

use std::fmt;

use argon2::{
    Argon2, Params, PasswordHasher, PasswordVerifier,
    password_hash::phc::{Ident, Output, PasswordHash as Phc, Salt},
};
use thiserror::Error;
use zeroize::Zeroizing;

/// Why a hash could not be made or read.
#[derive(Debug, Error)]
pub enum PasswordError {
    /// Not `$argon2id$…` in the PHC string format.
    #[error("not an argon2id hash in the PHC string format (`$argon2id$v=19$m=…,t=…,p=…$…$…`)")]
    NotArgon2id,
    /// The text names argon2id but is incomplete or its parameters are out of range.
    #[error("an argon2id hash with missing or impossible parts")]
    Malformed,
    /// The system's random source failed, or argon2 refused the password.
    #[error("cannot hash the password: {0}")]
    Hashing(argon2::password_hash::Error),
}

/// A password as presented: any bytes. Wiped from memory when dropped, never printed.
///
/// Only this copy is ours to wipe: the buffers of the transport it arrived through are not.
#[derive(Clone)]
pub struct Password(Zeroizing<Vec<u8>>);

impl Password {
    /// Copies a password.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Self {
        Self(Zeroizing::new(bytes.to_vec()))
    }

    /// For hashing, and for nothing else.
    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(<redacted>)")
    }
}

/// A stored argon2id hash that is known to be complete. Not printed by `Debug` either: a hash can
/// be attacked offline.
#[derive(Clone)]
pub struct PasswordHash(Phc);

impl PasswordHash {
    /// Reads `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
    ///
    /// # Errors
    /// If verifying against the text could not work. Found out here rather than at CONNECT, where
    /// it would look like a wrong password.
    pub fn parse(text: &str) -> Result<Self, PasswordError> {
        let phc = Phc::new(text).map_err(|_| PasswordError::NotArgon2id)?;
        if phc.algorithm.as_str() != "argon2id" {
            return Err(PasswordError::NotArgon2id);
        }
        let complete = phc.salt.is_some() && phc.hash.is_some() && Params::try_from(&phc).is_ok();
        complete
            .then_some(Self(phc))
            .ok_or(PasswordError::Malformed)
    }

    /// Hashes a password with a fresh salt and argon2's default parameters.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn of(password: &Password) -> Result<Self, PasswordError> {
        Argon2::default()
            .hash_password(password.expose())
            .map(Self)
            .map_err(PasswordError::Hashing)
    }

    /// Whether `password` is the one that was hashed. Takes as long as hashing it again.
    #[must_use]
    pub fn verify(&self, password: &Password) -> bool {
        Argon2::default()
            .verify_password(password.expose(), &self.0)
            .is_ok()
    }

    /// A hash that no password has and that costs as much to verify against as this one.
    #[must_use]
    pub fn decoy(&self) -> Self {
        let mut decoy = self.0.clone();
        let length = decoy
            .hash
            .as_ref()
            .map_or(Params::DEFAULT_OUTPUT_LEN, Output::len);
        // What argon2 would have to output: nobody finds a password for it in a lifetime, and the
        // caller says no whatever comes out.
        decoy.hash = Output::new(&vec![0; length]).ok();
        Self(decoy)
    }

    /// How much work verifying is: memory times passes. For comparing two hashes.
    pub(crate) fn cost(&self) -> u64 {
        Params::try_from(&self.0).map_or(0, |params| {
            u64::from(params.m_cost()) * u64::from(params.t_cost())
        })
    }
}

/// A decoy with default parameters, for a user base that holds no hash to imitate.
impl Default for PasswordHash {
    fn default() -> Self {
        let params = Params::default();
        let phc = Phc {
            algorithm: Ident::new_unwrap("argon2id"),
            version: Some(argon2::Version::default().into()),
            salt: Salt::new(&[0; 16]).ok(),
            hash: Output::new(&[0; Params::DEFAULT_OUTPUT_LEN]).ok(),
            params: (&params).try_into().unwrap_or_default(),
        };
        Self(phc)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(<redacted>)")
    }
}

/// The PHC string, to be stored.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
