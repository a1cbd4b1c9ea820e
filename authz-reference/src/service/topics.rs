//! PUBLISH, wills and SUBSCRIBE: decided from the session state alone.

use std::time::SystemTime;

use tidegate_proto::v1::{
    PublishAllow, PublishCheck, PublishOrigin, Session, SubscribeAllow, SubscribeCheck,
};

use super::{
    sessions::{Judged, Sessions},
    verdict::{self, Allowed, Decided, Fault, NotAllowed, Question},
};
use crate::{
    identity::Principal,
    policy::{Origin, Permissions, Publication, Subscription},
    recent::Recent,
    session_state::InvalidState,
    topics::{is_topic_filter, is_topic_name},
    users::topic_oracle::TopicAction,
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
    pub(super) fn publish(&self, check: &PublishCheck) -> Decided<PublishAllow> {
        decided(self.publication(check))
    }

    /// Decides on one subscription. The data plane has split `$share/<name>/` off already.
    pub(super) fn subscribe(&self, check: &SubscribeCheck) -> Decided<SubscribeAllow> {
        decided(self.subscription(check))
    }

    fn publication(
        &self,
        check: &PublishCheck,
    ) -> Result<Result<Allowed<PublishAllow>, Question>, NotAllowed> {
        let Judged {
            permissions,
            oracle,
        } = self
            .sessions
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
        if oracle {
            return Ok(Err(Question {
                topic: check.topic.clone(),
                action: TopicAction::Publish,
                response_topic: check.response_topic.clone(),
                ..whose(&permissions, check.session.as_ref())?
            }));
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
        Ok(Ok(Allowed {
            grant,
            allow: PublishAllow::default(),
        }))
    }

    fn subscription(
        &self,
        check: &SubscribeCheck,
    ) -> Result<Result<Allowed<SubscribeAllow>, Question>, NotAllowed> {
        let Judged {
            permissions,
            oracle,
        } = self
            .sessions
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
        if oracle {
            return Ok(Err(Question {
                topic: check.topic_filter.clone(),
                action: TopicAction::Subscribe,
                ..whose(&permissions, check.session.as_ref())?
            }));
        }
        let granted = permissions.subscribe(&Subscription {
            filter: &check.topic_filter,
            qos: check.qos,
        })?;
        Ok(Ok(Allowed {
            grant: granted.grant,
            allow: SubscribeAllow {
                max_qos: granted.max_qos,
                ..SubscribeAllow::default()
            },
        }))
    }
}

fn decided<A>(made: Result<Result<Allowed<A>, Question>, NotAllowed>) -> Decided<A> {
    match made {
        Ok(Ok(allowed)) => Decided::Now(Ok(allowed)),
        Ok(Err(question)) => Decided::Ask(question),
        Err(not_allowed) => Decided::Now(Err(not_allowed)),
    }
}

/// A question about nothing yet. Only users are asked about elsewhere.
fn whose(permissions: &Permissions, session: Option<&Session>) -> Result<Question, NotAllowed> {
    let session = verdict::session(session)?;
    let Principal::User { name, .. } = permissions.principal() else {
        return Err(Fault::from(InvalidState::Foreign).into());
    };
    Ok(Question {
        user: name.clone(),
        client_id: session.client_id.clone(),
        topic: String::new(),
        action: TopicAction::Subscribe,
        response_topic: String::new(),
    })
}
