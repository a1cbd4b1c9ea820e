//! TLS towards the broker.

use std::io;

use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream, rustls::pki_types::ServerName};

use crate::{
    metrics::{TlsMetrics, TlsSide},
    tls::client::{self, Keys, Reloading, TlsError, TlsFiles},
};

const KEYS: Keys = Keys {
    side: TlsSide::Broker,
    section: "broker.tls",
    ca: "broker.tls.ca",
    cert: "broker.tls.cert",
    key: "broker.tls.key",
    server_name: "broker.tls.server_name",
};

/// Bytes that may wait inside TLS for the broker to take them. What waits there is not seen by those
/// who look whether the broker still reads.
const BUFFER: usize = 16 * 1024;

/// What a connection over TLS needs.
#[derive(Debug)]
pub(super) struct Tls {
    /// The name that the broker's certificate must bear.
    name: ServerName<'static>,
    settings: Reloading,
}

impl Tls {
    /// Reads the files, for connections to this host.
    ///
    /// # Errors
    ///
    /// Files that can't be used, and a name that no certificate bears.
    pub(super) fn load(
        files: TlsFiles,
        host: &str,
        alpn: &'static [u8],
        metrics: &TlsMetrics,
    ) -> Result<Self, TlsError> {
        Ok(Self {
            name: client::server_name(KEYS, files.server_name.as_deref().unwrap_or(host))?,
            settings: Reloading::load(KEYS, files, alpn, metrics)?,
        })
    }

    /// Shakes hands with the broker.
    ///
    /// # Errors
    ///
    /// What the handshake fails for: a certificate, most often. The text says what is wrong with it.
    pub(super) async fn connect(&self, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let connector = TlsConnector::from(self.settings.config().await);
        let bounded = |connection: &mut tokio_rustls::rustls::ClientConnection| {
            connection.set_buffer_limit(Some(BUFFER));
        };
        connector
            .connect_with(self.name.clone(), stream, bounded)
            .await
    }

    /// When our own certificate expires, in Unix time. `None`: there is none.
    pub(super) fn not_after(&self) -> Option<u64> {
        self.settings.not_after()
    }
}

#[cfg(test)]
mod tests;
