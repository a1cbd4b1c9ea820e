//! What outlives a reload, and what is made anew of it.

use std::sync::Arc;

use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::AppError;
use crate::{
    config::{Config, SessionConfig},
    hashing::HashingPool,
    login::Logins,
    metrics::{Metered, Metrics},
    service::Service,
    session_state::Sealer,
    users::{
        changes::{ChangeSender, Changes},
        live::LiveUsers,
        source::UserSource,
    },
};

/// Changes of users that nobody has listened to yet.
const CHANGES: usize = 1_024;

/// What is made once: the user sources with their connections, the hashing pool, the key of this process.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) sources: Vec<Metered>,
    logins: Arc<Logins>,
    pub(super) pool: HashingPool,
    /// For a configuration without a key file.
    own_key: Sealer,
}

impl Parts {
    /// Opens the user sources.
    pub(super) fn load(config: &Config, metrics: &Metrics) -> Result<(Self, Changes), AppError> {
        let (sender, changes) = mpsc::channel(CHANGES);
        let pool = HashingPool::new(config.hashing.limits());
        let sources: Vec<_> = sources(config, sender)?
            .into_iter()
            .map(|source| Metered::new(source, metrics.sources.clone()))
            .collect();
        let asked = sources.iter().cloned();
        let asked = asked.map(|source| Box::new(source) as Box<dyn UserSource>);
        let logins = Arc::new(Logins::new(asked.collect(), pool.clone()));
        let own_key = Sealer::random()?;
        let parts = Self {
            sources,
            logins,
            pool,
            own_key,
        };
        Ok((parts, changes))
    }

    /// The service as a configuration wants it. Reads the key file.
    pub(super) fn service(&self, config: &Config) -> Result<Service, AppError> {
        Ok(Service::new(
            config.policy.clone(),
            Arc::clone(&self.logins),
            self.sealer(&config.session)?,
            getrandom::u32()?,
        ))
    }

    fn sealer(&self, config: &SessionConfig) -> Result<Sealer, AppError> {
        let Some(path) = &config.key_file else {
            return Ok(self.own_key.clone());
        };
        let secret =
            std::fs::read(path)
                .map(Zeroizing::new)
                .map_err(|source| AppError::KeyFile {
                    path: path.clone(),
                    source,
                })?;
        Ok(Sealer::from_secret(secret.trim_ascii_end())?)
    }
}

/// The user sources in the order in which they are asked.
fn sources(config: &Config, _: ChangeSender) -> Result<Vec<Box<dyn UserSource>>, AppError> {
    Ok(vec![Box::new(LiveUsers::open(config.users.file.clone())?)])
}
