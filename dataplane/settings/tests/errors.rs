//! Every error names the key, what was found, what was expected, and where.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde::{Deserialize, Serialize};
use std::{ffi::OsString, num::NonZeroU16, time::Duration};
use tidegate_settings::{Error, Loader, Origin, text};

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Config {
    listeners: Vec<Listener>,
    authz: Authz,
    threads: u8,
    workers: Option<NonZeroU16>,
    verbose: bool,
    ratio: f64,
    tags: Vec<String>,
    mode: Mode,
    user: Option<User>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Listener {
    name: String,
    bind: String,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Authz {
    #[serde(with = "text::duration")]
    deadline: Duration,
    #[serde(with = "text::size")]
    max_batch: u16,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    #[default]
    Namespaced,
    Bound,
    Off,
}

/// A type with words of its own.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct User(String);

impl TryFrom<String> for User {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        if name.contains('/') {
            return Err(format!("a user name must not hold `/`, and {name:?} does"));
        }
        Ok(Self(name))
    }
}

impl From<User> for String {
    fn from(user: User) -> Self {
        user.0
    }
}

fn in_file(toml: &str) -> String {
    let loader = Loader::new("T").document("t.toml", toml);
    loader.load::<Config>().unwrap_err().to_string()
}

fn in_environment(name: &str, text: &str) -> String {
    let loader = Loader::new("T").document("t.toml", "threads = 1\ntags = ['a', 'b']");
    let loader = loader.environment([(name, text)]);
    loader.load::<Config>().unwrap_err().to_string()
}

#[test]
fn values_that_do_not_fit() {
    for (toml, error) in [
        (
            "\nthreads = 256",
            "t.toml:2: `threads`: expected an integer from 0 to 255, found 256",
        ),
        (
            "threads = -1",
            "t.toml:1: `threads`: expected an integer from 0 to 255, found -1",
        ),
        (
            "threads = '4'",
            r#"t.toml:1: `threads`: expected an integer from 0 to 255, found "4""#,
        ),
        (
            "workers = 0",
            "t.toml:1: `workers`: expected an integer from 1 to 65535, found 0",
        ),
        (
            "verbose = 1",
            "t.toml:1: `verbose`: expected true or false, found 1",
        ),
        (
            "ratio = 'x'",
            r#"t.toml:1: `ratio`: expected a number, found "x""#,
        ),
        (
            "tags = 'x'",
            r#"t.toml:1: `tags`: expected an array, found "x""#,
        ),
        (
            "tags = [\n'x',\n7]",
            "t.toml:3: `tags.1`: expected a string, found 7",
        ),
        ("authz = 7", "t.toml:1: `authz`: expected a table, found 7"),
        (
            "authz = ['5s', 1]",
            "t.toml:1: `authz`: expected a table, found an array",
        ),
        (
            "mode = 'bond'",
            "t.toml:1: `mode`: expected one of `namespaced`, `bound`, `off` \
             (did you mean `bound`?), found \"bond\"",
        ),
        (
            "mode = 7",
            "t.toml:1: `mode`: expected one of `namespaced`, `bound`, `off`, found 7",
        ),
        (
            "[authz]\ndeadline = 5",
            "t.toml:2: `authz.deadline`: expected a duration with a unit, such as \"200ms\", \
             \"5s\" or \"1m30s\", found 5",
        ),
        (
            "authz.max_batch = '64KB'",
            "t.toml:1: `authz.max_batch`: expected a size in bytes, such as 512, \"64KiB\" or \
             \"1MiB\", found \"64KB\"",
        ),
        (
            "authz.max_batch = '64KiB'",
            "t.toml:1: `authz.max_batch`: expected a size that fits a u16, found \"64KiB\"",
        ),
        (
            "\n\nuser = 'a/b'",
            "t.toml:3: `user`: a user name must not hold `/`, and \"a/b\" does",
        ),
    ] {
        assert_eq!(in_file(toml), error);
    }
}

#[test]
fn unknown_and_missing_keys() {
    for (toml, error) in [
        (
            "\n[[listeners]]\nname = 'x'\nbnid = 'y'",
            "t.toml:4: unknown key `listeners.0.bnid`; did you mean `bind`?",
        ),
        (
            "[autz]\ndeadline = '5s'",
            "t.toml:1: unknown key `autz`; did you mean `authz`?",
        ),
        (
            "authz.port = 1",
            "t.toml:1: unknown key `authz.port`; expected one of `deadline`, `max_batch`",
        ),
        (
            "\n[[listeners]]\nname = 'x'",
            "t.toml:2: `listeners.0.bind` is missing (environment: T__LISTENERS__0__BIND)",
        ),
    ] {
        assert_eq!(in_file(toml), error);
    }
}

#[test]
fn the_environment_is_named_as_the_origin() {
    for (name, text, error) in [
        (
            "T__THREADS",
            "many",
            r#"environment variable T__THREADS: `threads`: expected an integer from 0 to 255, found "many""#,
        ),
        (
            "T__THREADS",
            "300",
            r#"environment variable T__THREADS: `threads`: expected an integer from 0 to 255, found "300""#,
        ),
        (
            "T__VERBOSE",
            "yes",
            r#"environment variable T__VERBOSE: `verbose`: expected true or false, found "yes""#,
        ),
        (
            "T__TAGS",
            "a,b",
            r#"environment variable T__TAGS: `tags`: expected an array, written as TOML, found "a,b""#,
        ),
        (
            "T__TAGS",
            "['a', 1]",
            "environment variable T__TAGS: `tags.1`: expected a string, found 1",
        ),
        (
            "T__AUTHZ",
            "{ deadlin = '5s' }",
            "environment variable T__AUTHZ: unknown key `authz.deadlin`; did you mean `deadline`?",
        ),
        (
            "T__LISTNERS__0__BIND",
            "x",
            "environment variable T__LISTNERS__0__BIND: unknown key `listners`; \
             did you mean `listeners`?",
        ),
        (
            "T__LISTENERS__0__BIND",
            "x",
            "environment variable T__LISTENERS__0__BIND: `listeners.0.name` is missing \
             (environment: T__LISTENERS__0__NAME)",
        ),
    ] {
        assert_eq!(in_environment(name, text), error);
    }
}

#[test]
fn names_that_lead_nowhere() {
    for (name, reason) in [
        (
            "T__TAGS__3",
            "`tags` has 2 elements: expected an index up to 2, which appends, found 3",
        ),
        (
            "T__TAGS__X",
            "`tags` is an array: expected an index, found `x`",
        ),
        (
            "T__TAGS__-1",
            "`tags` is an array: expected an index, found `-1`",
        ),
        ("T__THREADS__A", "`threads` is a single value, not a table"),
        ("T__AUTHZ____DEADLINE", "the key has an empty segment"),
        ("T__", "the key has an empty segment"),
        (
            "T__LISTENERS__1__BIND",
            "`listeners` has 0 elements: expected an index up to 0, which appends, found 1",
        ),
    ] {
        let expected = format!("environment variable {name}: {reason}");
        assert_eq!(in_environment(name, "x"), expected);
    }
}

#[test]
fn flags_are_named_too() {
    let error = |key: &str| {
        let loader = Loader::new("T").flag(key, "x");
        loader.load::<Config>().unwrap_err().to_string()
    };
    assert_eq!(
        error("threads"),
        r#"flag for threads: `threads`: expected an integer from 0 to 255, found "x""#
    );
    assert_eq!(
        error("authz..deadline"),
        "flag for authz..deadline: the key has an empty segment"
    );
}

#[test]
fn files_that_cannot_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let missing = directory.path().join("missing.toml");
    let error = Loader::new("T")
        .file(&missing)
        .load::<Config>()
        .unwrap_err();
    let expected = format!("cannot read {}: ", missing.display());
    assert!(error.to_string().starts_with(&expected), "{error}");

    let error = Loader::new("T")
        .file(directory.path())
        .load::<Config>()
        .unwrap_err();
    assert!(matches!(error, Error::Read { .. }), "{error}");
}

