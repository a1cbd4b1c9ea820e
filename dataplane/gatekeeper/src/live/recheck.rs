//! What was allowed is asked about again.

use crate::{
    gatekeeper::{Context, Phase},
    revocation::Revocation,
};

use super::Live;

impl Live {
    /// Asks again about every subscription that stands.
    pub(crate) fn recheck(self: Box<Self>, cx: &mut Context<'_>) -> Phase {
        self.revoke(Revocation::default(), cx)
    }
}
