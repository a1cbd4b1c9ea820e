//! What has been found right lately. Only that: a wrong password is verified each time.
//!
//! After a network failure, clients come back together, and most of them with what they had before. Verifying a
//! password costs some 60 ms of a core, on purpose; finding it here costs microseconds.
//!
//! * A password that matched a *stored* hash is remembered together with that hash. The store is asked all the same:
//!   when the user has another password there, the question is another one and nothing is remembered about it.
//! * What a source *said* about somebody is remembered if the source permits that ([`UserSource::cache_ttl`]), and until
//!   the user is known to have changed.
//!
//! Credentials are not kept, only what an HMAC with a key of this process makes of them.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::{
    cache::Cache,
    identity::UserName,
    password::{Password, PasswordHash},
    recent::{Recent, Standing},
    users::source::{Login, UserSource, Verified},
};

/// Logins that are remembered; about 200 bytes each, and more with grants.
const MOST: usize = 100_000;

/// A question whose answer may be remembered: the credentials, and what they are held against.
pub(super) type Question = [u8; 32];

/// Credentials that are believed for a while.
#[derive(Debug)]
pub struct Believed {
    /// Zero: nothing is remembered about stored passwords.
    ttl: Duration,
    key: Key,
    recent: Arc<Recent>,
    right: Cache<(Question, Instant)>,
    said: Cache<Arc<Said>>,
}

#[derive(Debug)]
struct Said {
    question: Question,
    verified: Verified,
    asked_at: SystemTime,
    until: Instant,
}

/// What a source is asked, if its answer may be remembered.
#[derive(Debug)]
pub(super) struct Asked {
    question: Question,
    ttl: Duration,
}

impl Believed {
    /// Believes stored passwords for `ttl`, and what sources say as long as they permit.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn new(ttl: Duration, recent: Arc<Recent>) -> Result<Self, getrandom::Error> {
        Ok(Self {
            ttl,
            key: Key::random()?,
            recent,
            right: Cache::new(MOST),
            said: Cache::new(MOST),
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
            Some(b"stored"),
            Some(source.as_bytes()),
            Some(name.as_str().as_bytes()),
            Some(hash.as_bytes()),
            Some(password.expose()),
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

    /// Who is it, according to this source? `None` if it does not permit to remember what it says.
    pub(super) fn asking(&self, source: &dyn UserSource, login: &Login<'_>) -> Option<Asked> {
        let ttl = source.cache_ttl().filter(|ttl| !ttl.is_zero())?;
        let certificate = login.tls.filter(|tls| tls.peer_verified);
        let question = self.key.question(&[
            Some(b"said"),
            Some(source.name().as_bytes()),
            login.username.map(str::as_bytes),
            login.password.map(Password::expose),
            Some(login.client_id.as_bytes()),
            certificate.map(|tls| &tls.peer_sha256[..]),
        ]);
        Some(Asked { question, ttl })
    }

    pub(super) fn verified(&self, asked: &Asked) -> Option<Verified> {
        let said = self.said.get(number(&asked.question))?;
        let good = said.question == asked.question
            && Instant::now() < said.until
            && said
                .verified
                .expires_at
                .is_none_or(|end| SystemTime::now() < end)
            && self.recent.judge(&said.verified.name, said.asked_at) == Standing::AsSealed;
        good.then(|| said.verified.clone())
    }

    /// `begun` is when the source was asked: what has changed since may not have been in its answer.
    pub(super) fn keep(&self, asked: &Asked, verified: &Verified, begun: SystemTime) {
        if let Some(until) = Instant::now().checked_add(asked.ttl) {
            let said = Said {
                question: asked.question,
                verified: verified.clone(),
                asked_at: begun,
                until,
            };
            self.said.insert(number(&asked.question), Arc::new(said));
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

    /// Absent and empty differ, and no two lists of parts run together into the same text.
    fn question(&self, parts: &[Option<&[u8]>]) -> Question {
        let mut mac = self.0.clone();
        for part in parts {
            let length = part.map_or(u64::MAX, |part| part.len() as u64);
            mac.update(&length.to_be_bytes());
            mac.update(part.unwrap_or_default());
        }
        mac.finalize().into_bytes().into()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(<redacted>)")
    }
}
