//! `[users.http]`: users whom an HTTP service knows.
//!
//! | key below `users.http` | default | meaning |
//! |---|---|---|
//! | `url` | | where the service is; the paths below come behind it. `http://` sends passwords in the clear |
//! | `mode` | `user-manager` | who is asked: a `user-manager`, or a gateway for Mosquitto's plugin, `go-auth` |
//! | `body` | `json` | how requests are written: `json` or `form` |
//! | `timeout`, `connect_timeout` | `2s`, `1s` | what takes longer is a failure, never a denial |
//! | `max_concurrent`, `queue` | 32, 256 | log ins at the same time, and those that wait for their turn; one more hears "busy". A gateway is asked about topics by as many again, which wait as long as their deadline permits |
//! | `tls.ca` | the system's | PEM of the authorities to believe for `https://` |
//! | `tls.cert`, `tls.key` | none | PEM of our own certificate, for mutual TLS |
//!
//! A user manager ([`crate::users::http`]):
//!
//! | key below `users.http.manager` | default | meaning |
//! |---|---|---|
//! | `login_path` | `/login` | `POST`ed to with user name and password |
//! | `identify_path` | `/identify` | `GET` with a token as bearer, if the user name or the password is one; empty: tokens are none of its business |
//! | `username_field`, `password_field` | `username`, `password` | their names in the body |
//! | `name_fields` | `["username", "name", "sub"]` | where the answer has the user name: the first that is there, at the top or below `user`. A log in needs the same name there as it was made with. Empty: not looked at for log ins, so *any* JSON with status 200 is a yes |
//! | `superuser_fields` | `["admin", "isAdmin", "administrator", "isAdministrator"]` | one of them `true` (no text, no number) makes a superuser |
//! | `refused_status` | `[401]` | the answers that mean "no"; others than 401 only with a JSON object, as a proxy in between has none. All others but 200 are failures |
//!
//! A go-auth gateway ([`crate::users::goauth`]):
//!
//! | key below `users.http.go_auth` | default | meaning |
//! |---|---|---|
//! | `getuser_path` | `/getuser` | |
//! | `superuser_path` | `/superuser` | empty: nobody is a superuser |
//! | `acl` | `false` | ask the gateway about topics too; otherwise the rules of this service decide about them |
//! | `aclcheck_path` | `/aclcheck` | |
//! | `acl_subscribe` | `["subscribe", "read"]` | what is asked about a filter; all have to be permitted |
//! | `response` | `status` | what says yes: the `status` alone, `json` with `"ok": true`, or the `text` `ok` |
//! | `method` | `post` | `post`, `put` or `get` |

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tidegate_settings::{self as settings, text::duration};

use super::invalid;

/// See the [module](self).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HttpConfig {
    /// Where the service is.
    pub url: String,
    /// Who is asked.
    pub mode: HttpMode,
    /// How requests are written.
    pub body: BodyFormat,
    /// For a whole request and its answer.
    #[serde(with = "duration")]
    pub timeout: Duration,
    /// For a new connection.
    #[serde(with = "duration")]
    pub connect_timeout: Duration,
    /// Requests at the same time.
    pub max_concurrent: NonZeroUsize,
    /// Requests that wait for their turn.
    pub queue: usize,
    /// `[users.http.tls]`
    pub tls: ClientTls,
    /// `[users.http.manager]`
    pub manager: ManagerConfig,
    /// `[users.http.go_auth]`
    pub go_auth: GoAuthConfig,
}

/// Who is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HttpMode {
    /// A service that users log in at.
    #[default]
    UserManager,
    /// A gateway that Mosquitto's go-auth plugin could ask.
    GoAuth,
}

/// How a request is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BodyFormat {
    /// `application/json`
    #[default]
    Json,
    /// `application/x-www-form-urlencoded`
    Form,
}

