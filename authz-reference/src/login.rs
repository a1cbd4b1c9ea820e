//! Logging in: the user sources, asked in the order of the configuration.
//!
//! The first one that knows the user, or the kind of credential, has the last word: a wrong password there is not
//! tried elsewhere. A source that can't answer ends the search too, since it might have said no.

use thiserror::Error;
use tracing::{Instrument, Span};

use crate::{
    deadline::Deadline,
    hashing::{Busy, HashingPool},
    identity::UserName,
    password::Password,
    policy::Refusal,
    telemetry::verification_span,
    users::{
        Account, Credential,
        source::{Found, Login, SourceError, UserSource, Verified},
    },
};

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
}

impl Logins {
    /// `sources` in the order in which they are asked.
    #[must_use]
    pub fn new(sources: Vec<Box<dyn UserSource>>, pool: HashingPool) -> Self {
        Self { sources, pool }
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
    ) -> Result<Option<Verified>, NotIn> {
        // What an unknown user's password is verified against, so that it costs what a known user's does.
        let mut decoy: Option<(UserName, Credential)> = None;
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
                Found::Verified(verified) => return admit(verified).map(Some),
                Found::Stored(name, known @ Credential::Known(_)) => {
                    return self
                        .verify(name, known, login.password, deadline, span)
                        .await
                        .map(Some);
                }
                Found::Stored(name, unknown) => {
                    decoy.get_or_insert((name, unknown));
                }
            }
        }
        match (decoy, login.username) {
            (Some((name, decoy)), _) => self
                .verify(name, decoy, login.password, deadline, span)
                .await
                .map(Some),
            (None, Some(_)) => Err(Refusal::UnknownUserOrPassword.into()),
            (None, None) => Ok(None),
        }
    }

    async fn verify(
        &self,
        name: UserName,
        credential: Credential,
        password: Option<&Password>,
        deadline: Deadline,
        span: &Span,
    ) -> Result<Verified, NotIn> {
        // No password is never the right one. Answering at once tells nothing about the user.
        let password = password.ok_or(Refusal::UnknownUserOrPassword)?.clone();
        let account: Account = self
            .pool
            .run(deadline, move || credential.verify(&password))
            .instrument(verification_span(span))
            .await?
            .ok_or(Refusal::UnknownUserOrPassword)?;
        admit(Verified {
            name,
            account,
            expires_at: None,
            rule: PASSWORD_RULE,
        })
    }
}

/// Only who has shown to be somebody hears that they are disabled.
fn admit(verified: Verified) -> Result<Verified, NotIn> {
    if verified.account.disabled {
        return Err(Refusal::Disabled.into());
    }
    Ok(verified)
}
