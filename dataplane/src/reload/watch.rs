//! Whether a file has changed: by looking at it every second.
//!
//! A Secret or ConfigMap of Kubernetes is swapped by a symbolic link two directories above, editors put another
//! file in the place of the old one, and some network filesystems tell nobody of changes: a look at where the path
//! leads now sees all of these, and needs no memory of what was watched.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use tokio::time::sleep;

/// How often.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Looks at one file.
#[derive(Debug)]
pub(crate) struct Watch {
    path: PathBuf,
    known: Option<Stamp>,
}

/// What differs between two versions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Watch {
    /// Whatever changes from now on is a change: to be called before the file is read.
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            known: stamp(path),
        }
    }

    /// Whatever has changed until now is about to be read anyway.
    pub(crate) async fn note(&mut self) {
        self.known = self.look().await;
    }

    /// Done when the file is another one than before, and was the same at two looks: who writes it may need a
    /// moment.
    pub(crate) async fn changed(&mut self) {
        let mut last = self.known;
        loop {
            sleep(LOOK_EVERY).await;
            let now = self.look().await;
            if now != self.known && now == last {
                self.known = now;
                return;
            }
            last = now;
        }
    }

    async fn look(&self) -> Option<Stamp> {
        let path = self.path.clone();
        // A filesystem may hang.
        let looked = tokio::task::spawn_blocking(move || stamp(&path)).await;
        looked.unwrap_or(self.known)
    }
}

/// None: it is not there.
fn stamp(path: &Path) -> Option<Stamp> {
    let file = fs::metadata(path).ok()?;
    Some(Stamp {
        device: file.dev(),
        inode: file.ino(),
        size: file.size(),
        modified: (file.mtime(), file.mtime_nsec()),
        changed: (file.ctime(), file.ctime_nsec()),
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tokio::time::timeout;

    use super::*;

    /// Long enough to see, and on a stopped clock.
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_file_that_is_written_anew_has_changed_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidegate.toml");
        fs::write(&path, "a").unwrap();
        let mut watch = Watch::new(&path);
        assert!(timeout(LONG, watch.changed()).await.is_err());
        fs::write(&path, "ab").unwrap();
        timeout(LONG, watch.changed()).await.unwrap();
        assert!(timeout(LONG, watch.changed()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_noted_is_no_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tidegate.toml");
        fs::write(&path, "a").unwrap();
        let mut watch = Watch::new(&path);
        fs::write(&path, "ab").unwrap();
        watch.note().await;
        assert!(timeout(LONG, watch.changed()).await.is_err());
        fs::write(&path, "abc").unwrap();
        timeout(LONG, watch.changed()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_link_that_is_swapped_far_above_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for version in ["v1", "v2"] {
            fs::create_dir(at(version)).unwrap();
            fs::write(at(version).join("tidegate.toml"), "same size").unwrap();
        }
        symlink("v1", at("..data")).unwrap();
        symlink("..data/tidegate.toml", at("tidegate.toml")).unwrap();
        let mut watch = Watch::new(&at("tidegate.toml"));
        symlink("v2", at("..data_tmp")).unwrap();
        fs::rename(at("..data_tmp"), at("..data")).unwrap();
        timeout(LONG, watch.changed()).await.unwrap();
    }
}
