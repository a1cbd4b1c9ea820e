//! TLS towards the broker. Its files may change while the program runs.

use std::{
    fs, io,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, SystemTime},
};

use tokio::{net::TcpStream, sync::Mutex, task::spawn_blocking, time::Instant};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{ClientConfig, pki_types::ServerName},
};
use tracing::{info, warn};

use crate::tls::client::{self, Keys, TlsError, TlsFiles};

const KEYS: Keys = Keys {
    section: "broker.tls",
    ca: "broker.tls.ca",
    cert: "broker.tls.cert",
    key: "broker.tls.key",
    server_name: "broker.tls.server_name",
};

/// Time between two looks at the files. It is dials that look, and without one there is no need to.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Bytes that may wait inside TLS for the broker to take them. What waits there is not seen by those
/// who look whether the broker still reads.
const BUFFER: usize = 16 * 1024;

/// What a connection over TLS needs.
#[derive(Debug)]
pub(super) struct Tls {
    /// The name that the broker's certificate must bear.
    name: ServerName<'static>,
    source: Arc<Source>,
    /// Held by whoever looks at the files.
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug)]
struct Source {
    files: TlsFiles,
    alpn: &'static [u8],
    current: RwLock<Arc<ClientConfig>>,
}

/// What is known of the files.
#[derive(Debug)]
struct Seen {
    looked_at: Instant,
    /// As they were just before those that are in use were read.
    used: Stamps,
    /// As they were when they could not be used.
    refused: Option<Stamps>,
}

type Stamps = [Option<Stamp>; 3];

/// Tells one state of a file from another, without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    size: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

impl Tls {
    /// Reads the files, for connections to this host.
    ///
    /// # Errors
    ///
    /// Files that can't be used, and a name that no certificate bears.
    pub(super) fn load(files: TlsFiles, host: &str, alpn: &'static [u8]) -> Result<Self, TlsError> {
        let name = client::server_name(KEYS, files.server_name.as_deref().unwrap_or(host))?;
        let used = stamps(&files);
        let config = client::load(KEYS, &files, alpn)?;
        Ok(Self {
            name,
            source: Arc::new(Source {
                files,
                alpn,
                current: RwLock::new(Arc::new(config)),
            }),
            seen: Arc::new(Mutex::new(Seen {
                looked_at: Instant::now(),
                used,
                refused: None,
            })),
        })
    }

    /// Shakes hands with the broker.
    ///
    /// # Errors
    ///
    /// What the handshake fails for: a certificate, most often. The text says what is wrong with it.
    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(self.config().await);
        let bounded = |connection: &mut tokio_rustls::rustls::ClientConnection| {
            connection.set_buffer_limit(Some(BUFFER));
        };
        connector
            .connect_with(self.name.clone(), stream, bounded)
            .await
    }

    /// The settings, of the files as they are now.
    async fn config(&self) -> Arc<ClientConfig> {
        // One dial looks at a time. The others need not wait for a file system that hangs.
        if let Ok(mut seen) = Arc::clone(&self.seen).try_lock_owned()
            && seen.looked_at.elapsed() >= LOOK_EVERY
        {
            seen.looked_at = Instant::now();
            let source = Arc::clone(&self.source);
            let look = spawn_blocking(move || source.look(&mut seen));
            // A look that panics has changed nothing.
            let _ = look.await;
        }
        self.source.current()
    }
}

impl Source {
    fn current(&self) -> Arc<ClientConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current)
    }

    /// Reads the files if they have changed. Those that can't be used change nothing: a certificate and
    /// its key are often not replaced at once.
    fn look(&self, seen: &mut Seen) {
        let found = stamps(&self.files);
        if found == seen.used {
            return;
        }
        match client::load(KEYS, &self.files, self.alpn) {
            Ok(config) => {
                let config = Arc::new(config);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = config;
                seen.used = found;
                seen.refused = None;
                info!("the files of `broker.tls` have changed and are used from now on");
            }
            Err(error) if seen.refused != Some(found) => {
                seen.refused = Some(found);
                warn!(%error, "the files of `broker.tls` have changed and cannot be used; the old ones stay");
            }
            // Told already.
            Err(_) => {}
        }
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    [&files.ca, &files.cert, &files.key].map(|path| path.as_deref().and_then(stamp))
}

/// Follows links: Kubernetes changes the files of a volume by changing one.
fn stamp(path: &Path) -> Option<Stamp> {
    let found = fs::metadata(path).ok()?;
    Some(Stamp {
        place: (found.dev(), found.ino()),
        size: found.size(),
        modified: found.modified().ok(),
        changed: (found.ctime(), found.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests;
