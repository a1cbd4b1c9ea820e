//! What has been found right lately. Only that: a wrong password is verified each time.
//!
//! After a network failure, clients come back together, and most of them with what they had before. Verifying a
//! password costs some 60 ms of a core, on purpose; finding it here costs microseconds.
//!
//! A password that matched a *stored* hash is remembered together with that hash. The store is asked all the same: when
//! the user has another password there, the question is another one and nothing is remembered about it. What a source
//! finds out by itself (`http`, `jwt`, `certificate`) is asked for each time.
//!
//! Credentials are not kept, only what an HMAC with a key of this process makes of them.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{
    cache::Cache,
    identity::UserName,
    password::{Password, PasswordHash},
};

/// Logins that are remembered; about 60 bytes each.
const MOST: usize = 100_000;

/// A question whose answer may be remembered: the credentials, and what they are held against.
pub(super) type Question = [u8; 32];

/// Credentials that are believed for a while.
#[derive(Debug)]
pub struct Believed {
    /// Zero: nothing is remembered about stored passwords.
    ttl: Duration,
    key: Key,
    right: Cache<(Question, Instant)>,
}

impl Believed {
    /// Believes stored passwords for `ttl`.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn new(ttl: Duration) -> Result<Self, getrandom::Error> {
        Ok(Self {
            ttl,
            key: Key::random()?,
            right: Cache::new(MOST),
        })
    }

    /// Is it the password of this hash? `None` if answers are not remembered.
    pub(super) fn question(
        &self,
        source: &str,
        name: &UserName,
        hash: &PasswordHash,
        password: &Password,
    ) -> Option<Question> {
        if self.ttl.is_zero() {
            return None;
        }
        let hash = Zeroizing::new(hash.to_string());
        Some(self.key.question(&[
            source.as_bytes(),
            name.as_str().as_bytes(),
            hash.as_bytes(),
            password.expose(),
        ]))
    }

    pub(super) fn is_right(&self, question: Question) -> bool {
        let found = self.right.get(number(&question));
        found.is_some_and(|(right, until)| right == question && Instant::now() < until)
    }

    pub(super) fn note_right(&self, question: Question) {
        if let Some(until) = Instant::now().checked_add(self.ttl) {
            self.right.insert(number(&question), (question, until));
        }
    }
}

/// A question is hashed with a key already: any part of it is as good as a hash.
fn number(question: &Question) -> u64 {
    question
        .first_chunk()
        .map_or(0, |first| u64::from_be_bytes(*first))
}

struct Key(Hmac<Sha256>);

impl Key {
    fn random() -> Result<Self, getrandom::Error> {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice())?;
        // Any length is good for an HMAC; the error is for those that are not.
        Hmac::new_from_slice(secret.as_slice())
            .map(Self)
            .map_err(|_| getrandom::Error::UNSUPPORTED)
    }

    /// No two lists of parts run together into the same text.
    fn question(&self, parts: &[&[u8]]) -> Question {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(<redacted>)")
    }
}
