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
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

use crate::{config::ListenerTls, tls::pem::PemError};

use super::{HandshakeError, Presented, facts};

/// TLS of a listener: what its files say, and keep saying.
#[derive(Debug)]
pub(crate) struct TlsServer {
    settings: ListenerTls,
    alpn: Vec<u8>,
    /// For handshakes to come. Those who are connected keep what they have.
    current: RwLock<files::Loaded>,
    /// The state of the files when they were last looked at.
    seen: Mutex<files::State>,
}

/// What came of looking at the files.
#[derive(Debug)]
pub(crate) enum Reload {
    /// They are as they were.
    Unchanged,
    /// They have changed, and count.
    Done,
    /// They have changed, and can't be used: what was read before counts.
    Failed(PemError),
}

impl TlsServer {
    pub(super) fn load(settings: ListenerTls, alpn: &[u8]) -> Result<Self, PemError> {
        // Looked at before they are read: what changes meanwhile is seen the next time.
        let seen = files::State::of(&settings);
        Ok(Self {
            current: RwLock::new(files::read(&settings, alpn)?),
            alpn: alpn.to_vec(),
            settings,
            seen: Mutex::new(seen),
        })
    }

    /// Reads the files again if they have changed. Blocks.
    pub(crate) fn reload(&self) -> Reload {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let state = files::State::of(&self.settings);
        if *seen == state {
            return Reload::Unchanged;
        }
        *seen = state;
        match files::read(&self.settings, &self.alpn) {
            Ok(loaded) => {
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = loaded;
                Reload::Done
            }
            Err(error) => Reload::Failed(error),
        }
    }

    fn config(&self) -> Arc<ServerConfig> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current.config)
    }

    /// When each certificate expires, in Unix time and in the order of the configuration. `None`: it can't be read.
    pub(crate) fn not_after(&self) -> Vec<Option<u64>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.not_after.clone()
    }

    /// The handshake.
    pub(super) async fn accept(
        &self,
        stream: TcpStream,
        presented: &mut Presented,
    ) -> Result<TlsStream<TcpStream>, HandshakeError> {
        let accepted = TlsAcceptor::from(self.config()).accept(stream).await;
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
