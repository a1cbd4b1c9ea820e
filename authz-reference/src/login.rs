//! Logging in: the user sources, asked in the order of the configuration.
//!
//! The first one that knows the user, or the kind of credential, has the last word: a wrong password there is not
//! tried elsewhere. A source that can't answer ends the search too, since it might have said no.
//!
//! What has been found right lately is not verified again ([`Believed`]). What a store says is always asked for, so
//! that a changed password, a disabled and a removed user count at once; only the hashing is spared.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use thiserror::Error;
use tracing::{Instrument, Span};

use self::{believed::Question, flights::Flights};
use crate::{
    deadline::Deadline,
    hashing::{Busy, HashingPool},
    identity::UserName,
    password::Password,
    policy::Refusal,
    session_state::Stored,
    telemetry::verification_span,
    users::{
        Credential, User,
        source::{Found, Login, SourceError, UserSource, Verified},
    },
};

mod believed;
mod flights;

pub use believed::Believed;

/// The rule by which a stored password lets somebody in.
const PASSWORD_RULE: &str = "password";

/// Why somebody is not in.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotIn {
    /// The policy says no.
    #[error("refused: {}", .0.rule())]
    Refused(Refusal),
    /// A source can't say.
    #[error(transparent)]
    Unavailable(#[from] SourceError),
    /// Passwords can't be verified fast enough.
    #[error(transparent)]
    Busy(#[from] Busy),
}

impl From<Refusal> for NotIn {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

/// All sources, and the pool that verifies what they store.
#[derive(Debug)]
pub struct Logins {
    sources: Vec<Box<dyn UserSource>>,
    pool: HashingPool,
    believed: Arc<Believed>,
    flights: Flights,
}

/// Somebody who is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LoggedIn {
    /// Who.
    pub(crate) verified: Verified,
    /// The store that has them, if one has, and tells when they change.
    pub(crate) stored: Option<Stored>,
}

impl Logins {
    /// `sources` in the order in which they are asked.
    #[must_use]
    pub fn new(sources: Vec<Box<dyn UserSource>>, pool: HashingPool, believed: Believed) -> Self {
        Self {
            sources,
            pool,
            believed: Arc::new(believed),
            flights: Flights::default(),
        }
    }

    /// Who is it? `None`: nobody has been named, and no source knows who it might be.
    ///
    /// # Errors
    /// If it is nobody, or can't be said now.
    pub(crate) async fn log_in(
        &self,
        login: &Login<'_>,
        deadline: Deadline,
        span: &Span,
    ) -> Result<Option<LoggedIn>, NotIn> {
        // What an unknown user's password is verified against, so that it costs what a known user's does.
        let mut decoy: Option<(&str, UserName, Credential)> = None;
        for source in &self.sources {
            let found = deadline
                .bound(source.find(login, deadline))
                .instrument(span.clone())
                .await
                .ok_or_else(|| SourceError::Unavailable {
                    source_name: source.name(),
                    problem: "no answer in time".to_owned(),
                })??;
            match found {
                Found::NotMine => {}
                Found::Refused(refusal) => return Err(refusal.into()),
                Found::Verified(verified) => {
                    return admit(verified, None).map(Some);
                }
                Found::Stored(name, known @ Credential::Known(_)) => {
                    return self
                        .verify(source.name(), name, known, login.password, deadline, span)
                        .await
                        .map(Some);
                }
                Found::Stored(name, unknown) => {
                    decoy.get_or_insert((source.name(), name, unknown));
                }
            }
        }
        match (decoy, login.username) {
            (Some((source, name, decoy)), _) => self
                .verify(source, name, decoy, login.password, deadline, span)
                .await
                .map(Some),
            (None, Some(_)) => Err(Refusal::UnknownUserOrPassword.into()),
            (None, None) => Ok(None),
        }
    }

    async fn verify(
        &self,
        source: &str,
        name: UserName,
        credential: Credential,
        password: Option<&Password>,
        deadline: Deadline,
        span: &Span,
    ) -> Result<LoggedIn, NotIn> {
        // No password is never the right one. Answering at once tells nothing about the user.
        let password = password.ok_or(Refusal::UnknownUserOrPassword)?;
        let user = match credential {
            Credential::Known(user) => user,
            unknown @ Credential::Unknown(_) => {
                let password = password.clone();
                self.pool
                    .run(deadline, move || unknown.verify(&password))
                    .instrument(verification_span(span))
                    .await?;
                return Err(Refusal::UnknownUserOrPassword.into());
            }
        };
        let question = self
            .believed
            .question(source, &name, &user.password, password);
        if question.is_none_or(|question| !self.believed.is_right(question)) {
            self.verify_known(&user, question, password, deadline, span)
                .await?;
        }
        let verified = Verified {
            name,
            account: user.account.clone(),
            expires_at: None,
            rule: PASSWORD_RULE,
        };
        let stored = Stored {
            source: source.into(),
            credential: user.password.id(),
        };
        admit(verified, Some(stored))
    }

    /// Verifies a password, or waits for somebody who is verifying the same one against the same hash.
    async fn verify_known(
        &self,
        user: &Arc<User>,
        question: Option<Question>,
        password: &Password,
        deadline: Deadline,
        span: &Span,
    ) -> Result<(), NotIn> {
        let verify = || {
            let (pool, user, password) = (self.pool.clone(), Arc::clone(user), password.clone());
            let believed = Arc::clone(&self.believed);
            async move {
                let verify = move || {
                    let is_right = user.password.verify(&password);
                    // By the job itself: who asked may have given up, and will come again. In a storm of clients each
                    // of them would otherwise have to be verified within its deadline, and on a slow day none is.
                    if let Some(question) = question.filter(|_| is_right) {
                        believed.note_right(question);
                    }
                    is_right
                };
                pool.run(deadline, verify).await
            }
        };
        let right: BoxFuture<'_, Result<bool, Busy>> = match question {
            Some(question) => Box::pin(self.flights.join(question, deadline, verify)),
            None => Box::pin(verify()),
        };
        if !right.instrument(verification_span(span)).await? {
            return Err(Refusal::UnknownUserOrPassword.into());
        }
        Ok(())
    }
}

/// Only who has shown to be somebody hears that they are disabled.
fn admit(verified: Verified, stored: Option<Stored>) -> Result<LoggedIn, NotIn> {
    if verified.account.disabled {
        return Err(Refusal::Disabled.into());
    }
    Ok(LoggedIn { verified, stored })
}

#[cfg(test)]
mod tests;
