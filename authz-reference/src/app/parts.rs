//! What outlives a reload, and what is made anew of it.

use std::{path::Path, sync::Arc};

use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::AppError;
use crate::{
    config::{Config, SessionConfig},
    hashing::HashingPool,
    login::{Believed, Logins},
    metrics::{Metered, Metrics},
    policy::Rules,
    recent::Recent,
    service::Service,
    session_state::{Keys, Sealer},
    users::{changes::Changes, open, source::UserSource, topic_oracle},
};

/// Changes of users that nobody has listened to yet.
const CHANGES: usize = 1_024;

/// What is made once: the user sources with their connections, the hashing pool, the service, the key of this process.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) sources: Vec<Metered>,
    pub(super) pool: HashingPool,
    pub(super) service: Service,
    pub(super) recent: Arc<Recent>,
    /// For a configuration without a key file.
    own_keys: Keys,
}

impl Parts {
    /// Opens the user sources, and reads the key files.
    pub(super) fn load(config: &Config, metrics: &Metrics) -> Result<(Self, Changes), AppError> {
        let (sender, changes) = mpsc::channel(CHANGES);
        let pool = HashingPool::new(config.hashing.limits());
        let sources = open::open(config, sender)?;
        let sources: Vec<_> = sources
            .into_iter()
            .map(|source| Metered::new(source, metrics.sources.clone()))
            .collect();
        let asked = sources.iter().cloned();
        let asked = asked.map(|source| Box::new(source) as Box<dyn UserSource>);
        let asked: Vec<_> = asked.collect();
        let oracle = topic_oracle::among(&asked);
        let stores = config.users.stores();
        let recent = Arc::new(Recent::new(config.session.max_age, &stores));
        let believed = Believed::new(config.hashing.cache_ttl)?;
        let own_keys = Keys::random()?;
        let service = Service::new(
            Rules::new(&config.policy, &config.roles),
            sealer(&config.session, &own_keys)?,
            Arc::clone(&recent),
            Logins::new(asked, pool.clone(), believed),
            oracle,
            getrandom::u32()?,
        );
        let parts = Self {
            sources,
            pool,
            service,
            recent,
            own_keys,
        };
        Ok((parts, changes))
    }

    /// Tells the other services on the same stores by which rules this one decides.
    pub(super) fn tell_rules(&self, config: &Config) {
        let rules = Rules::new(&config.policy, &config.roles);
        for source in &self.sources {
            source.rules_are(rules.revision());
        }
    }

    /// The sources that store users.
    pub(super) fn stores(&self, config: &Config) -> Vec<Box<dyn UserSource>> {
        let names = config.users.stores();
        let sources = self.sources.iter().filter(|it| names.contains(&it.name()));
        sources
            .cloned()
            .map(|source| Box::new(source) as Box<dyn UserSource>)
            .collect()
    }

    /// Has the service decide by this configuration from now on. Reads the key files; if that fails, nothing has
    /// changed. Whether a key is gone that states could have been sealed with.
    pub(super) fn replace(&self, config: &Config) -> Result<bool, AppError> {
        let sealer = sealer(&config.session, &self.own_keys)?;
        let rules = Rules::new(&config.policy, &config.roles);
        Ok(self.service.replace(rules, sealer))
    }
}

/// The key ring of the configuration: the first secret seals, every one opens.
fn sealer(config: &SessionConfig, own: &Keys) -> Result<Sealer, AppError> {
    let read = |path: &Path| {
        let secret = std::fs::read(path).map(Zeroizing::new);
        secret.map_err(|source| AppError::KeyFile {
            path: path.to_owned(),
            source,
        })
    };
    let mut paths = config.key_paths();
    let keys = match paths.next() {
        None => own.clone(),
        Some(path) => Keys::sealing_with(read(path)?.trim_ascii_end())?,
    };
    let keys = paths.try_fold(keys, |keys, path| {
        Ok::<_, AppError>(keys.opening_with(read(path)?.trim_ascii_end())?)
    })?;
    Ok(Sealer::new(keys, config.max_age))
}
