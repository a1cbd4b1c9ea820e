//! TLS towards clients.

mod by_name;
mod files;
#[cfg(test)]
mod tests;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, ServerConnection},
    server::TlsStream,
};

use crate::{config::ListenerTls, framing::TLS_BUFFER, tls::pem::PemError};

use self::files::Parts;
use super::{HandshakeError, Presented, facts};

/// TLS of a listener: what its files say, and keep saying.
#[derive(Debug)]
pub(crate) struct TlsServer {
    settings: ListenerTls,
    alpn: Vec<u8>,
    parts: Mutex<Parts>,
    /// For handshakes to come. Those who are connected keep what they have.
    current: RwLock<Arc<ServerConfig>>,
}

/// What came of looking at the files.
#[derive(Debug, Default)]
pub(crate) struct Reload {
    /// Something has changed, and counts.
    pub(crate) is_new: bool,
    /// What has changed and can't be used: what was read before counts in its place. Each is told once.
    pub(crate) failures: Vec<PemError>,
}

impl TlsServer {
    pub(super) fn load(settings: ListenerTls, alpn: &[u8]) -> Result<Self, PemError> {
        let parts = Parts::read(&settings)?;
        Ok(Self {
            current: RwLock::new(Arc::new(parts.config(&settings, alpn)?)),
            alpn: alpn.to_vec(),
            settings,
            parts: Mutex::new(parts),
        })
    }

    /// Reads again what has changed. Blocks.
    pub(crate) fn reload(&self) -> Reload {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut is_new, mut failures) = parts.look(&self.settings);
        if is_new {
            match parts.config(&self.settings, &self.alpn) {
                Ok(config) => {
                    let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                    *current = Arc::new(config);
                }
                Err(error) => {
                    is_new = false;
                    failures.push(error);
                }
            }
        }
        Reload { is_new, failures }
    }

    fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// When each certificate expires, in Unix time and in the order of the configuration. `None`: it can't be read.
    pub(crate) fn not_after(&self) -> Vec<Option<u64>> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.not_after()
    }

    /// The handshake.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        presented: &mut Presented,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let limited = |tls: &mut ServerConnection| tls.set_buffer_limit(Some(TLS_BUFFER));
        let accepted = TlsAcceptor::from(self.config())
            .accept_with(stream, limited)
            .await;
        let stream = accepted.map_err(|error| match error.kind() {
            io::ErrorKind::InvalidData => HandshakeError::Tls(error),
            _ => HandshakeError::Gone(error),
        })?;
        let facts = facts::of(stream.get_ref().1, self.settings.forward_certificate)
            .map_err(|error| HandshakeError::Tls(io::Error::other(error)))?;
        presented.tls = Some(Box::new(facts));
        Ok(stream)
    }
}
