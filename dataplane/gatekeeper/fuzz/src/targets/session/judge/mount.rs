//! A session whose topics begin at a mount: what the client may see of the broker's topics.

use super::{
    Judge,
    message::{self, RESPONSE_TOPIC},
};
use crate::packet::Publish;

impl Judge {
    /// A message of the broker's as the client has to see it; `None` if it has no name.
    pub(super) fn seen(&self, came: &Publish) -> Option<Publish> {
        let Some(mount) = &self.mount else {
            return Some(came.clone());
        };
        let mut seen = came.clone();
        match place(mount, &came.topic) {
            Place::Below(rest) => seen.topic = rest,
            Place::Root => return None,
            Place::Outside if self.resumed || self.has_plain => {}
            Place::Outside => return None,
        }
        seen.properties.retain_mut(|(id, value)| {
            if *id != RESPONSE_TOPIC {
                return true;
            }
            match place(mount, message::content(value)) {
                Place::Below(rest) => *value = message::text(&rest),
                Place::Root => return false,
                Place::Outside => {}
            }
            true
        });
        Some(seen)
    }

    /// Whether it is the client's without a doubt.
    pub(super) fn is_visible(&self, came: &Publish) -> bool {
        let mount = self.mount.as_deref();
        mount.is_none_or(|mount| matches!(place(mount, &came.topic), Place::Below(_)))
    }
}

enum Place {
    Below(String),
    Root,
    Outside,
}

fn place(mount: &str, topic: &str) -> Place {
    match topic.strip_prefix(mount) {
        Some("") => Place::Root,
        Some(rest) => Place::Below(rest.to_owned()),
        None if format!("{topic}/") == mount => Place::Root,
        None => Place::Outside,
    }
}

/// Whether a broker delivers anything that stands at or below the mount to this filter.
pub(super) fn is_reached_by(mount: &str, filter: &str) -> bool {
    let root: Vec<&str> = mount.split('/').collect();
    // A mount ends with a `/`.
    let root = &root[..root.len() - 1];
    let filter: Vec<&str> = filter.split('/').collect();
    let common = filter.iter().zip(root);
    let mut open = common.take_while(|(level, _)| **level != "#");
    let fits = open.all(|(level, own)| *level == "+" || level == own);
    let hashed = filter.iter().position(|level| *level == "#");
    fits && (filter.len() >= root.len() || hashed.is_some())
}

/// A filter of the client's as it stands below the mount.
pub(super) fn below(mount: &str, own: &str) -> String {
    let shared = own
        .strip_prefix("$share/")
        .and_then(|rest| rest.split_once('/'));
    match shared {
        Some((name, filter)) => format!("$share/{name}/{mount}{filter}"),
        None => format!("{mount}{own}"),
    }
}
