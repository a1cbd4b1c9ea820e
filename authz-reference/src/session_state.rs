//! The session state: what CONNECT settled, carried by the data plane and trusted by its seal.
//!
//! The data plane hands these bytes back with every PUBLISH and SUBSCRIBE check, so those touch no
//! user store, and any replica with the same [keys](Keys) can answer them. They are sealed together with the id of
//! the session and the client id they were made for: an altered state, or one replayed on another session, does not
//! open. Nor does one that is older than the configured age, so that a revocation that got lost ends by itself.
//!
//! ```text
//! version (1) | key id (4) | content | HMAC-SHA-256 (32)
//! ```
//!
//! The seal covers all of it, and the two ids, which are not stored: every check names its own. The content is
//! described in `layout`.

use std::time::{Duration, SystemTime};

use bytes::Bytes;
use thiserror::Error;

use crate::{identity::Principal, password::HashId};

mod keys;
mod layout;

pub use keys::{KeyError, Keys, MIN_KEY_BYTES};

/// The layout that is written and read. Another one takes another number; never reuse. 1 had no key id and no time, 2
/// did not say which store has the user.
const VERSION: u8 = 3;
const HEADER_BYTES: usize = 1 + keys::ID_BYTES;
const SEAL_BYTES: usize = 32;

/// The largest state, in bytes: what data planes take by default.
pub const MAX_STATE_BYTES: usize = 1024;

/// How far the clocks of replicas may be apart. A state from further ahead is not believed: it would seem to be newer
/// than changes that it does not know of.
pub(crate) const CLOCKS_APART: Duration = Duration::from_secs(10);

/// What CONNECT has found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Whose session it is.
    pub principal: Principal,
    /// Where the account is kept, if that is a store that tells its changes: then [`crate::recent`] may know better.
    pub stored: Option<Stored>,
    /// Whether somebody else is asked about the topics
    /// ([`TopicOracle`](crate::users::topic_oracle::TopicOracle)), in place of the rules of this service.
    pub oracle: bool,
    /// When the credentials end by themselves, to the millisecond (the `exp` of a token, with the leeway). The data
    /// plane ends the session then; whatever it asks later is refused here, too.
    pub ends: Option<SystemTime>,
}

/// Who somebody is in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The store's name. Another store may have somebody else by the same user name.
    pub source: Box<str>,
    /// What the password was verified against.
    pub credential: HashId,
}

/// What a state is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Binding<'a> {
    /// The session, which is one connection. Never empty.
    pub session_id: &'a str,
    /// The client id, which topic templates may hold.
    pub client_id: &'a str,
}

/// A state that has been opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opened {
    /// What CONNECT has found out.
    pub claims: Claims,
    /// When.
    pub sealed_at: SystemTime,
}

/// A state that can't be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum InvalidState {
    /// Cut, altered, of another session, client id, key or layout, or from the future.
    #[error("the session state was not made by this service for this session")]
    Foreign,
    /// Too old, or the credentials that it was made for have ended.
    #[error("the session state is too old, or the credentials have ended")]
    Expired,
    /// What it says has been overtaken, and what is true now is not known here.
    #[error("the user has changed since the session began, and has to log in again")]
    Overtaken,
}

/// What does not fit into a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "the session state would have {bytes} bytes, and at most {MAX_STATE_BYTES} are permitted: give the user roles \
     instead of grants"
)]
pub struct TooLarge {
    /// What it would take.
    pub bytes: usize,
}

/// Makes and opens session states.
#[derive(Debug)]
pub struct Sealer {
    keys: Keys,
    max_age: Duration,
}

impl Sealer {
    /// States that may get this old.
    #[must_use]
    pub fn new(keys: Keys, max_age: Duration) -> Self {
        Self { keys, max_age }
    }

    /// Whether this one opens all states that `other` has sealed or opens, but for their age.
    #[must_use]
    pub fn opens_all_of(&self, other: &Self) -> bool {
        self.keys.open_all_of(&other.keys)
    }

    /// The state of a session that has just been opened.
    ///
    /// # Errors
    /// If it would be larger than data planes take.
    pub fn seal(
        &self,
        claims: &Claims,
        binding: Binding<'_>,
        now: SystemTime,
    ) -> Result<Bytes, TooLarge> {
        let key = self.keys.sealing();
        let mut state = Vec::with_capacity(256);
        state.push(VERSION);
        state.extend_from_slice(&key.id());
        layout::write(claims, now, &mut state);
        let seal = key.seal(&state, binding);
        state.extend_from_slice(&seal);
        if state.len() > MAX_STATE_BYTES {
            return Err(TooLarge { bytes: state.len() });
        }
        Ok(state.into())
    }

    /// When a session that is sealed now has to end: within the last tenth of the time that its state is good for,
    /// and different for each state, so that clients that have come together need not come back together.
    #[must_use]
    pub fn end(&self, state: &[u8], now: SystemTime) -> Option<SystemTime> {
        let lot = state
            .last_chunk()
            .map_or(0, |last| u16::from_be_bytes(*last));
        let early = self.max_age / 10 * u32::from(lot) / u32::from(u16::MAX);
        now.checked_add(self.max_age - early)
    }

    /// Whose session this is, if `state` was sealed for it by one of the keys.
    ///
    /// # Errors
    /// If the state was cut, altered, or made for another session or with another key, or has become too old.
    pub fn open(
        &self,
        state: &[u8],
        binding: Binding<'_>,
        now: SystemTime,
    ) -> Result<Opened, InvalidState> {
        let foreign = InvalidState::Foreign;
        if state.len() > MAX_STATE_BYTES {
            return Err(foreign);
        }
        let (sealed, seal) = state.split_last_chunk::<SEAL_BYTES>().ok_or(foreign)?;
        let (header, content) = sealed.split_first_chunk::<HEADER_BYTES>().ok_or(foreign)?;
        let [version, id @ ..] = header;
        // Nothing but the choice of the key is looked at before the seal is verified.
        if *version != VERSION || !self.keys.verify(*id, sealed, seal, binding) {
            return Err(foreign);
        }
        let opened = layout::read(content).ok_or(foreign)?;
        self.check_age(opened.sealed_at, opened.claims.ends, now)?;
        Ok(opened)
    }

    /// Whether a state that was sealed then, and [ends](Claims::ends) then, is still good.
    ///
    /// # Errors
    /// If it is too old, has ended, or is from the future.
    pub fn check_age(
        &self,
        sealed_at: SystemTime,
        ends: Option<SystemTime>,
        now: SystemTime,
    ) -> Result<(), InvalidState> {
        if ends.is_some_and(|ends| ends <= now) {
            return Err(InvalidState::Expired);
        }
        match now.duration_since(sealed_at) {
            Ok(age) if age > self.max_age => Err(InvalidState::Expired),
            Ok(_) => Ok(()),
            Err(ahead) if ahead.duration() > CLOCKS_APART => Err(InvalidState::Foreign),
            Err(_) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;
