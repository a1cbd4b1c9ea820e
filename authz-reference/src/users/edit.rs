//! Changes to the users file that leave the rest of it as its owner wrote it.
//!
//! A change is all or nothing: the new text goes to a temporary file beside the old one, to disk,
//! and then takes its name, so that a running service reads either the old users or the new ones.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use thiserror::Error;
use toml_edit::{Array, DocumentMut, InlineTable, Item, Table, TableLike, value};

use super::{
    User,
    file::{self, FileFormat, UsersFileError},
    lines,
    store::{StoreError, Tally, UserEdit, UserStore},
};
use crate::{access::Access, identity::UserName};

/// What a new users file begins with.
const HEADER: &str = "\
# Users of tidegate-authz, made and changed by `tidegate-authz user`. Editing by hand is fine; a
# running service notices within a second.

";

/// Why a change was not made.
#[derive(Debug, Error)]
pub enum EditError {
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

/// The users file, for those who administer it. Made, readable by its owner only, by the first user that is added.
#[derive(Debug)]
pub struct UsersFile {
    path: PathBuf,
    format: FileFormat,
}

impl UsersFile {
    /// The file at `path`, which need not be there yet.
    #[must_use]
    pub fn new(path: PathBuf, format: FileFormat) -> Self {
        Self { path, format }
    }
}

#[tonic::async_trait]
impl UserStore for UsersFile {
    async fn list(&self) -> Result<Vec<(UserName, User)>, StoreError> {
        let mut users = match file::read(&self.path, self.format) {
            Err(error) if error.is_missing() => Vec::new(),
            users => users?,
        };
        users.sort_by(|(one, _), (other, _)| one.cmp(other));
        Ok(users)
    }

    async fn change(&self, edits: Vec<UserEdit>) -> Result<Tally, StoreError> {
        let only_toml = |written_by: &str| EditError::Unfit {
            path: self.path.clone(),
            problem: format!(
                "it is not in TOML; use {written_by}, or `import` it into another source"
            ),
        };
        match self.format {
            FileFormat::Auto | FileFormat::Toml => {}
            FileFormat::Mosquitto => Err(only_toml("`mosquitto_passwd`"))?,
            FileFormat::Htpasswd => Err(only_toml("`htpasswd -B`"))?,
            FileFormat::GoAuth => Err(only_toml("go-auth's `pw`"))?,
        }
        change(&self.path, edits)
    }
}

/// Writes what is different in a user, and leaves the rest, comments included.
fn write(users: &mut dyn TableLike, name: &str, before: Option<&User>, after: Option<&User>) {
    let Some(after) = after else {
        users.remove(name);
        return;
    };
    let entry = users
        .entry(name)
        .or_insert_with(|| Item::Table(Table::new()));
    let Some(entry) = entry.as_table_like_mut() else {
        return;
    };
    let (was, is) = (before.map(|user| &user.account), &after.account);
    if before.map(|user| &user.password) != Some(&after.password) {
        entry.insert("password", value(after.password.to_string()));
    }
    if was.map(|was| was.superuser) != Some(is.superuser) {
        entry.insert("superuser", value(is.superuser));
    }
    if was.map_or(is.disabled, |was| was.disabled != is.disabled) {
        entry.insert("disabled", value(is.disabled));
    }
    if was.map_or(!is.roles.is_empty(), |was| was.roles != is.roles) {
        let roles: Array = is.roles.iter().map(|role| role.as_str()).collect();
        entry.insert("roles", value(roles));
    }
    if was.map_or(!is.grants.is_empty(), |was| was.grants != is.grants) {
        let grants: Array = is.grants.iter().map(inline).collect();
        entry.insert("grants", value(grants));
    }
}

/// A grant as one writes it: what is as usual is left away.
fn inline(grant: &Access) -> InlineTable {
    let mut table = InlineTable::new();
    table.insert("topic", grant.topic.as_str().into());
    for (key, granted) in [("publish", grant.publish), ("subscribe", grant.subscribe)] {
        if granted {
            table.insert(key, true.into());
        }
    }
    if !grant.retain {
        table.insert("retain", false.into());
    }
    if grant.qos != 2 {
        table.insert("qos", i64::from(grant.qos).into());
    }
    table
}

/// Reads, edits and replaces the file, one at a time.
fn change(path: &Path, edits: Vec<UserEdit>) -> Result<Tally, StoreError> {
    let unwritable = |source| EditError::Write {
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
        file: File::open(folder).map_err(unwritable)?,
        path: folder,
    };
    folder.file.lock().map_err(unwritable)?;

    let old = match fs::read_to_string(&target) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => HEADER.to_owned(),
        Err(source) => Err(UsersFileError::Unreadable {
            path: path.to_owned(),
            source,
        })?,
    };
    if lines::are_lines(&old) {
        Err(unfit(
            "it is not in TOML; use the program that wrote it, or `import` it".to_owned(),
        ))?;
    }
    let mut known: HashMap<_, _> = file::parse(&old, path)?.into_iter().collect();
    let (preamble, content) = old.split_at(preamble(&old));
    let mut document: DocumentMut = content
        .parse()
        .map_err(|error: toml_edit::TomlError| unfit(error.message().to_owned()))?;
    let users = document.entry("users").or_insert_with(|| {
        let mut users = Table::new();
        users.set_implicit(true); // no bare "[users]" above "[users.alice]"
        Item::Table(users)
    });
    let users = users
        .as_table_like_mut()
        .ok_or_else(|| unfit("`users` is not a table".to_owned()))?;
    let mut tally = Tally::default();
    for edit in edits {
        let name = edit.name.clone();
        let before = known.remove(&name);
        let after = edit.apply(before.as_ref())?;
        if tally.count(before.as_ref(), after.as_ref()) {
            write(users, name.as_str(), before.as_ref(), after.as_ref());
        }
        if let Some(after) = after {
            known.insert(name, after);
        }
    }

    let line_end = if preamble.is_empty() || preamble.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let mut new = format!("{preamble}{line_end}{document}");
    if new.is_empty() {
        // A running service takes an empty file for one that is being written.
        new = HEADER.to_owned();
    }
    // What is written must be readable: nobody could log in after the next start otherwise.
    file::parse(&new, path)?;
    folder.replace(&target, &new).map_err(unwritable)?;
    Ok(tally)
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
