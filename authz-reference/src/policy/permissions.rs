//! What one session may do.

use std::sync::Arc;

use super::{
    Grant, Origin, Refusal,
    rules::{Prefix, Role},
};
use crate::{
    access::{Access, Names},
    identity::Principal,
    topics::is_dollar,
};

/// A principal with their client id and what the rules open for them. Deciding allocates nothing.
#[derive(Debug)]
pub struct Permissions {
    principal: Principal,
    names: Names,
    prefix: Arc<Prefix>,
    roles: Vec<Arc<Role>>,
}

/// A PUBLISH, or a will.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Publication<'a> {
    /// The topic name.
    pub topic: &'a str,
    /// Where answers are to go; empty if nowhere.
    pub response_topic: &'a str,
    /// 0 to 2.
    pub qos: u32,
    /// Whether the broker is to keep it.
    pub retain: bool,
    /// Packet or will.
    pub origin: Origin,
}

/// A topic filter that somebody wants to subscribe to, without `$share/<name>/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscription<'a> {
    /// The filter.
    pub filter: &'a str,
    /// The highest QoS asked for, 0 to 2.
    pub qos: u32,
}

/// A subscription that is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeGrant {
    /// By which rule.
    pub grant: Grant,
    /// The highest QoS, if it is lower than what was asked for.
    pub max_qos: Option<u32>,
}

impl Permissions {
    pub(super) fn new(
        principal: Principal,
        names: Names,
        prefix: Arc<Prefix>,
        roles: Vec<Arc<Role>>,
    ) -> Self {
        Self {
            principal,
            names,
            prefix,
            roles,
        }
    }

    /// Whose they are.
    #[must_use]
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// May this be published, or left as a will?
    ///
    /// The response topic counts as well: whoever answers a request publishes with their own rights, and must not be
    /// led to do so where the asker could not.
    ///
    /// # Errors
    /// The rule that refused.
    pub fn publish(&self, publication: &Publication<'_>) -> Result<Grant, Refusal> {
        if self.principal.is_superuser() {
            return Ok(Grant::Superuser);
        }
        let grant = self.publish_to(publication)?;
        let answer = publication.response_topic;
        if !answer.is_empty() && !self.may_publish_somehow(answer) {
            return Err(Refusal::ResponseTopic);
        }
        Ok(grant)
    }

    /// May they receive everything that the filter matches?
    ///
    /// `alice/#` includes the bare topic `alice` by definition of `#`, so unlike for publishing that level is within
    /// reach here. Of several grants that cover the filter the one with the highest QoS counts.
    ///
    /// # Errors
    /// The rule that refused.
    pub fn subscribe(&self, subscription: &Subscription<'_>) -> Result<SubscribeGrant, Refusal> {
        let filter = subscription.filter;
        let whole = |grant| SubscribeGrant {
            grant,
            max_qos: None,
        };
        if self.principal.is_superuser() {
            return Ok(whole(Grant::Superuser));
        }
        if self.owns_all(filter) {
            return Ok(whole(Grant::OwnPrefix));
        }
        let mut best: Option<(Granted<'_>, u32)> = None;
        for (by, access) in self.grants() {
            if !access.subscribe || !self.opens(access, filter) {
                continue;
            }
            let qos = u32::from(access.qos);
            if qos >= subscription.qos {
                return Ok(whole(by.grant()));
            }
            if best.as_ref().is_none_or(|(_, highest)| qos > *highest) {
                best = Some((by, qos));
            }
        }
        match best {
            Some((by, qos)) => Ok(SubscribeGrant {
                grant: by.grant(),
                max_qos: Some(qos),
            }),
            None => Err(outside(filter)),
        }
    }

    fn publish_to(&self, publication: &Publication<'_>) -> Result<Grant, Refusal> {
        let topic = publication.topic;
        if self.owns(topic) {
            return Ok(Grant::OwnPrefix);
        }
        let mut short_of = None;
        for (by, access) in self.grants() {
            if !access.publish || !self.opens(access, topic) {
                continue;
            }
            match permits(access, publication) {
                Ok(()) => return Ok(by.grant()),
                Err(refusal) => short_of = short_of.or(Some(refusal)),
            }
        }
        Err(short_of.unwrap_or_else(|| outside(topic)))
    }

    fn may_publish_somehow(&self, topic: &str) -> bool {
        self.owns(topic)
            || self
                .grants()
                .any(|(_, access)| access.publish && self.opens(access, topic))
    }

    pub(super) fn owns(&self, topic: &str) -> bool {
        self.prefix.is_above(topic, &self.names)
    }

    pub(super) fn owns_all(&self, filter: &str) -> bool {
        self.prefix.covers(filter, &self.names)
    }

    pub(super) fn opens(&self, access: &Access, filter: &str) -> bool {
        access.topic.covers(filter, &self.names)
    }

    pub(super) fn prefix(&self) -> &Prefix {
        &self.prefix
    }

    /// The user's own, then those of the roles in the order in which the user has them.
    pub(super) fn grants(&self) -> impl Iterator<Item = (Granted<'_>, &Access)> {
        let own = match &self.principal {
            Principal::User { grants, .. } => grants.as_slice(),
            Principal::Anonymous => &[],
        };
        let roles = self.roles.iter().flat_map(|role| {
            let by = Granted::Role(&role.rule);
            role.grants.iter().map(move |access| (by, access))
        });
        own.iter()
            .map(|access| (Granted::User, access))
            .chain(roles)
    }
}

/// Where a grant comes from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Granted<'a> {
    User,
    Role(&'a Arc<str>),
}

impl Granted<'_> {
    pub(super) fn grant(self) -> Grant {
        match self {
            Self::User => Grant::User,
            Self::Role(rule) => Grant::Role(Arc::clone(rule)),
        }
    }
}

/// Whether a grant that covers the topic goes as far as the publication.
pub(super) fn permits(access: &Access, publication: &Publication<'_>) -> Result<(), Refusal> {
    if publication.retain && !access.retain {
        return Err(Refusal::Retain(publication.origin));
    }
    if publication.qos > u32::from(access.qos) {
        return Err(Refusal::Qos(publication.origin));
    }
    Ok(())
}

fn outside(topic_or_filter: &str) -> Refusal {
    if is_dollar(topic_or_filter) {
        Refusal::DollarTopic
    } else {
        Refusal::OwnPrefix
    }
}