/// TLS towards the service. All files are PEM.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClientTls {
    /// The authorities to believe; those of the system if absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// Our certificate, and those that lead to its authority.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its private key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// How a user manager is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ManagerConfig {
    /// Where users log in.
    pub login_path: String,
    /// Where tokens are identified.
    pub identify_path: String,
    /// The user name in the body.
    pub username_field: String,
    /// The password in the body.
    pub password_field: String,
    /// The user name in the answer.
    pub name_fields: Vec<String>,
    /// What makes a superuser in the answer.
    pub superuser_fields: Vec<String>,
    /// The answers that mean "no".
    pub refused_status: Vec<u16>,
}

/// How a go-auth gateway is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GoAuthConfig {
    /// Where passwords are checked.
    pub getuser_path: String,
    /// Where superusers are known.
    pub superuser_path: String,
    /// Whether the gateway decides about topics.
    pub acl: bool,
    /// Where it does.
    pub aclcheck_path: String,
    /// What is asked about a filter.
    pub acl_subscribe: Vec<FilterAccess>,
    /// What says yes.
    pub response: ResponseMode,
    /// How requests are sent.
    pub method: Method,
}

/// What a subscriber needs to be permitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FilterAccess {
    /// `acc` 1: to be given messages.
    Read,
    /// `acc` 4: to subscribe.
    Subscribe,
}

/// What says yes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseMode {
    /// Any status from 200 to 299.
    #[default]
    Status,
    /// That, and a body with `"ok": true`.
    Json,
    /// That, and the body `ok`.
    Text,
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// `POST`
    #[default]
    Post,
    /// `PUT`
    Put,
    /// `GET`, with a body.
    Get,
}

impl HttpConfig {
    /// What no type can say.
    pub(super) fn check(&self, tree: &settings::Tree) -> Result<(), settings::Error> {
        check_url(tree, "users.http.url", &self.url)?;
        check_timeout(tree, "users.http.timeout", self.timeout)?;
        check_timeout(tree, "users.http.connect_timeout", self.connect_timeout)?;
        self.tls.check(tree, "users.http.tls")?;
        let Self {
            manager, go_auth, ..
        } = self;
        let required = [
            ("users.http.manager.login_path", &manager.login_path),
            ("users.http.go_auth.getuser_path", &go_auth.getuser_path),
            ("users.http.go_auth.aclcheck_path", &go_auth.aclcheck_path),
        ];
        for (key, path) in required {
            check_path(tree, key, path)?;
        }
        let optional = [
            ("users.http.manager.identify_path", &manager.identify_path),
            ("users.http.go_auth.superuser_path", &go_auth.superuser_path),
        ];
        for (key, path) in optional {
            if !path.is_empty() {
                check_path(tree, key, path)?;
            }
        }
        let fields = [
            ("users.http.manager.username_field", &manager.username_field),
            ("users.http.manager.password_field", &manager.password_field),
        ];
        for (key, field) in fields {
            if field.is_empty() {
                return Err(invalid(tree, key, field, "the name of a field"));
            }
        }
        if manager.name_fields.is_empty() && !manager.identify_path.is_empty() {
            let expected = "the field that has the user name: a token tells nothing without (or identify_path = \"\")";
            return Err(invalid(
                tree,
                "users.http.manager.name_fields",
                "[]",
                expected,
            ));
        }
        for status in &manager.refused_status {
            if !(400..500).contains(status) {
                let expected = "status codes from 400 to 499";
                return Err(invalid(
                    tree,
                    "users.http.manager.refused_status",
                    &status.to_string(),
                    expected,
                ));
            }
        }
        if go_auth.acl_subscribe.is_empty() {
            let expected = "\"subscribe\", \"read\" or both: nothing asked is nothing permitted";
            return Err(invalid(
                tree,
                "users.http.go_auth.acl_subscribe",
                "[]",
                expected,
            ));
        }
        Ok(())
    }

    pub(super) fn relative_to(mut self, folder: &Path) -> Self {
        self.tls = self.tls.relative_to(folder);
        self
    }
}

