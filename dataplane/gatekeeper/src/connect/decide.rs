//! What a verdict about the CONNECT or its will leads to: the next question, the broker, or the end.

use crate::{
    action::{Admitted, Fate},
    change::Invalid,
    close::CloseReason,
    gatekeeper::{Context, Phase},
    mount::Mount,
    question::{Question, Ticket},
    queue::fitting,
    reply::Refusal,
    rules::Rules,
    verdict::{Allow, ConnectAllow, Deny, PublishChanges, Verdict, Why},
    wire::connect::Connect,
};

use super::{
    Admission, Deciding, Dialling, Hello, Stage, hello::will_question, outgoing, refuse::undecided,
};

impl Hello {
    pub(super) fn connect_decided(
        self,
        ticket: Ticket,
        verdict: Verdict,
        cx: &mut Context<'_>,
    ) -> Phase {
        let why = match verdict {
            Verdict::Allow(Allow::Connect(allow)) => {
                match outgoing::connect(&self, &allow, cx.rules) {
                    Ok(outgoing) => return self.allowed(ticket, *allow, outgoing, cx),
                    Err(Invalid) => Why::InvalidMutation,
                }
            }
            Verdict::Deny(deny) => {
                cx.actions.settled(ticket, Fate::Closed);
                return self.denied(deny, CloseReason::ConnectDenied, cx);
            }
            Verdict::Allow(Allow::Publish(_) | Allow::Subscribe(_)) => Why::InvalidResult,
            Verdict::Unavailable(why) => why,
        };
        self.connect_undecided(ticket, why, cx)
    }

    fn connect_undecided(&self, ticket: Ticket, why: Why, cx: &mut Context<'_>) -> Phase {
        cx.actions.settled(ticket, Fate::Closed);
        undecided(self, why, CloseReason::ConnectUndecided, cx)
    }

    /// Asks about the will next, if the broker is to get one.
    fn allowed(
        self,
        ticket: Ticket,
        allow: ConnectAllow,
        outgoing: Connect,
        cx: &mut Context<'_>,
    ) -> Phase {
        let will = self.connect.will.as_ref();
        let question = will
            .filter(|_| outgoing.will.is_some())
            .map(|will| Question::Will(will_question(will)));
        let mut admission = Admission {
            ticket,
            allow,
            outgoing,
        };
        let Some(question) = question else {
            return match admission.complete(None, &self, cx.rules) {
                Ok(admitted) => self.dial(admission, admitted, cx),
                Err(Invalid) => self.connect_undecided(ticket, Why::InvalidMutation, cx),
            };
        };
        Phase::Deciding(Box::new(Deciding {
            until: cx.now + cx.rules.deadlines.connect,
            ticket: cx.tickets.ask(question, cx.actions),
            stage: Stage::Will(Box::new(admission)),
            hello: self,
        }))
    }

    pub(super) fn will_decided(
        self,
        ticket: Ticket,
        mut admission: Admission,
        verdict: Verdict,
        cx: &mut Context<'_>,
    ) -> Phase {
        let why = match fitting(verdict, &Allow::PUBLISH) {
            Verdict::Allow(Allow::Publish(changes)) => {
                match admission.complete(changes, &self, cx.rules) {
                    Ok(admitted) => {
                        cx.actions.settled(ticket, Fate::Forwarded);
                        return self.dial(admission, admitted, cx);
                    }
                    Err(Invalid) => Why::InvalidMutation,
                }
            }
            Verdict::Deny(deny) => {
                cx.actions.settled(ticket, Fate::Closed);
                return self.denied(deny, CloseReason::WillDenied, cx);
            }
            Verdict::Allow(_) => Why::InvalidResult,
            Verdict::Unavailable(why) => why,
        };
        cx.actions.settled(ticket, Fate::Closed);
        undecided(&self, why, CloseReason::WillUndecided, cx)
    }

    fn dial(self, admission: Admission, admitted: Admitted, cx: &mut Context<'_>) -> Phase {
        cx.actions.dial(admission.outgoing.client_id.clone());
        Phase::Dialling(Box::new(Dialling {
            until: cx.now + cx.rules.deadlines.broker_connect,
            hello: self,
            admission,
            admitted,
        }))
    }

    fn denied(&self, deny: Deny, reason: CloseReason, cx: &mut Context<'_>) -> Phase {
        Refusal::denial(deny).send(self.recipient(), reason, cx)
    }
}

impl Admission {
    /// The CONNECT in its last form, with the changes to its will.
    fn complete(
        &mut self,
        changes: Option<Box<PublishChanges>>,
        hello: &Hello,
        rules: &Rules,
    ) -> Result<Admitted, Invalid> {
        let version = self.outgoing.version;
        if let (Some(will), Some(changes)) = (&mut self.outgoing.will, changes) {
            let mount = self.allow.mount.clone().and_then(Mount::new);
            will.change(*changes, version, mount.as_ref(), &rules.limits)?;
        }
        let bytes = outgoing::encode(&self.outgoing, hello)?;
        Ok(Admitted::allowed(self.ticket, bytes))
    }
}
