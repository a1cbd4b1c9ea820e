//! Packets that the gate refused by itself, by the reason.

use gatekeeper::Unasked;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use super::Labels;

/// The packets and filters that were refused and nobody was asked about.
#[derive(Debug)]
pub(crate) struct RefusedUnasked {
    family: Family<Labels<1>, Counter>,
    handles: [Counter; Unasked::ALL.len()],
}

impl RefusedUnasked {
    pub(super) fn register(&self, registry: &mut Registry) {
        registry.register(
            "refused_unasked",
            "PUBLISH packets and filters that were refused and nobody was asked about, by the reason",
            self.family.clone(),
        );
    }

    /// One more.
    pub(crate) fn count(&self, unasked: Unasked) {
        self.handles[unasked as usize].inc();
    }
}

impl Default for RefusedUnasked {
    fn default() -> Self {
        let family = Family::<Labels<1>, Counter>::default();
        let handles =
            Unasked::ALL.map(|unasked| family.get_or_create_owned(&[("reason", unasked.as_str())]));
        Self { family, handles }
    }
}
