//! Who a session belongs to and what they may do, from the bytes that CONNECT has sealed.

use std::{
    hash::{BuildHasher as _, RandomState},
    sync::Arc,
    time::SystemTime,
};

use tidegate_proto::v1::Session;

use super::verdict::{self, Fault, NotAllowed};
use crate::{
    cache::Cache,
    identity::Principal,
    policy::{Permissions, Refusal, Rules},
    recent::{Recent, Standing},
    session_state::{Binding, InvalidState, Opened, Sealer, Stored},
    users::source::SourceError,
};

/// Sessions whose opened state is kept; some 500 bytes each, when there are that many.
const KEPT: usize = 65_536;

/// Everything about sessions that a reload replaces: rules and keys, and with them what they have led to.
#[derive(Debug)]
pub(super) struct Sessions {
    pub(super) rules: Rules,
    pub(super) sealer: Sealer,
    /// Opening takes several times as long as finding again: the seal, then names, roles and grants.
    opened: Cache<Arc<Known>>,
    hasher: RandomState,
}

/// A state that has been opened, and what it is worth under these rules.
#[derive(Debug)]
struct Known {
    session_id: Box<str>,
    client_id: Box<str>,
    state: Box<[u8]>,
    sealed_at: SystemTime,
    ends: Option<SystemTime>,
    stored: Option<Stored>,
    oracle: bool,
    permissions: Arc<Permissions>,
}

/// What a session may do, and who says so.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) permissions: Arc<Permissions>,
    /// Somebody else is asked about the topics, in place of the permissions.
    pub(super) oracle: bool,
}

impl Sessions {
    pub(super) fn new(rules: Rules, sealer: Sealer) -> Self {
        Self::keeping(KEPT, rules, sealer)
    }

    fn keeping(kept: usize, rules: Rules, sealer: Sealer) -> Self {
        Self {
            rules,
            sealer,
            opened: Cache::new(kept),
            hasher: RandomState::new(),
        }
    }

    /// What the session of a check may do, according to CONNECT and to what has changed since. What the check itself
    /// says about user and principal is for the log: only the sealed state is believed.
    pub(super) fn permissions(
        &self,
        session: Option<&Session>,
        recent: &Recent,
        now: SystemTime,
    ) -> Result<Judged, NotAllowed> {
        let session = verdict::session(session)?;
        let known = self.known(session, now)?;
        let sealed = || {
            Ok(Judged {
                permissions: Arc::clone(&known.permissions),
                oracle: known.oracle,
            })
        };
        let Principal::User { name, .. } = known.permissions.principal() else {
            // The rules may be others than at CONNECT.
            return if self.rules.admits_anonymous() {
                sealed()
            } else {
                Err(Refusal::Anonymous.into())
            };
        };
        let Some(stored) = &known.stored else {
            return sealed();
        };
        match recent.judge(stored, name, known.sealed_at) {
            Standing::AsSealed => sealed(),
            Standing::Now(account) if account.disabled => Err(Refusal::Disabled.into()),
            Standing::Now(account) => {
                let principal = Principal::User {
                    name: name.clone(),
                    superuser: account.superuser,
                    roles: account.roles.clone(),
                    grants: account.grants.clone(),
                };
                let permissions = self.rules.permissions(principal, &session.client_id);
                Ok(Judged {
                    permissions: Arc::new(permissions),
                    oracle: account.oracle && !account.superuser,
                })
            }
            Standing::Gone => Err(Refusal::Gone.into()),
            Standing::Ask => Err(InvalidState::Overtaken.into()),
            Standing::NotYet(source_name) => {
                let problem = "what has changed lately is not known yet".to_owned();
                Err(Fault::from(SourceError::Unavailable {
                    source_name,
                    problem,
                })
                .into())
            }
        }
    }

    fn known(&self, session: &Session, now: SystemTime) -> Result<Arc<Known>, InvalidState> {
        let binding = Binding {
            session_id: &session.session_id,
            client_id: &session.client_id,
        };
        let state = &session.session_state[..];
        let key = self.hasher.hash_one((binding, state));
        if let Some(known) = self
            .opened
            .get(key)
            .filter(|known| known.is(binding, state))
        {
            self.sealer.check_age(known.sealed_at, known.ends, now)?;
            return Ok(known);
        }
        let Opened { claims, sealed_at } = self.sealer.open(state, binding, now)?;
        let permissions = self.rules.permissions(claims.principal, binding.client_id);
        let known = Arc::new(Known {
            session_id: binding.session_id.into(),
            client_id: binding.client_id.into(),
            // A copy: the check's own bytes are a part of the whole call's.
            state: state.into(),
            sealed_at,
            ends: claims.ends,
            stored: claims.stored,
            oracle: claims.oracle,
            permissions: Arc::new(permissions),
        });
        self.opened.insert(key, Arc::clone(&known));
        Ok(known)
    }
}

impl Known {
    fn is(&self, binding: Binding<'_>, state: &[u8]) -> bool {
        *self.session_id == *binding.session_id
            && *self.client_id == *binding.client_id
            && *self.state == *state
    }
}

#[cfg(test)]
mod tests;
