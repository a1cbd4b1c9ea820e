//! argon2id in the PHC string format.

use std::fmt;

use argon2::{
    Argon2, Params, PasswordHasher, PasswordVerifier,
    password_hash::phc::{Ident, Output, PasswordHash as Phc, Salt},
};

use super::{HashFormat, Password, PasswordError};

/// KiB that one verification may use. The pool runs one on each core.
const MAX_MEMORY: u32 = 1024 * 1024;
/// One pass over one KiB.
const NANOSECONDS_PER_BLOCK: u64 = 1_600;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Argon2id(Box<Phc>);

impl Argon2id {
    pub(super) fn parse(text: &str) -> Result<Self, PasswordError> {
        let malformed = PasswordError::Malformed(HashFormat::Argon2id);
        if !text.starts_with("$argon2id$") {
            return Err(PasswordError::Unknown); // argon2i and argon2d
        }
        let phc = Phc::new(text).map_err(|_| malformed)?;
        let params = Params::try_from(&phc).map_err(|_| malformed)?;
        if phc.salt.is_none() || phc.hash.is_none() {
            return Err(malformed);
        }
        if params.m_cost() > MAX_MEMORY {
            return Err(PasswordError::TooCostly(HashFormat::Argon2id));
        }
        Ok(Self(Box::new(phc)))
    }

    pub(super) fn of(password: &Password) -> Result<Self, PasswordError> {
        Argon2::default()
            .hash_password(password.expose())
            .map(|phc| Self(Box::new(phc)))
            .map_err(|_| PasswordError::Hashing)
    }

    pub(super) fn verify(&self, password: &Password) -> bool {
        Argon2::default()
            .verify_password(password.expose(), &*self.0)
            .is_ok()
    }

    pub(super) fn decoy(&self) -> Self {
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

    pub(super) fn default_decoy() -> Self {
        let params = Params::default();
        Self(Box::new(Phc {
            algorithm: Ident::new_unwrap("argon2id"),
            version: Some(argon2::Version::default().into()),
            salt: Salt::new(&[0; 16]).ok(),
            hash: Output::new(&[0; Params::DEFAULT_OUTPUT_LEN]).ok(),
            params: (&params).try_into().unwrap_or_default(),
        }))
    }

    pub(super) fn nanoseconds(&self) -> u64 {
        Params::try_from(&*self.0).map_or(0, |params| {
            u64::from(params.m_cost())
                .saturating_mul(u64::from(params.t_cost()))
                .saturating_mul(NANOSECONDS_PER_BLOCK)
        })
    }
}

impl fmt::Display for Argon2id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
