//! A user manager: an HTTP service that users log in at. For its configuration see [`crate::config::http`].
//!
//! * `POST` of user name and password: 200 with JSON means that they are right, 401 that they are not. Other statuses can
//!   be configured to mean that, but only with JSON: a proxy in between has its own 403 and 404.
//! * `GET` with a token as `Authorization: Bearer`, when the user name or the password of CONNECT is one: 200 with JSON
//!   says whose it is. The session ends with the token (`exp`).
//!
//! Everything else, from a redirect over a login page to a 500, is a failure: nobody hears "wrong password" because
//! of it. So is an answer about somebody else than who has logged in.
//!
//! The manager does not say whether there is such a user, so its "no" is the last word: name this source last.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use self::{
    answer::Identity,
    client::{Answer, Client, Limits},
};
use super::{
    Account,
    source::{Found, Login, SourceError, UserSource, Verified},
    token,
};
use crate::{
    config::http::{BodyFormat, HttpConfig, ManagerConfig, Method},
    deadline::Deadline,
    identity::UserName,
    password::Password,
    policy::Refusal,
};

mod answer;
pub(super) mod client;
#[cfg(test)]
pub(super) mod server;
#[cfg(test)]
pub(super) mod tests;
mod tls;

pub use self::client::OpenError;

/// What the configuration calls it, and its rule.
pub(super) const NAME: &str = "http";
/// The rule by which a token lets somebody in.
const TOKEN_RULE: &str = "http-token";

/// The longest answer that is read, in bytes.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A user manager.
#[derive(Debug)]
pub struct UserManager {
    client: Client,
    config: ManagerConfig,
    body: BodyFormat,
}

/// The source that `config` asks for: a user manager or a go-auth gateway.
///
/// # Errors
/// If a file of the configuration can't be used. Whether the service is there shows when it is asked.
pub fn open(config: &HttpConfig) -> Result<Box<dyn UserSource>, OpenError> {
    use crate::config::http::HttpMode;
    Ok(match config.mode {
        HttpMode::UserManager => Box::new(UserManager::new(config)?),
        HttpMode::GoAuth => Box::new(super::goauth::Gateway::new(config)?),
    })
}

/// The client of `config`, with room for so many requests that wait for their turn.
pub(super) fn client_of(config: &HttpConfig, queue: usize) -> Result<Client, OpenError> {
    let limits = Limits {
        timeout: config.timeout,
        connect_timeout: config.connect_timeout,
        concurrent: config.max_concurrent,
        queue,
        body: MAX_BODY_BYTES,
    };
    Client::new(NAME, "users.http", &config.url, limits, &config.tls)
}

impl UserManager {
    /// Reads the files of the configuration.
    ///
    /// # Errors
    /// If one can't be used.
    pub fn new(config: &HttpConfig) -> Result<Self, OpenError> {
        Ok(Self {
            client: client_of(config, config.queue)?,
            config: config.manager.clone(),
            body: config.body,
        })
    }

    async fn log_in(
        &self,
        name: UserName,
        password: &str,
        deadline: Deadline,
    ) -> Result<Found, SourceError> {
        let fields = &self.config;
        let body: Map<String, Value> = [
            (fields.username_field.clone(), name.as_str().into()),
            (fields.password_field.clone(), password.into()),
        ]
        .into_iter()
        .collect();
        let path = &fields.login_path;
        let request = self.client.request(Method::Post, path, self.body, &body);
        let answer = self.client.send(request, deadline).await?;
        let Some(identity) = self.identity(&answer)? else {
            return Ok(Found::Refused(Refusal::UnknownUserOrPassword));
        };
        if !fields.name_fields.is_empty() && identity.name.as_deref() != Some(name.as_str()) {
            let problem = match identity.name {
                Some(_) => "the answer is about somebody else",
                None => "the answer has no user name",
            };
            return Err(self.client.unavailable(problem));
        }
        Ok(Found::Verified(Verified {
            name,
            account: identity.account(),
            expires_at: None,
            rule: NAME,
        }))
    }

