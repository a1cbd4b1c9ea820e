//! bcrypt, as `htpasswd -B` writes it.
//!
//! bcrypt looks at 72 bytes and takes NUL for the end of the password. Cutting silently would let in who knows the
//! first 72 bytes of a longer password, so what bcrypt can't take whole is wrong, after the usual time.

use std::{fmt, str::FromStr as _};

use ::bcrypt::{HashParts, Version};
use subtle::ConstantTimeEq as _;

use super::{HashFormat, Password, PasswordError};

/// Bytes of a password that bcrypt looks at; the NUL after them is not one of these.
const MAX_PASSWORD: usize = 72;
/// What hashes are made with: about as slow as argon2id's defaults.
const DEFAULT_COST: u32 = 10;
/// Of one round at cost 0.
const NANOSECONDS_PER_ROUND: u64 = 75_000;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Bcrypt {
    text: Box<str>,
    salt: [u8; 16],
    cost: u32,
}

impl Bcrypt {
    pub(super) fn parse(text: &str) -> Result<Self, PasswordError> {
        let malformed = PasswordError::Malformed(HashFormat::Bcrypt);
        // `$2x$` marks hashes of a broken implementation.
        if !["$2y$", "$2b$", "$2a$"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            return Err(PasswordError::Unknown);
        }
        if text.len() != 60 {
            return Err(malformed);
        }
        let parts = HashParts::from_str(text).map_err(|_| malformed)?;
        let cost = parts.get_cost();
        if !(4..=31).contains(&cost) {
            return Err(malformed);
        }
        let salt = parts.get_salt_raw();
        Ok(Self {
            text: text.into(),
            salt,
            cost,
        })
    }

    pub(super) fn of(password: &Password) -> Result<Self, PasswordError> {
        let password = whole(password).ok_or(PasswordError::NotForBcrypt)?;
        let mut salt = [0; 16];
        getrandom::fill(&mut salt).map_err(|_| PasswordError::Hashing)?;
        let parts = ::bcrypt::hash_with_salt(password, DEFAULT_COST, salt)
            .map_err(|_| PasswordError::Hashing)?;
        Ok(Self {
            text: parts.format_for_version(Version::TwoY).into(),
            salt,
            cost: DEFAULT_COST,
        })
    }

    pub(super) fn verify(&self, password: &Password) -> bool {
        let whole = whole(password);
        let Ok(made) =
            ::bcrypt::hash_with_salt(whole.unwrap_or(b"something"), self.cost, self.salt)
        else {
            return false;
        };
        let made = made.format_for_version(Version::TwoY);
        // The three versions differ in their name only.
        let same = made.as_bytes()[4..].ct_eq(&self.text.as_bytes()[4..]);
        bool::from(same) && whole.is_some()
    }

    pub(super) fn decoy(&self) -> Self {
        let mut decoy = self.clone();
        let head = self.text.get(..29).unwrap_or_default();
        decoy.text = format!("{head}{}", ".".repeat(31)).into();
        decoy
    }

    pub(super) fn nanoseconds(&self) -> u64 {
        NANOSECONDS_PER_ROUND << self.cost
    }
}

/// The password, if bcrypt looks at every byte of it.
fn whole(password: &Password) -> Option<&[u8]> {
    let bytes = password.expose();
    (bytes.len() <= MAX_PASSWORD && !bytes.contains(&0)).then_some(bytes)
}

impl fmt::Display for Bcrypt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
