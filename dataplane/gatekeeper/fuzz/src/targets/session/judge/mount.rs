//! A session whose topics begin at a mount: what the client may see of the broker's topics, and what
//! the gate acknowledges for it.

use std::collections::HashSet;

use super::{
    Judge,
    message::{self, RESPONSE_TOPIC},
};
use crate::packet::{PUBACK, PUBCOMP, PUBREC, PUBREL, Packet, Publish};

/// Deliveries that the client did not get: identifiers whose PUBACK, PUBREC or PUBCOMP the gate owes.
#[derive(Default)]
pub(super) struct Withheld {
    puback: HashSet<u16>,
    pubrec: HashSet<u16>,
    pubcomp: HashSet<u16>,
}

impl Judge {
    /// The client gets a message.
    pub(super) fn check_delivery(&mut self, came: &Publish, gets: &Publish) {
        let Some(mount) = self.mount.clone() else {
            panic!("{came:?} is delivered as {gets:?}");
        };
        let mut expected = came.clone();
        match place(&mount, &came.topic) {
            Place::Below(rest) => expected.topic = rest,
            Place::Root => panic!("the client has no name for {came:?}"),
            Place::Outside => assert!(
                self.resumed || self.has_plain,
                "nobody has asked for {came:?}"
            ),
        }
        expected.properties.retain_mut(|(id, value)| {
            if *id != RESPONSE_TOPIC {
                return true;
            }
            match place(&mount, message::content(value)) {
                Place::Below(rest) => *value = message::text(&rest),
                Place::Root => return false,
                Place::Outside => {}
            }
            true
        });
        assert_eq!(*gets, expected);
        if let Some(id) = gets.id {
            let withheld = &mut self.withheld;
            withheld.pubcomp.remove(&id);
            let acks = [&mut withheld.puback, &mut withheld.pubrec];
            acks[usize::from(gets.qos == 2)].remove(&id);
        }
    }

    /// The client does not get a message.
    pub(super) fn withheld(&mut self) {
        let mount = self.mount.as_deref().expect("a session with a mount");
        let Some(Packet::Publish(came)) = &self.step.came else {
            panic!("nothing was delivered");
        };
        let visible = matches!(place(mount, &came.topic), Place::Below(_));
        assert!(!visible, "{came:?} is the client's");
        match (came.qos, came.id) {
            (1, Some(id)) => {
                self.withheld.puback.insert(id);
            }
            (2, Some(id)) => {
                self.withheld.pubrec.insert(id);
                self.withheld.pubcomp.insert(id);
            }
            _ => {}
        }
    }

    /// The gate answers the broker itself.
    pub(super) fn check_own_answer(&mut self, kind: u8, id: u16, code: u8) {
        assert_eq!(code, 0, "nothing is refused for a client");
        let withheld = &mut self.withheld;
        let owed = match kind {
            PUBACK => withheld.puback.remove(&id),
            PUBREC => withheld.pubrec.remove(&id),
            PUBCOMP => withheld.pubcomp.remove(&id) && self.step.is_release(id),
            _ => false,
        };
        assert!(owed, "{kind} {id} out of nothing");
    }
}

impl super::Step {
    /// Whether the broker has sent this PUBREL.
    fn is_release(&self, wanted: u16) -> bool {
        matches!(self.came, Some(Packet::Ack { kind: PUBREL, id, .. }) if id == wanted)
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
