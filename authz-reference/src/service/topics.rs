//! PUBLISH, wills and SUBSCRIBE: decided from the session state alone.

use std::time::SystemTime;

use tidegate_proto::v1::{
    PublishAllow, PublishCheck, PublishOrigin, SubscribeAllow, SubscribeCheck,
};

use super::{
    sessions::Sessions,
    verdict::{Allowed, Fault, Verdict},
};
use crate::{
    policy::{Origin, Publication, Subscription},
    recent::Recent,
    topics::{is_topic_filter, is_topic_name},
};

/// The highest QoS there is.
const MAX_QOS: u32 = 2;

/// What the checks of one call are decided by: a reload does not come in between.
#[derive(Debug, Clone, Copy)]
pub(super) struct Topics<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) recent: &'a Recent,
    pub(super) now: SystemTime,
}

impl Topics<'_> {
    /// Decides on one publication, be it a PUBLISH or a will.
    pub(super) fn publish(&self, check: &PublishCheck) -> Verdict<PublishAllow> {
        let permissions =
            self.sessions
                .permissions(check.session.as_ref(), self.recent, self.now)?;
        if !is_topic_name(&check.topic) {
            return Err(Fault::Topic.into());
        }
        if !check.response_topic.is_empty() && !is_topic_name(&check.response_topic) {
            return Err(Fault::ResponseTopic.into());
        }
        if check.qos > MAX_QOS {
            return Err(Fault::Qos.into());
        }
        let grant = permissions.publish(&Publication {
            topic: &check.topic,
            response_topic: &check.response_topic,
            qos: check.qos,
            retain: check.retain,
            origin: match check.origin() {
                PublishOrigin::Will => Origin::Will,
                PublishOrigin::Client | PublishOrigin::Unspecified => Origin::Client,
            },
        })?;
        Ok(Allowed {
            grant,
            allow: PublishAllow::default(),
        })
    }

    /// Decides on one subscription. The data plane has split `$share/<name>/` off already.
    pub(super) fn subscribe(&self, check: &SubscribeCheck) -> Verdict<SubscribeAllow> {
        let permissions =
            self.sessions
                .permissions(check.session.as_ref(), self.recent, self.now)?;
        if !is_topic_filter(&check.topic_filter) {
            return Err(Fault::TopicFilter.into());
        }
        if check.share_name.contains(['/', '+', '#']) {
            return Err(Fault::ShareName.into());
        }
        if check.qos > MAX_QOS {
            return Err(Fault::Qos.into());
        }
        let granted = permissions.subscribe(&Subscription {
            filter: &check.topic_filter,
            qos: check.qos,
        })?;
        Ok(Allowed {
            grant: granted.grant,
            allow: SubscribeAllow {
                max_qos: granted.max_qos,
                ..SubscribeAllow::default()
            },
        })
    }
}
