//! The rules of the configuration, ready to be asked.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use super::{Permissions, Refusal};
use crate::{
    access::{Access, Names, RoleName, TemplateError, TopicTemplate},
    config::{ClientIds, PolicyConfig, RoleConfig},
    identity::Principal,
    topics::is_level,
};

/// Everything that decisions depend on, but for who somebody is.
#[derive(Debug)]
pub struct Rules {
    prefix: Arc<Prefix>,
    anonymous: bool,
    anonymous_roles: Vec<RoleName>,
    client_ids: ClientIds,
    roles: HashMap<RoleName, Arc<Role>>,
    revision: String,
}

/// What a role opens.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Role {
    /// `grant:role:<name>`
    pub(super) rule: Arc<str>,
    pub(super) grants: Vec<Access>,
}

impl Rules {
    /// Takes the rules from the configuration.
    #[must_use]
    pub fn new(policy: &PolicyConfig, roles: &BTreeMap<RoleName, RoleConfig>) -> Self {
        let role = |(name, config): (&RoleName, &RoleConfig)| {
            let role = Role {
                rule: format!("grant:role:{name}").into(),
                grants: config.grants.clone(),
            };
            (name.clone(), Arc::new(role))
        };
        Self {
            prefix: Arc::new(policy.prefix.clone()),
            anonymous: policy.anonymous,
            anonymous_roles: policy.anonymous_roles.clone(),
            client_ids: policy.client_ids,
            roles: roles.iter().map(role).collect(),
            revision: revision(policy, roles),
        }
    }

    /// Names these rules: equal on all replicas that have the same ones. Decisions about topics depend on them and on
    /// the session state, not on the user base; a new user is no reason to forget decisions.
    #[must_use]
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// Whether a client without a user name may connect.
    #[must_use]
    pub fn admits_anonymous(&self) -> bool {
        self.anonymous
    }

    /// The client id to use towards the broker, if it is another one.
    ///
    /// # Errors
    /// If the client may not have this id.
    pub fn broker_client_id(
        &self,
        principal: &Principal,
        client_id: &str,
    ) -> Result<Option<String>, Refusal> {
        if self.prefix.0.uses_client_id() && !principal.is_superuser() && !is_level(client_id) {
            return Err(Refusal::ClientIdNoLevel);
        }
        match self.client_ids {
            ClientIds::Off => Ok(None),
            ClientIds::Bound => principal
                .owns_client_id(client_id)
                .then_some(None)
                .ok_or(Refusal::ClientIdNotOwn),
            ClientIds::Namespaced => principal
                .broker_client_id(client_id)
                .map(Some)
                .ok_or(Refusal::ClientId),
        }
    }

    /// What a session of `principal` may do. Roles that are not defined open nothing.
    #[must_use]
    pub fn permissions(&self, principal: Principal, client_id: &str) -> Permissions {
        let names = match &principal {
            Principal::User { roles, .. } => roles,
            Principal::Anonymous => &self.anonymous_roles,
        };
        let roles = names
            .iter()
            .filter_map(|name| self.roles.get(name).cloned())
            .collect();
        let client_id_is_own = self.client_ids == ClientIds::Bound;
        let names = Names::new(&principal, client_id, client_id_is_own);
        Permissions::new(principal, names, Arc::clone(&self.prefix), roles)
    }
}

fn revision(policy: &PolicyConfig, roles: &BTreeMap<RoleName, RoleConfig>) -> String {
    let digest = Sha256::digest(format!("{policy:?};{roles:?}"));
    let short: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{};{short}", env!("CARGO_PKG_VERSION"))
}

/// The topics that are somebody's own: `{username}/#`, or further down.
///
/// The prefix itself, `{username}`, is theirs to subscribe to, by definition of `#`, but not to publish to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Prefix(TopicTemplate, usize);

/// Why a text is not a [`Prefix`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PrefixError {
    /// Not even a template.
    #[error(transparent)]
    Template(#[from] TemplateError),
    /// Wildcards elsewhere than at the end, or none there; everybody's; or the broker's own.
    #[error(
        "`{0}`: a prefix ends in `/#`, has no other wildcard, does not begin with `$`, and has a level that is \
         `{{username}}` or `{{client_id}}`"
    )]
    NotAPrefix(String),
}

impl Prefix {
    /// Reads a prefix.
    ///
    /// # Errors
    /// If topics below it could be more than one user's, or the broker's.
    pub fn new(text: &str) -> Result<Self, PrefixError> {
        let template = TopicTemplate::new(text)?;
        let own = template.uses_username() || template.uses_client_id();
        let plain = text.strip_suffix("/#").is_some_and(|prefix| {
            !prefix.contains(['+', '#']) && !prefix.starts_with('$') && !prefix.is_empty()
        });
        if !own || !plain {
            return Err(PrefixError::NotAPrefix(text.to_owned()));
        }
        Ok(Self(template, text.split('/').count()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it depends on the user name: whoever has another one then never has the same topics.
    #[must_use]
    pub fn uses_username(&self) -> bool {
        self.0.uses_username()
    }

    /// Whether everything that `filter` matches is below it, or is the prefix itself.
    pub(super) fn covers(&self, filter: &str, names: &Names) -> bool {
        self.0.covers(filter, names)
    }

    /// Whether `topic` is below it. Whole levels: `alice2/x` is not below `alice`, and neither is `alice` itself.
    pub(super) fn is_above(&self, topic: &str, names: &Names) -> bool {
        self.0.covers(topic, names) && topic.split('/').count() >= self.1
    }
}

impl Default for Prefix {
    fn default() -> Self {
        Self(TopicTemplate::below_username(), 2)
    }
}

impl TryFrom<String> for Prefix {
    type Error = PrefixError;

    fn try_from(text: String) -> Result<Self, PrefixError> {
        Self::new(&text)
    }
}

impl From<Prefix> for String {
    fn from(prefix: Prefix) -> Self {
        prefix.0.into()
    }
}
