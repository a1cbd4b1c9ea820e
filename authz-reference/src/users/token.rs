//! What looks like a JSON Web Token (RFC 7519) in the compact form: `header.claims.signature`.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::Value;

use super::source::Login;

/// The longest token that anybody looks at, in bytes: most HTTP servers take no longer header.
pub(super) const MAX_TOKEN_BYTES: usize = 8 * 1024;

/// Why a token is refused before anybody has looked at it.
pub(super) const TOO_LARGE: &str = "token-too-large";

/// Where the token was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Username,
    Password,
}

/// The token of a login: the user name, or else the password.
pub(super) fn of<'a>(login: &Login<'a>) -> Option<(&'a str, Place)> {
    let username = login.username.map(|name| (name, Place::Username));
    let password = login
        .password
        .and_then(|password| str::from_utf8(password.expose()).ok())
        .map(|password| (password, Place::Password));
    [username, password]
        .into_iter()
        .flatten()
        .find(|(text, _)| looks_like_one(text))
}

/// Three parts in base64url, the first of them a JSON object that names an algorithm. Nothing is believed of it.
pub(crate) fn looks_like_one(text: &str) -> bool {
    let [header, claims, signature] = parts(text);
    !claims.is_empty()
        && [claims, signature].into_iter().all(is_base64url)
        && object(header).is_some_and(|header| header.get("alg").is_some_and(Value::is_string))
}

/// Header, claims and signature; all empty if there are not three parts.
pub(super) fn parts(text: &str) -> [&str; 3] {
    let mut parts = text.split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(header), Some(claims), Some(signature), None) => [header, claims, signature],
        _ => [""; 3],
    }
}

/// A part, decoded.
pub(super) fn decode(part: &str) -> Option<Vec<u8>> {
    BASE64_URL_SAFE_NO_PAD.decode(part).ok()
}

/// A part that is a JSON object.
pub(super) fn object(part: &str) -> Option<serde_json::Map<String, Value>> {
    serde_json::from_slice(&decode(part)?).ok()
}

fn is_base64url(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_what_is_none() {
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let header = part(r#"{"alg":"ES256","typ":"JWT"}"#);
        for good in [
            format!("{header}.e30.c2ln"),
            format!("{header}.e30."), // with `none`: somebody's token, and a bad one
        ] {
            assert!(looks_like_one(&good), "{good}");
        }
        for other in [
            "",
            "alice",
            "a.b.c",
            "..",
            "10.0.0.1",
            &format!("{header}.e30"),
            &format!("{header}..c2ln"),
            &format!("{header}.e30.c2ln.x"),
            &format!("{header}.e30.c2ln="),
            &format!("{header}.e 30.c2ln"),
            &format!("{}.e30.c2ln", part("[]")),
            &format!("{}.e30.c2ln", part(r#"{"typ":"JWT"}"#)),
            &format!("{}.e30.c2ln", part(r#"{"alg":1}"#)),
        ] {
            assert!(!looks_like_one(other), "{other}");
        }
    }
}
