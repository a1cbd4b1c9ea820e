//! What is looked at again and again while the service runs: user sources until one can be asked, and files.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tracing::{error, info};

use crate::{
    health::{Health, Standing},
    metrics::{Metered, ReloadMetrics},
    recent::Recent,
    server::tls::{Reload, Tls},
    users::source::UserSource as _,
};

/// How often sources and files are looked at. Files are not read before they have changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same until the service is ready.
const LOOK_FIRST: Duration = Duration::from_millis(50);
/// How long the service is not ready because of a store, if others of its sources can be asked.
const STORES_WITHIN: Duration = Duration::from_secs(60);

/// What to look at.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) health: Health,
    pub(super) sources: Vec<Metered>,
    pub(super) recent: Arc<Recent>,
    pub(super) begun: Instant,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) metrics: ReloadMetrics,
}

impl Upkeep {
    /// For ever.
    pub(super) async fn keep(self) {
        tokio::join!(self.keep_sources(), self.keep_tls());
    }

    /// Whether one can be asked. Once one could, and all stores have told what live sessions are to be judged by, the
    /// service is ready, whatever comes later. A store that is away for too long is not waited for: users of other
    /// sources need the service.
    pub(super) fn look_at_sources(&self) -> bool {
        // All of them: each look is also one for the metrics.
        let ready = self.sources.iter().filter(|source| source.is_ready());
        let is_any = ready.count() > 0;
        if !is_any || self.health.standing() != Standing::Waiting {
            return is_any;
        }
        if self.recent.has_heard() {
            self.health.set(Standing::Serving);
        } else if self.begun.elapsed() >= STORES_WITHIN {
            error!(
                "a store of users cannot be asked since the start; ready without it: checks of its users' sessions fail"
            );
            self.health.set(Standing::Serving);
        }
        is_any
    }

    async fn keep_sources(&self) {
        loop {
            sleep(match self.health.standing() {
                Standing::Waiting => LOOK_FIRST,
                Standing::Serving | Standing::Stopping => LOOK_EVERY,
            })
            .await;
            self.look_at_sources();
        }
    }

    async fn keep_tls(&self) {
        let Some(tls) = &self.tls else {
            return;
        };
        let mut ticks = interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let tls = Arc::clone(tls);
            match spawn_blocking(move || tls.reload()).await {
                Ok(Reload::Unchanged) => {}
                Ok(Reload::Done) => {
                    self.metrics.certificate(true);
                    info!("the files of TLS have changed");
                }
                Ok(Reload::Failed(error)) => {
                    self.metrics.certificate(false);
                    error!(%error, "the files of TLS have changed and cannot be used: those before count on");
                }
                Err(error) => error!(%error, "the files of TLS cannot be looked at"),
            }
        }
    }
}

/// Whether one of some files has changed: by looking at them every second, which also sees a link that is swapped far
/// above them, as Kubernetes does.
#[derive(Debug)]
pub struct FileWatch {
    paths: Vec<PathBuf>,
    known: Vec<Option<Stamp>>,
}

/// What differs between two versions of a file: device, inode, size, and times of change.
type Stamp = (u64, u64, u64, (i64, i64), (i64, i64));

impl FileWatch {
    /// Whatever changes from now on is a change: to be called before the files are read.
    #[must_use]
    pub fn new(paths: Vec<PathBuf>) -> Self {
        let known = stamps(&paths);
        Self { paths, known }
    }

    /// Looks at these as well, from now on.
    pub fn add(&mut self, paths: Vec<PathBuf>) {
        self.known.extend(stamps(&paths));
        self.paths.extend(paths);
    }

    /// Done when a file is another one than before, and was the same at two looks: who writes it may need a moment.
    pub async fn changed(&mut self) {
        let mut last = self.known.clone();
        loop {
            sleep(LOOK_EVERY).await;
            let paths = self.paths.clone();
            // A filesystem may hang.
            let Ok(now) = spawn_blocking(move || stamps(&paths)).await else {
                continue;
            };
            if now != self.known && now == last {
                self.known = now;
                return;
            }
            last = now;
        }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| stamp(path)).collect()
}

/// None: it is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some((
        file.dev(),
        file.ino(),
        file.size(),
        (file.mtime(), file.mtime_nsec()),
        (file.ctime(), file.ctime_nsec()),
    ))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::time::timeout;

    use super::*;

    /// Long enough to see, and on a stopped clock.
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn files_that_change_or_are_swapped_far_above_are_seen_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("authz.toml"), "same size").unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/authz.toml", at("authz.toml")).unwrap();
        fs::write(at("key"), "a").unwrap();
        let mut watch = FileWatch::new(vec![at("authz.toml"), at("key")]);
        assert!(timeout(LONG, watch.changed()).await.is_err());
        symlink("v2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        timeout(LONG, watch.changed()).await.unwrap();
        fs::write(at("key"), "ab").unwrap();
        timeout(LONG, watch.changed()).await.unwrap();
        assert!(timeout(LONG, watch.changed()).await.is_err());
    }
}
