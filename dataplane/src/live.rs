//! A value that a reload replaces: whoever needs it takes the one in force, and keeps that.

use std::sync::{Arc, PoisonError, RwLock};

/// Clones share one value.
#[derive(Debug)]
pub(crate) struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Live<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(value))))
    }

    /// What is in force.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts another one in force.
    pub(crate) fn set(&self, value: T) {
        let value = Arc::new(value);
        let mut place = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *place, value);
        // What it holds may take its time to end: not under the lock.
        drop(place);
        drop(old);
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
