//! How long a connection goes on, as its calls see it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio_util::sync::CancellationToken;

/// Among the extensions of each request. The default is a connection that never ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Lifetime {
    program: CancellationToken,
    connection: CancellationToken,
    watches: Arc<AtomicUsize>,
}

/// A watch of directives that is open; it is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenWatch(Arc<AtomicUsize>);

impl Lifetime {
    pub(super) fn new(program: CancellationToken) -> Self {
        Self {
            connection: program.child_token(),
            program,
            watches: Arc::default(),
        }
    }

    /// When the program ends.
    pub(crate) async fn ended(&self) {
        self.program.cancelled().await;
    }

    /// When the connection is old, or the program ends.
    pub(crate) async fn aged(&self) {
        self.connection.cancelled().await;
    }

    pub(super) fn grow_old(&self) {
        self.connection.cancel();
    }

    /// A watch that moves to another replica makes data planes doubt everything, so it is not ended for its age.
    pub(crate) fn open_watch(&self) -> OpenWatch {
        self.watches.fetch_add(1, Ordering::Relaxed);
        OpenWatch(Arc::clone(&self.watches))
    }

    pub(super) fn has_watches(&self) -> bool {
        self.watches.load(Ordering::Relaxed) > 0
    }
}

impl Drop for OpenWatch {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
