//! PUBLISH, wills and SUBSCRIBE: decided from the session state alone.

use tidegate_proto::v1::{PublishAllow, PublishCheck, Session, SubscribeAllow, SubscribeCheck};

use super::{
    Inner,
    verdict::{self, Allowed, Fault, Verdict},
};
use crate::{
    identity::Principal,
    policy,
    topics::{is_topic_filter, is_topic_name},
};

impl Inner {
    /// Decides on one publication, be it a PUBLISH or a will.
    pub(super) fn publish(&self, check: &PublishCheck) -> Verdict<PublishAllow> {
        let principal = self.principal(check.session.as_ref())?;
        if !is_topic_name(&check.topic) {
            return Err(Fault::Topic.into());
        }
        if !check.response_topic.is_empty() && !is_topic_name(&check.response_topic) {
            return Err(Fault::ResponseTopic.into());
        }
        let grant = policy::publish(&principal, &check.topic, &check.response_topic)?;
        Ok(Allowed {
            grant,
            allow: PublishAllow::default(),
        })
    }

    /// Decides on one subscription. The data plane has split `$share/<name>/` off already.
    pub(super) fn subscribe(&self, check: &SubscribeCheck) -> Verdict<SubscribeAllow> {
        let principal = self.principal(check.session.as_ref())?;
        if !is_topic_filter(&check.topic_filter) {
            return Err(Fault::TopicFilter.into());
        }
        if check.share_name.contains(['/', '+', '#']) {
            return Err(Fault::ShareName.into());
        }
        let grant = policy::subscribe(&principal, &check.topic_filter)?;
        Ok(Allowed {
            grant,
            allow: SubscribeAllow::default(),
        })
    }

    /// Who the session belongs to, according to CONNECT. What the check itself says about user
    /// and principal is for the log: only the sealed state is believed.
    fn principal(&self, session: Option<&Session>) -> Result<Principal, Fault> {
        let session = verdict::session(session)?;
        Ok(self
            .sealer
            .open(&session.session_state, &session.session_id)?)
    }
}
