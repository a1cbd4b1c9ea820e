//! What all user bases have in common: [`UserSource`].
//!
//! The ways in are two. A base that *stores* hashes hands out a [`Credential`], which is verified in the
//! [hashing pool](crate::hashing) and costs the same for unknown users. A base that *asks* somebody else, or
//! looks at a signature, says itself what came out of it.

use std::{fmt, sync::Arc, time::SystemTime};

use thiserror::Error;
use tidegate_proto::v1::TlsInfo;

use super::{Account, Credential, topic_oracle::TopicOracle};
use crate::{deadline::Deadline, identity::UserName, password::Password, policy::Refusal};

/// What a CONNECT says about who the client is.
#[derive(Debug, Clone, Copy)]
pub struct Login<'a> {
    /// The user name of CONNECT. Unchecked: it may be no [`UserName`] at all, for instance a token.
    pub username: Option<&'a str>,
    /// The password of CONNECT.
    pub password: Option<&'a Password>,
    /// The client id, as the client sent it.
    pub client_id: &'a str,
    /// What TLS showed; a certificate counts only if `peer_verified`.
    pub tls: Option<&'a TlsInfo>,
    /// The data plane's listener that the client came to.
    pub listener: &'a str,
}

/// Who it is, when a source has found out by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Whose topics and sessions it will be.
    pub name: UserName,
    /// What they have.
    pub account: Account,
    /// When that ends by itself (the token's `exp`).
    pub expires_at: Option<SystemTime>,
    /// The name of the rule in results, logs and spans, such as `jwt`.
    pub rule: &'static str,
}

/// What a source says about a login.
#[derive(Debug)]
pub enum Found {
    /// Something to verify the password against: the user's, or a decoy's if there is no such user here.
    Stored(UserName, Credential),
    /// The source has looked at the credentials itself, and they are right.
    Verified(Verified),
    /// The source knows this kind of credential, and it is not good. No other source is asked.
    Refused(Refusal),
    /// No such user, or no such kind of credential: for another source to say.
    NotMine,
}

/// Nobody can say who it is now. Never a denial. The text is for operators, and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SourceError {
    /// The store, or who is asked, cannot be reached or answers nonsense.
    #[error("{source_name}: {problem}")]
    Unavailable {
        /// Which source, as the configuration calls it.
        source_name: &'static str,
        /// What went wrong.
        problem: String,
    },
    /// The source is well, but can't say this one thing yet: it asks others only now and then. It may be asked again.
    #[error("{source_name}: {problem}")]
    NotYet {
        /// Which source, as the configuration calls it.
        source_name: &'static str,
        /// What it does not know.
        problem: &'static str,
    },
    /// It takes too many at once already, or the deadline would pass first.
    #[error("{0} is busy")]
    Busy(&'static str),
}

/// A user base. Asked at CONNECT only.
#[tonic::async_trait]
pub trait UserSource: Send + Sync + fmt::Debug {
    /// What the configuration calls it: `file`, `sqlite`, `postgres`, `http`, `jwt`, `certificate`.
    fn name(&self) -> &'static str;

    /// Whether it can be asked now, as far as is known. A service none of whose sources can be asked is not ready.
    fn is_ready(&self) -> bool {
        true
    }

    /// Who is this? Bounded by `deadline`, which the caller has made no later than its own.
    ///
    /// # Errors
    /// If it can't be said now.
    async fn find(&self, login: &Login<'_>, deadline: Deadline) -> Result<Found, SourceError>;

    /// Whether services that share this source tell each other by which rules they decide.
    fn tells_rules(&self) -> bool {
        false
    }

    /// By which rules this service decides about topics: told once at its start, and each time that there are others. What
    /// another service had its data planes ask again may have been answered here by the old ones. Nobody hears of it, unless
    /// [`Self::tells_rules`].
    fn rules_are(&self, _revision: &str) {}

    /// Who decides about the topics of those whose [`Account::oracle`] is set. None, unless somebody else does.
    fn topic_oracle(&self) -> Option<Arc<dyn TopicOracle>> {
        None
    }
}
