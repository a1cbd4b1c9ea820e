//! What each rule has to say about an action, for `tidegate-authz explain`.
//!
//! The decision itself is not made here: it is [`Permissions`]', and the two are tested against each other.

use std::fmt;

use super::{
    Permissions, Publication, Refusal, Subscription,
    permissions::{Granted, permits},
};
use crate::access::Access;

/// One rule and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Its name, as in results and logs.
    pub rule: String,
    /// What it is about: a template and what that opens.
    pub opens: String,
    /// What it says about the action.
    pub says: Says,
}

/// What a rule says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Says {
    /// Yes.
    Yes,
    /// Yes, but with a lower QoS.
    YesUpToQos(u8),
    /// The topic, or a part of the filter, is outside of it.
    NotCovered,
    /// It is about the other action.
    OtherAction,
    /// Not if the message is to be retained.
    NotRetained,
    /// Not with that QoS.
    NotThatQos,
}

impl Says {
    /// Whether it lets the action pass.
    #[must_use]
    pub fn is_yes(self) -> bool {
        matches!(self, Self::Yes | Self::YesUpToQos(_))
    }
}

impl fmt::Display for Says {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Yes => f.write_str("yes"),
            Self::YesUpToQos(qos) => write!(f, "yes, with QoS {qos}"),
            Self::NotCovered => f.write_str("does not cover it"),
            Self::OtherAction => f.write_str("is not about this action"),
            Self::NotRetained => f.write_str("covers it, but not retained"),
            Self::NotThatQos => f.write_str("covers it, but not with this QoS"),
        }
    }
}

impl Permissions {
    /// What the rules say about a publication, in the order in which they are asked. The response topic is not looked
    /// at.
    #[must_use]
    pub fn explain_publish(&self, publication: &Publication<'_>) -> Vec<Line> {
        let own = self.owns(publication.topic);
        self.explain(own, |access| {
            if !access.publish {
                Says::OtherAction
            } else if !self.opens(access, publication.topic) {
                Says::NotCovered
            } else {
                match permits(access, publication) {
                    Ok(()) => Says::Yes,
                    Err(Refusal::Retain(_)) => Says::NotRetained,
                    Err(_) => Says::NotThatQos,
                }
            }
        })
    }

    /// What the rules say about a subscription.
    #[must_use]
    pub fn explain_subscribe(&self, subscription: &Subscription<'_>) -> Vec<Line> {
        let own = self.owns_all(subscription.filter);
        self.explain(own, |access| {
            if !access.subscribe {
                Says::OtherAction
            } else if !self.opens(access, subscription.filter) {
                Says::NotCovered
            } else if u32::from(access.qos) < subscription.qos {
                Says::YesUpToQos(access.qos)
            } else {
                Says::Yes
            }
        })
    }

    fn explain(&self, own: bool, says: impl Fn(&Access) -> Says) -> Vec<Line> {
        let superuser = self.principal().is_superuser().then(|| Line {
            rule: "superuser".to_owned(),
            opens: "everything".to_owned(),
            says: Says::Yes,
        });
        let own = Line {
            rule: "own-prefix".to_owned(),
            opens: self.prefix().as_str().to_owned(),
            says: if own { Says::Yes } else { Says::NotCovered },
        };
        let grants = self.grants().map(|(by, access)| Line {
            rule: match by {
                Granted::User => "grant:user".to_owned(),
                Granted::Role(rule) => rule.to_string(),
            },
            opens: describe(access),
            says: says(access),
        });
        superuser.into_iter().chain([own]).chain(grants).collect()
    }
}

/// `news/# subscribe, QoS 1`
fn describe(access: &Access) -> String {
    let publish = match (access.publish, access.retain) {
        (true, true) => Some("publish"),
        (true, false) => Some("publish without retain"),
        (false, _) => None,
    };
    let actions: Vec<&str> = publish
        .into_iter()
        .chain(access.subscribe.then_some("subscribe"))
        .collect();
    let actions = match actions.join(" and ") {
        none if none.is_empty() => "nothing".to_owned(),
        actions => actions,
    };
    format!("{} {actions}, QoS {}", access.topic.as_str(), access.qos)
}
