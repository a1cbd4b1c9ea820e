//! Changes to the users file that leave the rest of it as its owner wrote it.
//!
//! A change is all or nothing: the new text goes to a temporary file beside the old one, to disk,
//! and then takes its name, so that a running service reads either the old users or the new ones.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;
use toml_edit::{DocumentMut, Item, Table, TableLike, value};

use super::file::{self, UsersFileError};
use crate::{identity::UserName, password::PasswordHash};

/// What a new users file begins with.
const HEADER: &str = "\
# Users of tidegate-authz, made and changed by `tidegate-authz user`. Editing by hand is fine; a
# running service notices within a second of the next login.

";

/// Why a change was not made.
#[derive(Debug, Error)]
pub enum EditError {
    /// The file that is there cannot be used.
    #[error(transparent)]
    File(#[from] UsersFileError),
    /// There is such a user, and replacing them was not asked for.
    #[error("the user `{0}` exists already (`--replace` gives them the new password)")]
    Exists(UserName),
    /// There is no such user.
    #[error("there is no user `{0}`")]
    Missing(UserName),
    /// `users` is something else than a table, or the change came out wrong.
    #[error("cannot edit the users file {}: {problem}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is in the way.
        problem: String,
    },
    /// The new text could not be put in place.
    #[error("cannot write the users file {}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Somebody to be written down.
#[derive(Debug)]
pub struct NewUser<'a> {
    /// Their name.
    pub name: &'a UserName,
    /// The hash of their password.
    pub password: &'a PasswordHash,
    /// Whether every action is allowed.
    pub superuser: bool,
    /// Whether they may take the place of somebody of that name.
    pub replace: bool,
}

/// Adds a user, making the file (readable by its owner only) if there is none.
///
/// # Errors
/// If the user exists and is not to be replaced, or the file cannot be read or written.
pub fn add(path: &Path, user: &NewUser<'_>) -> Result<(), EditError> {
    change(path, |users| {
        let name = user.name.as_str();
        if users.contains_key(name) && !user.replace {
            return Err(EditError::Exists(user.name.clone()));
        }
        // Changing an entry in place keeps the comments around it.
        let entry = users
            .entry(name)
            .or_insert_with(|| Item::Table(Table::new()));
        if let Some(entry) = entry.as_table_like_mut() {
            entry.insert("password", value(user.password.to_string()));
            entry.insert("superuser", value(user.superuser));
        }
        Ok(())
    })
}

/// Removes a user.
///
/// # Errors
/// If there is no such user, or the file cannot be read or written.
pub fn remove(path: &Path, name: &UserName) -> Result<(), EditError> {
    change(path, |users| match users.remove(name.as_str()) {
        Some(_) => Ok(()),
        None => Err(EditError::Missing(name.clone())),
    })
}

/// Reads, edits and replaces the file, one at a time.
fn change(
    path: &Path,
    edit: impl FnOnce(&mut dyn TableLike) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let write = |source| EditError::Write {
        path: path.to_owned(),
        source,
    };
    let unfit = |problem: String| EditError::Unfit {
        path: path.to_owned(),
        problem,
    };

    // A symbolic link stays one: what it points to is replaced.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let folder = match target.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    // Two edits at once would lose one. The folder is locked since the file itself is replaced.
    let folder = Folder {
        file: File::open(folder).map_err(write)?,
        path: folder,
    };
    folder.file.lock().map_err(write)?;

    let old = match fs::read_to_string(&target) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => HEADER.to_owned(),
        Err(source) => Err(UsersFileError::Unreadable {
            path: path.to_owned(),
            source,
        })?,
    };
    file::parse(&old, path)?;
    let (preamble, content) = old.split_at(preamble(&old));
    let mut document: DocumentMut = content
        .parse()
        .map_err(|error: toml_edit::TomlError| unfit(error.message().to_owned()))?;
    let users = document.entry("users").or_insert_with(|| {
        let mut users = Table::new();
        users.set_implicit(true); // no bare "[users]" above "[users.alice]"
        Item::Table(users)
    });
    edit(
        users
            .as_table_like_mut()
            .ok_or_else(|| unfit("`users` is not a table".to_owned()))?,
    )?;

    let line_end = if preamble.is_empty() || preamble.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let new = format!("{preamble}{line_end}{document}");
    // What is written must be readable: nobody could log in after the next start otherwise.
    file::parse(&new, path)?;
    folder.replace(&target, &new).map_err(write)
}

/// The length of the comments at the top that a blank line sets apart from the first entry. They
/// are about the file, but a TOML editor would move and remove them with that entry.
fn preamble(text: &str) -> usize {
    let (mut end, mut offset) = (0, 0);
    for line in text.split_inclusive('\n') {
        let content = line.trim();
        if !content.is_empty() && !content.starts_with('#') {
            return end;
        }
        offset += line.len();
        if content.is_empty() {
            end = offset;
        }
    }
    text.len()
}

/// The folder of the users file, which is where its replacement has to be made.
struct Folder<'a> {
    file: File,
    path: &'a Path,
}

impl Folder<'_> {
    fn replace(&self, target: &Path, text: &str) -> io::Result<()> {
        // Made with mode 0600.
        let mut new = tempfile::Builder::new()
            .prefix(".users.")
            .tempfile_in(self.path)?;
        new.write_all(text.as_bytes())?;
        if let Ok(old) = fs::metadata(target) {
            keep_access(new.as_file(), &old)?;
        }
        new.as_file().sync_all()?;
        new.persist(target)?;
        // Only now is the new name on disk, too.
        self.file.sync_all()
    }
}

/// Root adds a user to a file that the service reads under its own account: the file must stay
/// the service's.
fn keep_access(new: &File, old: &fs::Metadata) -> io::Result<()> {
    let made = new.metadata()?;
    if (made.uid(), made.gid()) != (old.uid(), old.gid()) {
        std::os::unix::fs::fchown(new, Some(old.uid()), Some(old.gid()))?;
    }
    new.set_permissions(fs::Permissions::from_mode(old.mode() & 0o7777))
}

#[cfg(test)]
mod tests;
