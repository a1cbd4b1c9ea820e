//! Who decides about topics when this service does not: [`TopicOracle`].

use std::{fmt, sync::Arc};

use super::source::{SourceError, UserSource};
use crate::{deadline::Deadline, identity::UserName};

/// What somebody wants to do with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TopicAction {
    /// Publish to it.
    Publish,
    /// Subscribe; the topic is a filter.
    Subscribe,
}

/// A question about one topic or filter.
#[derive(Debug, Clone, Copy)]
pub struct TopicQuestion<'a> {
    /// Who, as settled at CONNECT.
    pub user: &'a UserName,
    /// Their client id, as they sent it.
    pub client_id: &'a str,
    /// The topic name or, for a subscription, the filter. Well formed.
    pub topic: &'a str,
    /// What for.
    pub action: TopicAction,
}

/// What came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum TopicAnswer {
    /// Yes.
    Permitted,
    /// No.
    Refused,
}

/// Decides about the topics of users whose [`Account::oracle`](super::Account::oracle) is set: one question for
/// each PUBLISH, will and filter.
#[tonic::async_trait]
pub trait TopicOracle: Send + Sync + fmt::Debug {
    /// The name of the rule in results, logs and spans.
    fn name(&self) -> &'static str;

    /// May they? Bounded by `deadline`.
    ///
    /// # Errors
    /// If nobody can say now: never a denial.
    async fn ask(
        &self,
        question: TopicQuestion<'_>,
        deadline: Deadline,
    ) -> Result<TopicAnswer, SourceError>;
}

/// Asks `oracle` about somebody whose [`Account::oracle`](super::Account::oracle) is set.
///
/// # Errors
/// If it can't say, or there is none: another replica has one, or this one had until its configuration changed. The
/// rules of this service were not meant to decide, so they don't.
pub async fn ask(
    oracle: Option<&dyn TopicOracle>,
    question: TopicQuestion<'_>,
    deadline: Deadline,
) -> Result<TopicAnswer, SourceError> {
    let Some(oracle) = oracle else {
        return Err(SourceError::Unavailable {
            source_name: "users.http",
            problem: "whoever is asked about the topics of this user is not configured".to_owned(),
        });
    };
    let late = || SourceError::Unavailable {
        source_name: oracle.name(),
        problem: "no answer in time".to_owned(),
    };
    let answer = deadline.bound(oracle.ask(question, deadline)).await;
    answer.ok_or_else(late)?
}

/// The oracle among `sources`, if there is one.
pub fn among(sources: &[Box<dyn UserSource>]) -> Option<Arc<dyn TopicOracle>> {
    sources.iter().find_map(|source| source.topic_oracle())
}
