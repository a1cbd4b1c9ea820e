//! How much room is left where checks wait: asked when somebody wants to know.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError, Weak},
};

/// Where checks wait.
pub(in crate::authz) trait Roomy: Send + Sync {
    /// How many more checks of the usual size fit.
    fn remaining(&self) -> usize;
}

/// The room of one hook. Not there before its lane is, and none is left when the lane is gone.
#[derive(Default)]
pub struct RoomLeft(Mutex<Option<Weak<dyn Roomy>>>);

impl RoomLeft {
    /// How many more checks may wait; fewer if they are large.
    #[must_use]
    pub fn get(&self) -> u64 {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = told.as_ref().and_then(Weak::upgrade);
        drop(told);
        room.map_or(0, |room| room.remaining() as u64)
    }

    pub(in crate::authz) fn of<R: Roomy + 'static>(&self, room: &Arc<R>) {
        let room: Weak<R> = Arc::downgrade(room);
        // After a reload the room is that of new sessions.
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(room);
    }
}

impl fmt::Debug for RoomLeft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RoomLeft").field(&self.get()).finish()
    }
}
