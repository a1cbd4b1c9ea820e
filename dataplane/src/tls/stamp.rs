//! What tells whether files have changed, without reading them.

use std::{
    fs,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

/// A state of a file. A link counts as what it leads to, so that files that are swapped by moving a link (as in
/// Kubernetes) count as changed. So does one that has been given other rights: it may be readable now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Device and inode.
    place: (u64, u64),
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// `None`: there is no such file, or it can't be looked at.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let data = fs::metadata(path).ok()?;
        Some(Self {
            place: (data.dev(), data.ino()),
            size: data.size(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }
}

/// Files that only make sense together, such as a certificate and its key.
#[derive(Debug)]
pub(crate) struct Watched {
    paths: Vec<PathBuf>,
    /// As they were just before what counts was read.
    used: Vec<Option<Stamp>>,
    /// As they were when they could not be used, and whether that was told.
    refused: Option<(Vec<Option<Stamp>>, bool)>,
}

/// What came of a look.
#[derive(Debug)]
pub(crate) enum Look<T, E> {
    /// They are as they were, or as broken as they were.
    Unchanged,
    /// They have changed, and can be used.
    New(T),
    /// They have changed, and can't be used.
    Failed(E),
}

impl Watched {
    /// To be made before the files are read for the first time: what changes meanwhile is seen at the first look.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let paths: Vec<_> = paths.into_iter().collect();
        Self {
            used: stamps(&paths),
            paths,
            refused: None,
        }
    }

    /// Reads the files if they have changed. Those that can't be used are tried at every look, for what is in the way
    /// may not be the file (no descriptors, a volume that is away), and told once: at the second look that finds
    /// them so, since a certificate and its key are often not replaced at once.
    pub(crate) fn look<T, E>(&mut self, read: impl FnOnce() -> Result<T, E>) -> Look<T, E> {
        let found = stamps(&self.paths);
        if found == self.used {
            self.refused = None;
            return Look::Unchanged;
        }
        match read() {
            Ok(new) => {
                self.used = found;
                self.refused = None;
                Look::New(new)
            }
            Err(error) => match &mut self.refused {
                Some((refused, told)) if *refused == found => match std::mem::replace(told, true) {
                    false => Look::Failed(error),
                    true => Look::Unchanged,
                },
                refused => {
                    *refused = Some((found, false));
                    Look::Unchanged
                }
            },
        }
    }
}

fn stamps(paths: &[PathBuf]) -> Vec<Option<Stamp>> {
    paths.iter().map(|path| Stamp::of(path)).collect()
}

#[cfg(test)]
mod tests {
    use std::{os::unix::fs::PermissionsExt as _, path::PathBuf};

    use super::*;

    fn file(folder: &tempfile::TempDir) -> PathBuf {
        let path = folder.path().join("file");
        fs::write(&path, "1").unwrap();
        path
    }

    #[test]
    fn what_could_not_be_read_is_read_when_it_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(&folder);
        let mut watched = Watched::new([path.clone()]);
        let mut look = |read: Result<u8, &'static str>| watched.look(|| read);
        assert!(matches!(look(Ok(0)), Look::Unchanged), "it is as it was");
        fs::write(&path, "22").unwrap();
        assert!(matches!(look(Err("no descriptors")), Look::Unchanged));
        assert!(matches!(look(Err("no descriptors")), Look::Failed(_)));
        assert!(
            matches!(look(Err("no descriptors")), Look::Unchanged),
            "told"
        );
        assert!(
            matches!(look(Ok(1)), Look::New(1)),
            "without another change"
        );
        assert!(matches!(look(Ok(2)), Look::Unchanged));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(look(Ok(3)), Look::New(3)), "other rights");
        fs::remove_file(&path).unwrap();
        assert!(matches!(look(Err("gone")), Look::Unchanged));
        assert!(matches!(look(Err("gone")), Look::Failed(_)));
    }
}
