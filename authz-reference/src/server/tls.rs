//! TLS of the server: its files, which may change while it runs.

mod files;
mod names;
mod pem;

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use tokio_rustls::{TlsAcceptor, rustls::ServerConfig, server::TlsStream};

use self::files::State;
pub(crate) use self::pem::PemError;
use super::socket::Io;
use crate::config::TlsConfig;

/// What the files say, and keep saying.
#[derive(Debug)]
pub(crate) struct Tls {
    settings: TlsConfig,
    /// For handshakes to come. Those who are connected keep what they have.
    current: RwLock<Current>,
    /// What the files looked like when they were last read.
    seen: Mutex<State>,
}

#[derive(Debug, Clone)]
struct Current {
    config: Arc<ServerConfig>,
    expires: SystemTime,
}

/// What came of looking at the files.
#[derive(Debug)]
pub(crate) enum Reload {
    Unchanged,
    Done,
    /// What was read before counts on.
    Failed(PemError),
}

impl Tls {
    /// Reads the files; `None` if there is to be no TLS.
    pub(crate) fn load(settings: &TlsConfig) -> Result<Option<Self>, PemError> {
        // Looked at before they are read: what changes meanwhile is seen the next time.
        let seen = State::of(settings);
        let Some((config, expires)) = files::read(settings)? else {
            return Ok(None);
        };
        let config = Arc::new(config);
        Ok(Some(Self {
            settings: settings.clone(),
            current: RwLock::new(Current { config, expires }),
            seen: Mutex::new(seen),
        }))
    }

    /// Reads the files again if they have changed. Blocks.
    pub(crate) fn reload(&self) -> Reload {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let state = State::of(&self.settings);
        if *seen == state {
            return Reload::Unchanged;
        }
        *seen = state;
        match files::read(&self.settings) {
            Ok(Some((config, expires))) => {
                let config = Arc::new(config);
                let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
                *current = Current { config, expires };
                Reload::Done
            }
            Ok(None) => Reload::Unchanged,
            Err(error) => Reload::Failed(error),
        }
    }

    /// When the certificate that is shown ends to be valid.
    pub(crate) fn expires(&self) -> SystemTime {
        self.current().expires
    }

    pub(super) async fn accept(&self, io: Box<dyn Io>) -> io::Result<TlsStream<Box<dyn Io>>> {
        TlsAcceptor::from(self.current().config).accept(io).await
    }

    fn current(&self) -> Current {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.clone()
    }
}