#[test]
fn what_is_no_toml() {
    for (toml, line) in [
        ("threads = 1\ntags = [", "t.toml:2: "),
        (
            "threads = 1\nthreads = 2",
            "t.toml:2: `threads`: duplicate key",
        ),
        ("\n\nthreads", "t.toml:3: "),
    ] {
        let error = in_file(toml);
        assert!(error.starts_with(line), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn text_that_is_not_unicode() {
    use std::os::unix::ffi::OsStringExt;

    let bytes = OsString::from_vec(vec![0xff]);
    let others = [
        (OsString::from("OTHER"), bytes.clone()),
        (bytes.clone(), bytes.clone()),
    ];
    let loader = Loader::new("T").environment(others);
    assert!(loader.load::<Config>().is_ok());

    let loader = Loader::new("T").environment([("T__USER", bytes)]);
    let error = loader.load::<Config>().unwrap_err().to_string();
    assert_eq!(
        error,
        "environment variable T__USER: the text is not valid Unicode"
    );
}

#[test]
fn a_programs_own_rules_sound_the_same() {
    let loader = Loader::new("T").document("t.toml", "\n[authz]\ndeadline = '2h'");
    let tree = loader.load::<Config>().unwrap().tree;
    let key = "authz.deadline";
    let error = Error::invalid(key, "2h", "at most 60s", tree.origin_of(key));
    assert_eq!(
        error.to_string(),
        "t.toml:3: `authz.deadline`: expected at most 60s, found 2h"
    );
    let error = Error::invalid("threads", 0, "at least 1", None);
    assert!(matches!(
        &error,
        Error::Invalid {
            origin: Origin::Default,
            ..
        }
    ));
    assert_eq!(
        error.to_string(),
        "default: `threads`: expected at least 1, found 0"
    );
}
