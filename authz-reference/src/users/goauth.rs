//! A gateway that was written for Mosquitto's plugin mosquitto-go-auth (its HTTP backend), asked in the plugin's
//! place. For the configuration see [`crate::config::http`].
//!
//! * CONNECT: `getuser` with `username`, `password` and `clientid`, then `superuser` with `username`.
//! * With `acl`, every PUBLISH, will and filter: `aclcheck` with `username`, `clientid`, `topic` and `acc`: 2 to
//!   publish, 4 to subscribe, 1 to be given messages. It is asked for each of them, so publishing costs a round trip to
//!   the gateway; superusers are not asked about.
//!
//! As the plugin does, a filter is sent as it is. Mosquitto then asks again (`acc` 1) for each message that it is about
//! to deliver, and many gateways rely on that: they permit every subscription. The data plane does not look at
//! deliveries, so by default *both* questions are put about the filter itself, and both have to be permitted.
//!
//! **What remains a risk:** a gateway that takes the filter for a topic name. If it permits `+/public` to somebody
//! because one of its patterns matches that text, they get the `public` of everybody. It has to ask whether its
//! pattern *covers* the filter; one that compares the beginning with `<username>/` does so.
//!
//! A status from 500, a redirect, 404 (a path or a proxy that is wrong), 405, 408 and 429, no answer, and JSON that is none are failures; other answers that
//! are not "yes" mean "no", as for the plugin. A token as user name is no `UserName` if it is long: a gateway behind
//! which there is a user manager that knows tokens is better replaced by [`super::http`].

use std::sync::Arc;

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    Account,
    http::{
        self, OpenError,
        client::{Answer, Client},
    },
    source::{Found, Login, SourceError, UserSource, Verified},
    topic_oracle::{TopicAction, TopicAnswer, TopicOracle, TopicQuestion},
};
use crate::{
    config::http::{BodyFormat, FilterAccess, GoAuthConfig, HttpConfig, ResponseMode},
    deadline::Deadline,
    policy::Refusal,
};

#[cfg(test)]
mod tests;

/// The rule by which the gateway lets somebody in, or permits a topic.
const RULE: &str = "go-auth";

/// Questions about topics that wait for their turn. So many checks come with the calls that data planes may have
/// open; each waits no longer than its call does.
const TOPICS_WAITING: usize = 65_536;

/// A gateway. Cheap to clone: all clones are one.
#[derive(Debug, Clone)]
pub struct Gateway(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    /// For questions about topics, so that no publisher takes the places of those who log in.
    topics: Client,
    config: GoAuthConfig,
    body: BodyFormat,
}

/// `acc` of an aclcheck.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Acc {
    Read = 1,
    Write = 2,
    Subscribe = 4,
}

impl Gateway {
    /// Reads the files of the configuration.
    ///
    /// # Errors
    /// If one can't be used.
    pub fn new(config: &HttpConfig) -> Result<Self, OpenError> {
        Ok(Self(Arc::new(Inner {
            client: http::client_of(config, config.queue)?,
            topics: http::client_of(config, TOPICS_WAITING)?,
            config: config.go_auth.clone(),
            body: config.body,
        })))
    }
}

#[tonic::async_trait]
impl UserSource for Gateway {
    fn name(&self) -> &'static str {
        http::NAME
    }

    async fn find(&self, login: &Login<'_>, deadline: Deadline) -> Result<Found, SourceError> {
        let (name, password) = match http::credentials(login) {
            Ok(credentials) => credentials,
            Err(found) => return Ok(found),
        };
        let Inner { config, .. } = &*self.0;
        let user = [
            ("username", name.as_str()),
            ("password", password),
            ("clientid", login.client_id),
        ];
        if !self
            .0
            .says_yes(&config.getuser_path, user, None, deadline)
            .await?
        {
            return Ok(Found::Refused(Refusal::UnknownUserOrPassword));
        }
        let path = &config.superuser_path;
        let superuser = !path.is_empty() && {
            let user = [("username", name.as_str())];
            self.0.says_yes(path, user, None, deadline).await?
        };
        Ok(Found::Verified(Verified {
            name,
            account: Account {
                superuser,
                oracle: config.acl,
                ..Account::default()
            },
            expires_at: None,
            rule: RULE,
        }))
    }

    fn topic_oracle(&self) -> Option<Arc<dyn TopicOracle>> {
        let oracle: Arc<dyn TopicOracle> = Arc::new(self.clone());
        self.0.config.acl.then_some(oracle)
    }
}

#[tonic::async_trait]
impl TopicOracle for Gateway {
    fn name(&self) -> &'static str {
        RULE
    }

    async fn ask(
        &self,
        question: TopicQuestion<'_>,
        deadline: Deadline,
    ) -> Result<TopicAnswer, SourceError> {
        let Inner { config, .. } = &*self.0;
        let accesses: Vec<Acc> = match question.action {
            TopicAction::Publish => vec![Acc::Write],
            TopicAction::Subscribe => config
                .acl_subscribe
                .iter()
                .map(|&access| access.into())
                .collect(),
        };
        for acc in accesses {
            let topic = [
                ("username", question.user.as_str()),
                ("clientid", question.client_id),
                ("topic", question.topic),
            ];
            let path = &config.aclcheck_path;
            if !self.0.says_yes(path, topic, Some(acc), deadline).await? {
                return Ok(TopicAnswer::Refused);
            }
        }
        Ok(TopicAnswer::Permitted)
    }
}

impl Inner {
    async fn says_yes<const N: usize>(
        &self,
        path: &str,
        fields: [(&str, &str); N],
        acc: Option<Acc>,
        deadline: Deadline,
    ) -> Result<bool, SourceError> {
        let mut body: Map<String, Value> = fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.into()))
            .collect();
        if let Some(acc) = acc {
            body.insert("acc".to_owned(), (acc as u8).into());
        }
        let client = match acc {
            Some(_) => &self.topics,
            None => &self.client,
        };
        let request = client.request(self.config.method, path, self.body, &body);
        let answer = client.send(request, deadline).await?;
        self.read(&answer)
    }

    fn read(&self, answer: &Answer) -> Result<bool, SourceError> {
        match answer.status {
            status if status.is_success() => {}
            StatusCode::NOT_FOUND
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS => return Err(self.client.unexpected(answer.status)),
            status if status.is_client_error() => return Ok(false),
            status => return Err(self.client.unexpected(status)),
        }
        match self.config.response {
            ResponseMode::Status => Ok(true),
            ResponseMode::Text => Ok(answer.body.trim_ascii_end() == b"ok"),
            ResponseMode::Json => serde_json::from_slice(&answer.body)
                .map(|Said { ok }| ok)
                .map_err(|_| {
                    self.client
                        .unavailable("the answer is not {\"ok\": true or false}")
                }),
        }
    }
}

/// The plugin's answer. Its `error` is for the gateway's own log.
#[derive(Deserialize)]
struct Said {
    #[serde(default)]
    ok: bool,
}

impl From<FilterAccess> for Acc {
    fn from(access: FilterAccess) -> Self {
        match access {
            FilterAccess::Read => Self::Read,
            FilterAccess::Subscribe => Self::Subscribe,
        }
    }
}
