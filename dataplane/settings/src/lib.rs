//! Layered configuration that remembers where every value came from.
#![allow(missing_docs, clippy::todo)]

pub mod text;

use std::{ffi::OsString, fmt, path::{Path, PathBuf}};
use serde::{Serialize, de::DeserializeOwned};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize },
    Env { name: String },
    Flag { name: String },
}
impl fmt::Display for Origin {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() }
}

#[derive(Debug)]
pub struct Error;
impl fmt::Display for Error {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result { todo!() }
}
impl std::error::Error for Error {}
impl Error {
    /// A semantic error: what a program's own rules found after deserialization.
    pub fn invalid(
        _key: impl Into<String>,
        _found: impl fmt::Display,
        _expected: impl fmt::Display,
        _origin: Option<&Origin>,
    ) -> Self { todo!() }
}

#[derive(Debug, Clone)]
pub struct Loader;
impl Loader {
    pub fn new(_prefix: &str) -> Self { todo!() }
    #[must_use]
    pub fn file(self, _path: impl AsRef<Path>) -> Self { todo!() }
    /// TOML text that stands for a file called `name` (tests, standard input).
    #[must_use]
    pub fn document(self, _name: impl AsRef<Path>, _text: impl Into<String>) -> Self { todo!() }
    /// Usually `std::env::vars_os()`.
    #[must_use]
    pub fn environment<K: Into<OsString>, V: Into<OsString>>(self, _variables: impl IntoIterator<Item = (K, V)>) -> Self { todo!() }
    #[must_use]
    pub fn flag(self, _key: &str, _value: impl Into<String>) -> Self { todo!() }
    /// Can be called again (SIGHUP): the file is read anew each time.
    pub fn load<T: DeserializeOwned + Serialize>(&self) -> Result<Loaded<T>, Error> { todo!() }
}

#[derive(Debug, Clone)]
pub struct Loaded<T> { pub value: T, pub tree: Tree }

#[derive(Debug, Clone)]
pub struct Tree;
impl Tree {
    pub fn entries(&self) -> impl Iterator<Item = Entry<'_>> { std::iter::empty() }
    pub fn origin_of(&self, _key: &str) -> Option<&Origin> { todo!() }
}
#[derive(Debug, Clone)]
pub struct Entry<'a> { pub key: &'a str, pub value: &'a str, pub origin: &'a Origin }
