//! PBKDF2: `$7$` of Mosquitto 2.0 and `PBKDF2$…` of go-auth, which differ in spelling only.

use std::fmt;

use ::pbkdf2::pbkdf2_hmac;
use base64::Engine as _;
use sha2::{Sha256, Sha512};
use subtle::ConstantTimeEq as _;

use super::{BASE64, HashFormat, Password, PasswordError, decode};

/// What hashes are made with: OWASP's recommendation for PBKDF2-HMAC-SHA512 (2023).
const DEFAULT_ITERATIONS: u32 = 210_000;
/// Of one iteration for one block of output.
const NANOSECONDS_PER_ITERATION: u64 = 1_000;

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Pbkdf2 {
    format: HashFormat,
    digest: Digest,
    iterations: u32,
    salt: Vec<u8>,
    hash: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Digest {
    Sha256,
    Sha512,
}

impl Pbkdf2 {
    pub(super) fn parse(text: &str) -> Result<Self, PasswordError> {
        let parts: Vec<&str> = text.split('$').collect();
        let (format, digest, iterations, salt, hash) = match parts[..] {
            ["", "7", iterations, salt, hash] => (
                HashFormat::Mosquitto,
                Digest::Sha512,
                iterations,
                salt,
                hash,
            ),
            ["PBKDF2", "sha512", iterations, salt, hash] => {
                (HashFormat::GoAuth, Digest::Sha512, iterations, salt, hash)
            }
            ["PBKDF2", "sha256", iterations, salt, hash] => {
                (HashFormat::GoAuth, Digest::Sha256, iterations, salt, hash)
            }
            _ if text.starts_with('$') => {
                return Err(PasswordError::Malformed(HashFormat::Mosquitto));
            }
            _ => return Err(PasswordError::Malformed(HashFormat::GoAuth)),
        };
        let read = || {
            // Longer numbers are refused as too costly below, and not here as no numbers.
            let digits = !iterations.is_empty() && iterations.bytes().all(|b| b.is_ascii_digit());
            let iterations = digits.then(|| iterations.parse().unwrap_or(u32::MAX))?;
            let lengths = match format {
                HashFormat::Mosquitto => 64..=64,
                _ => 16..=128,
            };
            let (salt, hash) = (decode(salt, 1..=256)?, decode(hash, lengths)?);
            (iterations > 0).then_some(Self {
                format,
                digest,
                iterations,
                salt,
                hash,
            })
        };
        read().ok_or(PasswordError::Malformed(format))
    }

    pub(super) fn of(password: &Password, format: HashFormat) -> Result<Self, PasswordError> {
        let mut salt = vec![0; 16];
        getrandom::fill(&mut salt).map_err(|_| PasswordError::Hashing)?;
        let mut made = Self {
            format,
            digest: Digest::Sha512,
            iterations: DEFAULT_ITERATIONS,
            salt,
            hash: vec![0; 64],
        };
        made.hash = made.derive(password);
        Ok(made)
    }

    pub(super) fn format(&self) -> HashFormat {
        self.format
    }

    pub(super) fn verify(&self, password: &Password) -> bool {
        self.derive(password).ct_eq(&self.hash).into()
    }

    fn derive(&self, password: &Password) -> Vec<u8> {
        let mut hash = vec![0; self.hash.len()];
        let derive = match self.digest {
            Digest::Sha256 => pbkdf2_hmac::<Sha256>,
            Digest::Sha512 => pbkdf2_hmac::<Sha512>,
        };
        derive(password.expose(), &self.salt, self.iterations, &mut hash);
        hash
    }

    pub(super) fn decoy(&self) -> Self {
        Self {
            hash: vec![0; self.hash.len()],
            ..self.clone()
        }
    }

    pub(super) fn nanoseconds(&self) -> u64 {
        let block = match self.digest {
            Digest::Sha256 => 32,
            Digest::Sha512 => 64,
        };
        let blocks = self.hash.len().div_ceil(block) as u64;
        blocks * u64::from(self.iterations) * NANOSECONDS_PER_ITERATION
    }
}

impl fmt::Display for Pbkdf2 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = match (self.format, self.digest) {
            (HashFormat::Mosquitto, _) => "$7",
            (_, Digest::Sha256) => "PBKDF2$sha256",
            (_, Digest::Sha512) => "PBKDF2$sha512",
        };
        let (salt, hash) = (BASE64.encode(&self.salt), BASE64.encode(&self.hash));
        write!(f, "{head}${}${salt}${hash}", self.iterations)
    }
}
