//! Settings whose files may change while the program runs. Whoever connects looks at them; no task watches.

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::{sync::Mutex, task::spawn_blocking, time::Instant};
use tokio_rustls::rustls::ClientConfig;
use tracing::{info, warn};

use super::{Keys, Loaded, TlsError, TlsFiles, load};
use crate::{
    metrics::{TlsMetrics, TlsReloads},
    tls::stamp::{Look, Watched},
};

/// Time between two looks at the files. It is dials that look, and without one there is no need to.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Settings of TLS towards a server, of the files as they are. Clones look together.
#[derive(Debug, Clone)]
pub(crate) struct Reloading {
    source: Arc<Source>,
    /// Held by whoever looks at the files.
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug)]
struct Source {
    keys: Keys,
    files: TlsFiles,
    alpn: &'static [u8],
    current: RwLock<Loaded>,
    reloads: TlsReloads,
}

/// What is known of the files.
#[derive(Debug)]
struct Seen {
    looked_at: Instant,
    watched: Watched,
}

impl Reloading {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// Files that can't be used.
    pub(crate) fn load(
        keys: Keys,
        files: TlsFiles,
        alpn: &'static [u8],
        metrics: &TlsMetrics,
    ) -> Result<Self, TlsError> {
        let paths = [&files.ca, &files.cert, &files.key];
        let watched = Watched::new(paths.into_iter().flatten().cloned());
        let loaded = load(keys, &files, alpn)?;
        Ok(Self {
            source: Arc::new(Source {
                keys,
                files,
                alpn,
                current: RwLock::new(loaded),
                reloads: metrics.reloads_of(keys.side),
            }),
            seen: Arc::new(Mutex::new(Seen {
                looked_at: Instant::now(),
                watched,
            })),
        })
    }

    /// The settings, of the files as they are now.
    pub(crate) async fn config(&self) -> Arc<ClientConfig> {
        // One dial looks at a time. The others need not wait for a file system that hangs.
        if let Ok(mut seen) = Arc::clone(&self.seen).try_lock_owned()
            && seen.looked_at.elapsed() >= LOOK_EVERY
        {
            seen.looked_at = Instant::now();
            let source = Arc::clone(&self.source);
            let look = spawn_blocking(move || source.look(&mut seen.watched));
            // A look that panics has changed nothing.
            let _ = look.await;
        }
        self.current()
    }

    /// The settings as they were read last.
    pub(crate) fn current(&self) -> Arc<ClientConfig> {
        let current = &self.source.current;
        let current = current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current.config)
    }

    /// When our own certificate expires, in Unix time. `None`: there is none.
    pub(crate) fn not_after(&self) -> Option<u64> {
        let current = &self.source.current;
        let current = current.read().unwrap_or_else(PoisonError::into_inner);
        current.not_after
    }
}

impl Source {
    /// Reads the files if they have changed. Those that can't be used change nothing.
    fn look(&self, watched: &mut Watched) {
        let section = self.keys.section;
        match watched.look(|| load(self.keys, &self.files, self.alpn)) {
            Look::Unchanged => {}
            Look::New(loaded) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
                self.reloads.count(true);
                info!("the files of `{section}` have changed and are used from now on");
            }
            Look::Failed(error) => {
                self.reloads.count(false);
                warn!(%error, "the files of `{section}` have changed and cannot be used; the old ones stay");
            }
        }
    }
}