    async fn identify(&self, token: &str, deadline: Deadline) -> Result<Found, SourceError> {
        if token.len() > token::MAX_TOKEN_BYTES {
            return Ok(Found::Refused(Refusal::Credential(token::TOO_LARGE)));
        }
        let request = self.client.get(&self.config.identify_path);
        let request = request.bearer_auth(token);
        let answer = self.client.send(request, deadline).await?;
        let Some(identity) = self.identity(&answer)? else {
            return Ok(Found::Refused(Refusal::Credential("token-refused")));
        };
        let Some(name) = &identity.name else {
            return Err(self.client.unavailable("the answer has no user name"));
        };
        let Ok(name) = UserName::new(name) else {
            return Ok(Found::Refused(Refusal::UserName));
        };
        let expires_at = expiry(token);
        if expires_at.is_some_and(|end| end <= SystemTime::now()) {
            return Ok(Found::Refused(Refusal::Credential("token-expired")));
        }
        Ok(Found::Verified(Verified {
            name,
            account: identity.account(),
            expires_at,
            rule: TOKEN_RULE,
        }))
    }

    /// Who it is; `None` if the manager says no.
    fn identity(&self, answer: &Answer) -> Result<Option<Identity>, SourceError> {
        match answer.status.as_u16() {
            200 => answer::read(&answer.body, &self.config)
                .map(Some)
                .map_err(|nonsense| self.client.unavailable(nonsense)),
            status if self.config.refused_status.contains(&status) => {
                // 401 is about credentials by definition. Others come from any proxy whose backend is away, too, but as
                // a page or with nothing.
                let is_managers = status == 401 || answer::is_object(&answer.body);
                match is_managers {
                    true => Ok(None),
                    false => Err(self.client.unexpected(answer.status)),
                }
            }
            _ => Err(self.client.unexpected(answer.status)),
        }
    }
}

#[tonic::async_trait]
impl UserSource for UserManager {
    fn name(&self) -> &'static str {
        NAME
    }

    async fn find(&self, login: &Login<'_>, deadline: Deadline) -> Result<Found, SourceError> {
        if !self.config.identify_path.is_empty()
            && let Some((token, _)) = token::of(login)
        {
            return self.identify(token, deadline).await;
        }
        match credentials(login) {
            Ok((name, password)) => self.log_in(name, password, deadline).await,
            Err(found) => Ok(found),
        }
    }
}

/// User name and password that it makes sense to ask about.
pub(super) fn credentials<'a>(login: &Login<'a>) -> Result<(UserName, &'a str), Found> {
    let (Some(name), Some(password)) = (login.username, login.password) else {
        return Err(Found::NotMine);
    };
    let name = UserName::new(name).map_err(|_| Found::Refused(Refusal::UserName))?;
    match text(password) {
        Some(password) => Ok((name, password)),
        None => Err(Found::Refused(Refusal::UnknownUserOrPassword)),
    }
}

/// A password that can be sent on. An empty one is nobody's: a directory behind the service may take it as asking
/// for an anonymous bind, and say yes.
fn text(password: &Password) -> Option<&str> {
    let password = str::from_utf8(password.expose()).ok()?;
    (!password.is_empty()).then_some(password)
}

/// The `exp` of a token that its issuer has just accepted.
fn expiry(token: &str) -> Option<SystemTime> {
    let [_, claims, _] = token::parts(token);
    let exp = token::object(claims)?.get("exp")?.as_f64()?;
    let since = Duration::try_from_secs_f64(exp).ok()?;
    SystemTime::UNIX_EPOCH.checked_add(since)
}

impl Identity {
    fn account(&self) -> Account {
        Account {
            superuser: self.superuser,
            ..Account::default()
        }
    }
}
