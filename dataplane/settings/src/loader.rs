//! The layers, one over the other.

use crate::{
    deserialize,
    environment::{self, Variable},
    error::Error,
    file,
    node::Node,
    origin::Origin,
    overlay,
    tree::Tree,
};
use serde::{Serialize, de::DeserializeOwned};
use std::{
    ffi::OsString,
    fmt, fs,
    path::{Path, PathBuf},
};

/// Collects the layers of a configuration.
///
/// It can load more than once, and reads the file anew each time: that is a reload.
#[derive(Clone)]
pub struct Loader {
    prefix: String,
    base: Base,
    variables: Vec<Variable>,
    flags: Vec<(String, String)>,
}

#[derive(Clone)]
enum Base {
    Nothing,
    File(PathBuf),
    Document(PathBuf, String),
}

/// A configuration and where its values came from.
#[derive(Debug, Clone)]
pub struct Loaded<T> {
    /// The configuration.
    pub value: T,
    /// Where its values came from.
    pub tree: Tree,
}

impl Loader {
    /// A loader that takes environment variables beginning with `prefix` and two underscores.
    #[must_use]
    pub fn new(prefix: impl Into<String>) -> Self {
        Self {
            prefix: prefix.into(),
            base: Base::Nothing,
            variables: Vec::new(),
            flags: Vec::new(),
        }
    }

    /// Reads this TOML file, which must exist. The last of several wins.
    #[must_use]
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.base = Base::File(path.into());
        self
    }

    /// Takes TOML text in place of a file; `name` stands for the file in errors.
    #[must_use]
    pub fn document(mut self, name: impl Into<PathBuf>, text: impl Into<String>) -> Self {
        self.base = Base::Document(name.into(), text.into());
        self
    }

    /// Takes the environment, usually [`std::env::vars_os`]; all but the variables with the prefix
    /// are left alone.
    #[must_use]
    pub fn environment<K, V>(mut self, variables: impl IntoIterator<Item = (K, V)>) -> Self
    where
        K: Into<OsString>,
        V: Into<OsString>,
    {
        let variables = variables.into_iter().map(|(k, v)| (k.into(), v.into()));
        self.variables = environment::select(&self.prefix, variables);
        self
    }

    /// Sets one key, such as `listeners.0.bind`, above all other layers.
    #[must_use]
    pub fn flag(mut self, key: impl Into<String>, text: impl Into<String>) -> Self {
        self.flags.push((key.into(), text.into()));
        self
    }

    /// Reads all layers and makes them a `T`.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong, with its place: a file that cannot be read or is no TOML, a
    /// variable or flag without a place, an unknown or missing key, a value that does not fit.
    pub fn load<T: DeserializeOwned + Serialize>(&self) -> Result<Loaded<T>, Error> {
        let root = self.merged()?;
        let value = deserialize::from_tree(&root, &self.prefix)?;
        let tree = Tree::new(&root, &value)?;
        Ok(Loaded { value, tree })
    }

    fn merged(&self) -> Result<Node, Error> {
        let mut root = match &self.base {
            Base::Nothing => Node::empty_table(Origin::Default),
            Base::File(path) => file::parse(path, &read(path)?)?,
            Base::Document(name, text) => file::parse(name, text)?,
        };
        for variable in &self.variables {
            let segments = variable.segments(&self.prefix);
            set(&mut root, &segments, variable.text()?, variable.origin())?;
        }
        for (key, text) in &self.flags {
            let segments: Vec<_> = key.split('.').map(str::to_owned).collect();
            let origin = Origin::Flag { name: key.clone() };
            set(&mut root, &segments, text, origin)?;
        }
        Ok(root)
    }
}

fn set(root: &mut Node, segments: &[String], text: &str, origin: Origin) -> Result<(), Error> {
    overlay::set(root, segments, text, &origin).map_err(|reason| Error::Overlay { origin, reason })
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|error| Error::Read {
        path: path.to_owned(),
        error,
    })
}

/// Names only: texts may be secrets.
impl fmt::Debug for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let base = match &self.base {
            Base::Nothing => None,
            Base::File(path) | Base::Document(path, _) => Some(path),
        };
        let variables: Vec<_> = self.variables.iter().map(|v| &v.name).collect();
        let flags: Vec<_> = self.flags.iter().map(|(key, _)| key).collect();
        f.debug_struct("Loader")
            .field("prefix", &self.prefix)
            .field("base", &base)
            .field("variables", &variables)
            .field("flags", &flags)
            .finish()
    }
}
