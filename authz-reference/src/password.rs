//! Passwords and their hashes.
//!
//! Hashes are made with argon2id; those of other programs are understood, so that nobody has to choose a new
//! password when their broker moves behind Tidegate:
//!
//! | text | made by |
//! |---|---|
//! | `$argon2id$v=19$m=…,t=…,p=…$salt$hash` | `tidegate-authz`, Mosquitto 2.1, go-auth |
//! | `$7$iterations$salt$hash` | Mosquitto 2.0 (PBKDF2 with SHA-512) |
//! | `$6$salt$hash` | Mosquitto 1 (SHA-512, once: cheap to attack) |
//! | `$2y$cost$…`, `$2b$…`, `$2a$…` | `htpasswd -B`, go-auth (bcrypt) |
//! | `PBKDF2$sha512$iterations$salt$hash`, `…sha256…` | go-auth |
//!
//! Everything here computes on the calling thread; [`crate::hashing`] decides where that is.

use std::{fmt, time::Duration};

use base64::{
    Engine as _,
    alphabet::STANDARD,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use clap::ValueEnum;
use sha2::{Digest as _, Sha256};
use thiserror::Error;
use zeroize::Zeroizing;

use self::{argon2id::Argon2id, bcrypt::Bcrypt, pbkdf2::Pbkdf2, sha512::SaltedSha512};

mod argon2id;
mod bcrypt;
mod pbkdf2;
mod sha512;

/// The most that one verification may take by estimate: the data plane's default deadline for CONNECT. Who has a
/// hash that takes longer could never log in, and would keep a worker of the pool from everybody else.
pub const MAX_COST: Duration = Duration::from_secs(5);

/// Base64 as Mosquitto and go-auth write it; some tools leave the padding away.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a hash could not be made or read. Never holds the text: who has a hash can attack it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PasswordError {
    /// No known format; perhaps not even a hash.
    #[error(
        "not a hash of a known format ($argon2id$, $7$ and $6$ of Mosquitto, bcrypt's $2y$, go-auth's PBKDF2$)"
    )]
    Unknown,
    /// The text names its format but is incomplete, or its parameters are impossible.
    #[error("a hash (format {0}) with missing or impossible parts")]
    Malformed(HashFormat),
    /// Verifying would take longer than [`MAX_COST`], or more memory than there should be.
    #[error("a hash (format {0}) that would take too long or too much memory to verify")]
    TooCostly(HashFormat),
    /// bcrypt looks at no more than 72 bytes, and at none after a NUL.
    #[error("bcrypt takes passwords of at most 72 bytes without NUL")]
    NotForBcrypt,
    /// The system's random source failed, or the algorithm refused the password.
    #[error("the password cannot be hashed (no randomness?)")]
    Hashing,
}

/// The formats of hashes, by the names that `tidegate-authz hash --format` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum HashFormat {
    /// `$argon2id$…`: the default, and the one to choose
    Argon2id,
    /// `$2y$…`, as `htpasswd -B` makes it
    Bcrypt,
    /// `$7$…`, as `mosquitto_passwd` of Mosquitto 2.0 makes it
    Mosquitto,
    /// `$6$…`, as `mosquitto_passwd` of Mosquitto 1 made it; only read, never made.
    #[value(skip)]
    MosquittoSha512,
    /// `PBKDF2$sha512$…`, as `pw` of mosquitto-go-auth makes it
    GoAuth,
}

impl fmt::Display for HashFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Argon2id => "argon2id",
            Self::Bcrypt => "bcrypt",
            Self::Mosquitto => "mosquitto",
            Self::MosquittoSha512 => "mosquitto-sha512",
            Self::GoAuth => "go-auth",
        })
    }
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

/// Tells one stored hash from another, and helps nobody to attack it: a part of a digest of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HashId(pub(crate) u64);

/// A stored hash that is known to be complete and of bearable cost. Not printed by `Debug` either: a hash can
/// be attacked offline. Two are equal if they are the same text but for its spelling.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Scheme);

#[derive(Clone, PartialEq, Eq)]
enum Scheme {
    Argon2id(Argon2id),
    Bcrypt(Bcrypt),
    Pbkdf2(Pbkdf2),
    Sha512(SaltedSha512),
}

impl PasswordHash {
    /// Reads a hash of any known format.
    ///
    /// # Errors
    /// If verifying against the text could not work or would take too long. Found out here rather than at
    /// CONNECT, where it would look like a wrong password.
    pub fn parse(text: &str) -> Result<Self, PasswordError> {
        let scheme = if text.starts_with("$argon2") {
            Scheme::Argon2id(Argon2id::parse(text)?)
        } else if text.starts_with("$2") {
            Scheme::Bcrypt(Bcrypt::parse(text)?)
        } else if text.starts_with("$7$") || text.starts_with("PBKDF2$") {
            Scheme::Pbkdf2(Pbkdf2::parse(text)?)
        } else if text.starts_with("$6$") {
            Scheme::Sha512(SaltedSha512::parse(text)?)
        } else {
            return Err(PasswordError::Unknown);
        };
        let hash = Self(scheme);
        if hash.cost() > MAX_COST {
            return Err(PasswordError::TooCostly(hash.format()));
        }
        Ok(hash)
    }

