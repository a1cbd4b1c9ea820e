//! `[policy]` and `[roles]`: what users may do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tidegate_settings as settings;

use super::invalid;
use crate::{
    access::{Access, RoleName, TopicTemplate},
    policy::rules::Prefix,
};

/// What they may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PolicyConfig {
    /// The topics that are a user's own. Ends in `/#`; `{username}` and `{client_id}` may each fill a level. Without
    /// `{username}` the client ids have to be `bound`: any user could have any prefix otherwise.
    pub prefix: Prefix,
    /// Whether clients without a user name may connect. They all share the topics under
    /// `anonymous/`, and one namespace of client ids.
    pub anonymous: bool,
    /// The roles of clients without a user name.
    pub anonymous_roles: Vec<RoleName>,
    /// What becomes of client ids.
    pub client_ids: ClientIds,
}

/// What becomes of client ids on the way to the broker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientIds {
    /// The broker sees `<user>/<client id>`, so no user can resume or take over the session of
    /// another.
    #[default]
    Namespaced,
    /// The broker sees what the client sent, and that has to be the user name, or begin with it and a slash.
    Bound,
    /// The broker sees what the client sent. Any user can take over any session whose client id
    /// they know, with its subscriptions: only for user bases in which all trust each other.
    Off,
}

/// `[roles.NAME]`: what those who have the role may do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoleConfig {
    /// What the role opens, each grant by itself: one that covers half of a filter and another that covers the other
    /// half do not open it.
    pub grants: Vec<Access>,
}

impl PolicyConfig {
    /// Whether a grant would be for whoever chooses the client id. It opens nothing, whoever has it.
    #[must_use]
    pub fn is_anybodys(&self, topic: &TopicTemplate) -> bool {
        topic.uses_client_id() && !topic.uses_username() && self.client_ids != ClientIds::Bound
    }

    pub(super) fn check(
        &self,
        roles: &BTreeMap<RoleName, RoleConfig>,
        tree: &settings::Tree,
    ) -> Result<(), settings::Error> {
        if !self.prefix.uses_username() && self.client_ids != ClientIds::Bound {
            let expected = "a level that is `{username}`, or `client_ids = \"bound\"`: \
                            who may choose any client id would have any prefix";
            return Err(invalid(
                tree,
                "policy.prefix",
                self.prefix.as_str(),
                expected,
            ));
        }
        for (name, role) in roles {
            let topics = role.grants.iter().map(|grant| &grant.topic);
            let mut open = topics.filter(|topic| self.is_anybodys(topic));
            if let Some(topic) = open.next() {
                let key = format!("roles.{name}.grants");
                let expected = "`{username}` beside `{client_id}`, or `policy.client_ids = \"bound\"`: who may \
                                choose any client id would have the topics of any";
                return Err(invalid(tree, &key, topic.as_str(), expected));
            }
        }
        match self
            .anonymous_roles
            .iter()
            .find(|name| !roles.contains_key(name))
        {
            Some(name) => {
                let expected = "roles that are defined as `[roles.NAME]`";
                Err(invalid(
                    tree,
                    "policy.anonymous_roles",
                    name.as_str(),
                    expected,
                ))
            }
            None => Ok(()),
        }
    }
}
