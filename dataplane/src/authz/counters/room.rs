//! How much room is left where checks wait: asked when somebody wants to know.

use std::{
    fmt,
    sync::{Arc, OnceLock, Weak},
};

/// Where checks wait.
pub(in crate::authz) trait Roomy: Send + Sync {
    /// How many more checks of the usual size fit.
    fn remaining(&self) -> usize;
}

/// The room of one hook. Not there before its lane is, and none is left when the lane is gone.
#[derive(Default)]
pub struct RoomLeft(OnceLock<Weak<dyn Roomy>>);

impl RoomLeft {
    /// How many more checks may wait; fewer if they are large.
    #[must_use]
    pub fn get(&self) -> u64 {
        let room = self.0.get().and_then(Weak::upgrade);
        room.map_or(0, |room| room.remaining() as u64)
    }

    pub(in crate::authz) fn of<R: Roomy + 'static>(&self, room: &Arc<R>) {
        let room: Weak<R> = Arc::downgrade(room);
        // Err: it was told before; there is one lane for each hook.
        let _ = self.0.set(room);
    }
}

impl fmt::Debug for RoomLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RoomLeft").field(&self.get()).finish()
    }
}