    /// Hashes a password with argon2id, a fresh salt and argon2's default parameters.
    ///
    /// # Errors
    /// If the system has no randomness to give.
    pub fn of(password: &Password) -> Result<Self, PasswordError> {
        Self::of_format(password, HashFormat::Argon2id)
    }

    /// Hashes a password in the way of another program, with a fresh salt and parameters of today.
    ///
    /// # Errors
    /// If the system has no randomness to give, or the format can't hold the password.
    pub fn of_format(password: &Password, format: HashFormat) -> Result<Self, PasswordError> {
        Ok(Self(match format {
            HashFormat::Argon2id => Scheme::Argon2id(Argon2id::of(password)?),
            HashFormat::Bcrypt => Scheme::Bcrypt(Bcrypt::of(password)?),
            HashFormat::Mosquitto | HashFormat::GoAuth => {
                Scheme::Pbkdf2(Pbkdf2::of(password, format)?)
            }
            HashFormat::MosquittoSha512 => return Err(PasswordError::Unknown),
        }))
    }

    /// What sets it apart from other hashes, also from others of the same password.
    #[must_use]
    pub fn id(&self) -> HashId {
        let text = Zeroizing::new(self.to_string());
        let digest: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        HashId(
            digest
                .first_chunk()
                .map_or(0, |first| u64::from_be_bytes(*first)),
        )
    }

    /// Which format it is.
    #[must_use]
    pub fn format(&self) -> HashFormat {
        match &self.0 {
            Scheme::Argon2id(_) => HashFormat::Argon2id,
            Scheme::Bcrypt(_) => HashFormat::Bcrypt,
            Scheme::Pbkdf2(hash) => hash.format(),
            Scheme::Sha512(_) => HashFormat::MosquittoSha512,
        }
    }

    /// Whether `password` is the one that was hashed. Takes as long as hashing it again, whatever it is.
    #[must_use]
    pub fn verify(&self, password: &Password) -> bool {
        match &self.0 {
            Scheme::Argon2id(hash) => hash.verify(password),
            Scheme::Bcrypt(hash) => hash.verify(password),
            Scheme::Pbkdf2(hash) => hash.verify(password),
            Scheme::Sha512(hash) => hash.verify(password),
        }
    }

    /// A hash that no password has and that costs as much to verify against as this one.
    #[must_use]
    pub fn decoy(&self) -> Self {
        Self(match &self.0 {
            Scheme::Argon2id(hash) => Scheme::Argon2id(hash.decoy()),
            Scheme::Bcrypt(hash) => Scheme::Bcrypt(hash.decoy()),
            Scheme::Pbkdf2(hash) => Scheme::Pbkdf2(hash.decoy()),
            Scheme::Sha512(hash) => Scheme::Sha512(hash.decoy()),
        })
    }

    /// About how long verifying takes, on a machine of today. For comparing two hashes.
    pub(crate) fn cost(&self) -> Duration {
        Duration::from_nanos(match &self.0 {
            Scheme::Argon2id(hash) => hash.nanoseconds(),
            Scheme::Bcrypt(hash) => hash.nanoseconds(),
            Scheme::Pbkdf2(hash) => hash.nanoseconds(),
            Scheme::Sha512(hash) => hash.nanoseconds(),
        })
    }
}

/// A decoy with default parameters, for a user base that holds no hash to imitate.
impl Default for PasswordHash {
    fn default() -> Self {
        Self(Scheme::Argon2id(Argon2id::default_decoy()))
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash(<redacted>)")
    }
}

/// The text, to be stored.
impl fmt::Display for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Scheme::Argon2id(hash) => hash.fmt(f),
            Scheme::Bcrypt(hash) => hash.fmt(f),
            Scheme::Pbkdf2(hash) => hash.fmt(f),
            Scheme::Sha512(hash) => hash.fmt(f),
        }
    }
}

/// Base64, within bounds that no honest salt or hash exceeds. A hash of a few bytes would be easy to hit.
fn decode(text: &str, lengths: std::ops::RangeInclusive<usize>) -> Option<Vec<u8>> {
    let bytes = (text.len() <= 1024).then(|| BASE64.decode(text).ok())??;
    lengths.contains(&bytes.len()).then_some(bytes)
}

#[cfg(test)]
mod tests;
