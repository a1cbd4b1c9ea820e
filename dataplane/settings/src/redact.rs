//! What must not be shown.

use std::borrow::Cow;

/// What is shown in a secret's place.
pub(crate) const REDACTED: &str = "<redacted>";

/// Parts of names that suggest a secret. Better one word too many than one too few.
const SUSPICIOUS: [&str; 7] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "key",
];

/// Whether the name of a key, or of a table above it, suggests that its value is a secret.
///
/// A `*_file` holds the secret elsewhere, and its path is what one wants to see; so does the `key` beside a `cert` of
/// TLS (`tls.key`, `certificates.0.key`).
pub(crate) fn is_secret(key: &str) -> bool {
    let mut above = key.rsplit('.');
    let path_of_key = match (above.next(), above.next(), above.next()) {
        (Some("key"), Some("tls"), _) => true,
        (Some("key"), Some(index), Some("certificates")) => index.parse::<usize>().is_ok(),
        _ => false,
    };
    let named = match path_of_key {
        true => key.strip_suffix("key").unwrap_or(key),
        false => key,
    };
    named.split('.').any(|segment| {
        let name = segment.to_ascii_lowercase();
        !name.ends_with("_file") && SUSPICIOUS.iter().any(|part| name.contains(part))
    })
}

/// `mqtt://user:password@host` without the password.
pub(crate) fn without_url_password(text: &str) -> Cow<'_, str> {
    let masked = || {
        let (scheme, rest) = text.split_once("://")?;
        let authority = rest.split(['/', '?', '#']).next()?;
        // A password may hold an unescaped `@` or even `/`; too much is better than too little.
        let userinfo = match authority.rsplit_once('@') {
            Some((userinfo, _)) => userinfo,
            None => rest.rsplit_once('@')?.0,
        };
        let (user, _) = userinfo.split_once(':')?;
        let host = &rest[userinfo.len()..];
        Some(format!("{scheme}://{user}:{REDACTED}{host}"))
    };
    masked().map_or(Cow::Borrowed(text), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_secrets_away() {
        for key in [
            "password",
            "broker.password",
            "tls.private_key",
            "authz.API_KEY",
            "authtoken",
            "client_secret",
            "secrets.alice",
            "tokens.0",
            "password_file.inline_password",
            "key",
            "tls.keys",
            "tls.key.pem",
            "secrets.tls.key",
            "certificates.x.key",
            "api.key",
        ] {
            assert!(is_secret(key), "{key}");
        }
        for key in [
            "broker.url",
            "keep_alive",
            "tls.key_file",
            "broker.tls.key",
            "listeners.1.tls.certificates.0.key",
            "users.password_file",
        ] {
            assert!(!is_secret(key), "{key}");
        }
    }

    #[test]
    fn urls_lose_their_passwords_and_nothing_else() {
        for (url, shown) in [
            ("mqtt://u:pw@host:1883/x", "mqtt://u:<redacted>@host:1883/x"),
            ("mqtt://u:p@w@host", "mqtt://u:<redacted>@host"),
            ("mqtt://u:p/w@host", "mqtt://u:<redacted>@host"),
            ("mqtt://:pw@host", "mqtt://:<redacted>@host"),
            ("mqtt://u@host:1883", "mqtt://u@host:1883"),
            ("mqtt://host:1883/a", "mqtt://host:1883/a"),
            ("plain text", "plain text"),
        ] {
            assert_eq!(without_url_password(url), shown);
        }
    }
}
