//! Packets that were asked about, by kind and fate.

use std::array;

use gatekeeper::Fate;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::authz::HookKind;

use super::Labels;

/// The words for what becomes of a packet.
const FATES: [&str; 6] = [
    "forwarded",
    "forwarded_in_part",
    "refused",
    "dropped",
    "closed",
    "expired",
];

/// The place of a fate in [`FATES`].
fn place(fate: Fate) -> usize {
    match fate {
        Fate::Forwarded => 0,
        Fate::ForwardedInPart => 1,
        Fate::Refused(_) => 2,
        Fate::Dropped => 3,
        Fate::Closed => 4,
        Fate::Expired => 5,
    }
}

/// The word for a fate, in metrics and spans.
pub(crate) fn fate_word(fate: Fate) -> &'static str {
    FATES[place(fate)]
}

/// The packets of clients that were asked about.
#[derive(Debug)]
pub(crate) struct Packets {
    family: Family<Labels<2>, Counter>,
    handles: [[Counter; FATES.len()]; HookKind::ALL.len()],
}

impl Packets {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "packets",
            "Packets of clients that were asked about, by what became of them",
            self.family.clone(),
        );
    }

    /// So many packets of this kind have met this fate.
    pub(crate) fn count(&self, kind: HookKind, fate: Fate, packets: u64) {
        self.handles[kind as usize][place(fate)].inc_by(packets);
    }
}

impl Default for Packets {
    fn default() -> Self {
        let family = Family::<Labels<2>, Counter>::default();
        let handles = HookKind::ALL.map(|kind| {
            array::from_fn(|place| {
                let labels = [("kind", kind.as_str()), ("fate", FATES[place])];
                family.get_or_create_owned(&labels)
            })
        });
        Self { family, handles }
    }
}
