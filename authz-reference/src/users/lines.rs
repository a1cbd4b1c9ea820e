//! `name:hash` lines: password files of Mosquitto, htpasswd and go-auth.

use std::{collections::HashSet, path::Path};

use super::{
    Account, User,
    file::{FileFormat, UsersFileError},
};
use crate::{
    identity::UserName,
    password::{HashFormat, PasswordHash},
};

/// Whether a text is written in such lines rather than in TOML, by its first line with content: in TOML that has
/// a `[` or a `=` before any `:`.
pub(super) fn are_lines(text: &str) -> bool {
    let first = content(text).map(|(_, line)| line).next();
    let separator = first.and_then(|line| {
        let at = line.find([':', '=', '['])?;
        line.as_bytes().get(at).copied()
    });
    separator == Some(b':')
}

/// Understands such lines. Empty ones and those that begin with `#` do not count.
///
/// # Errors
/// The first line that is wrong; one that `format` does not know, too. Never shows the line: it may hold a password.
pub(super) fn parse(
    text: &str,
    path: &Path,
    format: FileFormat,
) -> Result<Vec<(UserName, User)>, UsersFileError> {
    let mut names = HashSet::new();
    let user = |(line, content): (usize, &str)| {
        let malformed = |problem: String| UsersFileError::Malformed {
            path: path.to_owned(),
            line,
            problem,
        };
        let (name, hash) = content
            .split_once(':')
            .ok_or_else(|| malformed("`name:hash` was expected".to_owned()))?;
        let name = UserName::new(name).map_err(|error| malformed(error.to_string()))?;
        let password = PasswordHash::parse(hash).map_err(|error| {
            malformed(format!(
                "the password of `{name}` is {error}{}",
                advice(format)
            ))
        })?;
        if !fits(format, password.format()) {
            return Err(malformed(format!(
                "the password of `{name}` is a hash of the format {}, which {}",
                password.format(),
                "this kind of file does not hold"
            )));
        }
        if !names.insert(name.clone()) {
            return Err(malformed(format!("the user `{name}` is there twice")));
        }
        let account = Account::default();
        Ok((name, User { password, account }))
    };
    content(text).map(user).collect()
}

/// Lines that count, with their numbers from 1.
fn content(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// `$6$` is Mosquitto's in one kind of file and crypt's in the other: better no guess where the kind is known.
fn fits(file: FileFormat, hash: HashFormat) -> bool {
    match file {
        FileFormat::Auto | FileFormat::Toml => true,
        FileFormat::Mosquitto => matches!(
            hash,
            HashFormat::Argon2id | HashFormat::Mosquitto | HashFormat::MosquittoSha512
        ),
        FileFormat::Htpasswd => hash == HashFormat::Bcrypt,
        FileFormat::GoAuth => matches!(
            hash,
            HashFormat::Argon2id | HashFormat::Bcrypt | HashFormat::GoAuth
        ),
    }
}

/// What makes hashes that can be read.
fn advice(format: FileFormat) -> &'static str {
    match format {
        FileFormat::Mosquitto => "; `mosquitto_passwd -U` hashes plain text",
        FileFormat::Htpasswd => "; only those of `htpasswd -B` are safe to keep",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOSQUITTO: &str = "$7$101$JahiFc1NvXFNTsy+$cDJCNloGq9PTChOsVLn+yUoIpTlrrP3PvaHPBEM/ZCjpRbshwXcwYJpwqiQXEnWx8ydY3KysK+Eg3ukFPBdW+Q==";
    const BCRYPT: &str = "$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a";

    fn read(text: &str, format: FileFormat) -> Result<Vec<String>, String> {
        let users = parse(text, Path::new("pw"), format).map_err(|error| error.to_string())?;
        Ok(users.iter().map(|(name, _)| name.to_string()).collect())
    }

    #[test]
    fn reads_lines() {
        let text = format!("# ours\n\nbob:{MOSQUITTO}\r\n al ice:{BCRYPT}\n");
        assert_eq!(read(&text, FileFormat::Auto).unwrap(), ["bob", "al ice"]);
    }

    #[test]
    fn tells_lines_from_toml() {
        for text in ["a:b", "# c = d\n\na:b=", "a:$7$101$x=="] {
            assert!(are_lines(text), "{text}");
        }
        for text in [
            "",
            "# a:b",
            "[users.a]",
            "users = { \"a:b\" = 1 }",
            "a",
            "a=b:c",
        ] {
            assert!(!are_lines(text), "{text}");
        }
    }

    #[test]
    fn points_at_what_is_wrong() {
        for (text, format, expected) in [
            (
                "\nalice",
                FileFormat::Mosquitto,
                "pw:2: `name:hash` was expected",
            ),
            (
                "alice:s3cret",
                FileFormat::Mosquitto,
                "pw:1: the password of `alice` is not a hash",
            ),
            (
                "alice:$apr1$abcdefgh$abcdefghijklmnopqrstu0",
                FileFormat::Htpasswd,
                "pw:1: the password of `alice` is not a hash",
            ),
            (
                &format!("a:{BCRYPT}\nb:{MOSQUITTO}"),
                FileFormat::Htpasswd,
                "pw:2: the password of `b` is a hash of the format mosquitto, which",
            ),
            (
                &format!("a:{BCRYPT}\na:{BCRYPT}"),
                FileFormat::Auto,
                "pw:2: the user `a` is there twice",
            ),
            (
                &format!("a/b:{BCRYPT}"),
                FileFormat::Auto,
                "pw:1: a user name may not contain",
            ),
        ] {
            let problem = read(text, format).unwrap_err();
            assert!(problem.starts_with(expected), "{problem}");
            assert!(!problem.contains("s3cret"), "{problem}");
        }
    }
}