impl ClientTls {
    pub(super) fn check(
        &self,
        tree: &settings::Tree,
        section: &str,
    ) -> Result<(), settings::Error> {
        let (missing, beside) = match (&self.cert, &self.key) {
            (Some(_), None) => ("key", "cert"),
            (None, Some(_)) => ("cert", "key"),
            _ => return Ok(()),
        };
        let expected = format!("a file beside `{beside}`");
        Err(invalid(
            tree,
            &format!("{section}.{missing}"),
            "",
            &expected,
        ))
    }

    pub(super) fn relative_to(self, folder: &Path) -> Self {
        let join = |file: Option<PathBuf>| file.map(|file| folder.join(file));
        Self {
            ca: join(self.ca),
            cert: join(self.cert),
            key: join(self.key),
        }
    }
}

pub(super) fn check_url(
    tree: &settings::Tree,
    key: &str,
    text: &str,
) -> Result<(), settings::Error> {
    let expected = "http://host or https://host, with a port and a path if need be, without user, query and fragment";
    let good = reqwest::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
    });
    if good {
        Ok(())
    } else {
        Err(invalid(tree, key, &without_secrets(text), expected))
    }
}

/// As much of a URL as may be shown: user and query may hold secrets, which is why they are refused.
pub(super) fn without_secrets(url: &str) -> String {
    // Anything may stand before it, even what looks like a query.
    if url.contains('@') {
        return "one with something before an @".to_owned();
    }
    let Some(end) = url.find(['?', '#']) else {
        return url.to_owned();
    };
    let what = match url.as_bytes().get(end) {
        Some(b'?') => "query",
        _ => "fragment",
    };
    match reqwest::Url::parse(&url[..end]) {
        Ok(parsed) if parsed.has_host() => {
            let host = parsed.host_str().unwrap_or_default();
            format!("{}://{host} with a {what}", parsed.scheme())
        }
        _ => format!("one with a {what}"),
    }
}

fn check_path(tree: &settings::Tree, key: &str, path: &str) -> Result<(), settings::Error> {
    if path.starts_with('/') && !path.contains(['?', '#', ' ']) {
        Ok(())
    } else {
        let expected = "a path that begins with /, without query and fragment";
        Err(invalid(tree, key, &without_secrets(path), expected))
    }
}

pub(super) fn check_timeout(
    tree: &settings::Tree,
    key: &str,
    timeout: Duration,
) -> Result<(), settings::Error> {
    if timeout.is_zero() {
        Err(invalid(
            tree,
            key,
            "0s",
            "more than nothing, such as \"2s\"",
        ))
    } else {
        Ok(())
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            mode: HttpMode::default(),
            body: BodyFormat::default(),
            timeout: Duration::from_secs(2),
            connect_timeout: Duration::from_secs(1),
            max_concurrent: NonZeroUsize::MIN.saturating_add(31),
            queue: 256,
            tls: ClientTls::default(),
            manager: ManagerConfig::default(),
            go_auth: GoAuthConfig::default(),
        }
    }
}

impl Default for ManagerConfig {
    fn default() -> Self {
        let texts = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        Self {
            login_path: "/login".to_owned(),
            identify_path: "/identify".to_owned(),
            username_field: "username".to_owned(),
            password_field: "password".to_owned(),
            name_fields: texts(&["username", "name", "sub"]),
            superuser_fields: texts(&["admin", "isAdmin", "administrator", "isAdministrator"]),
            refused_status: vec![401],
        }
    }
}

impl Default for GoAuthConfig {
    fn default() -> Self {
        Self {
            getuser_path: "/getuser".to_owned(),
            superuser_path: "/superuser".to_owned(),
            acl: false,
            aclcheck_path: "/aclcheck".to_owned(),
            acl_subscribe: vec![FilterAccess::Subscribe, FilterAccess::Read],
            response: ResponseMode::default(),
            method: Method::default(),
        }
    }
}

#[cfg(test)]
mod tests;
