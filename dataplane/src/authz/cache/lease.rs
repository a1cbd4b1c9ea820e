//! For how long, and while what is so, a decision that is kept may be used.

use tokio::time::Instant;

use super::Maker;
use crate::authz::epoch::{Epochs, Stamp};

/// The conditions of a decision. They are looked at when it is found, and again when it is used: in between, a
/// packet may wait for those in front of it.
#[derive(Debug, Clone)]
pub(in crate::authz) struct Lease {
    /// When its time is over.
    pub(super) until: Instant,
    pub(super) maker: Option<Maker>,
    /// The last directive when it was asked for.
    pub(super) epoch: u64,
    pub(super) is_allow: bool,
}

impl Lease {
    /// Whether the decision may be used now.
    pub(super) fn holds(&self, now: Instant, stamp: &Stamp, epochs: &Epochs) -> bool {
        now < self.until && self.is_valid(stamp) && self.is_safe(epochs)
    }

    /// Whether nothing has taken it back, be its time over or not.
    pub(super) fn is_valid(&self, stamp: &Stamp) -> bool {
        self.maker.as_ref().is_some_and(Maker::is_current) && !stamp.outdates(self.epoch)
    }

    /// While directives would not reach us, an allow might have been taken back.
    pub(super) fn is_safe(&self, epochs: &Epochs) -> bool {
        !self.is_allow || epochs.is_fresh()
    }
}
