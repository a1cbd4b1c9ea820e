//! SUBSCRIBE of the client: into the line, out of it as the verdicts say, and how its SUBACK is
//! completed.

use bytestring::ByteString;

use crate::{
    action::{Admitted, Fate},
    close::CloseReason,
    frame::Frame,
    gatekeeper::Context,
    inflight::Request,
    question::{FilterQuestion, QoS, Question, SubscribeQuestion, Version},
    queue::{Answer, Packet, PendingSubscribe},
    reason::ReasonCode,
    reply,
    rules::{Limits, OnDenied, OnFailed, Rules},
    subscriptions::{Options, Reservation, Withdrawn},
    topic::Parsed,
    verdict::{DenyAction, Verdict, Why},
    violation::Violation,
    wire::{
        suback,
        subscribe::{self, Outgoing, Subscribe, Subscription},
    },
};

use super::{
    End, Live, mutate::too_large, release::denial_of_a_permanent_failure,
    uplink::check_user_properties,
};

/// How to complete the broker's SUBACK: one slot per filter of the client's packet.
#[derive(Debug)]
pub(super) struct SubackPlan {
    /// `None` where the broker's code belongs.
    pub(super) slots: Vec<Option<ReasonCode>>,
    /// What the client asked for, filter by filter.
    pub(super) requested: Vec<QoS>,
    /// The places of the filters that the broker got, in their order.
    pub(super) forwarded: Vec<Reservation>,
}

impl SubackPlan {
    /// The codes for the client: those of the slots, the broker's where they belong, all in the
    /// words of the version.
    pub(super) fn merge(&self, version: Version, granted: &[u8]) -> Vec<u8> {
        let mut granted = granted.iter().copied();
        self.slots
            .iter()
            .zip(&self.requested)
            .filter_map(|(slot, requested)| {
                let code = slot.map(ReasonCode::get).or_else(|| granted.next())?;
                Some(suback::code_for_client(version, code, *requested))
            })
            .collect()
    }
}

impl Live {
    pub(super) fn take_subscribe(&mut self, frame: Frame, cx: &mut Context<'_>) -> Result<(), End> {
        let limits = &cx.rules.limits;
        let subscribe = subscribe::read(&frame, self.version, limits.filters())?;
        check_user_properties(&subscribe.raw_properties, cx)?;
        self.offer.check_subscribe(&subscribe)?;
        let id = subscribe.packet_id;
        if self.has_to_wait(id) {
            return self.set_aside(frame);
        }
        if self.is_sent_again(&frame, id, Request::Subscribe) {
            return Ok(());
        }
        self.check_questions(&subscribe, limits)?;
        self.inflight.request(id, Request::Subscribe)?;
        let filters: Vec<_> = subscribe
            .filters
            .iter()
            .map(|filter| self.place_of_filter(&filter.parsed, cx))
            .collect();
        let outgoing = frame.into_canonical();
        let question = subscribe_question(&subscribe, &filters);
        let count = question.filters.len();
        let ticket = if count == 0 {
            cx.tickets.peek()
        } else {
            cx.tickets.ask(Question::Subscribe(question), cx.actions)
        };
        let until = cx.now + cx.rules.deadlines.subscribe;
        let pending = PendingSubscribe {
            ticket,
            subscribe,
            outgoing,
            filters,
            answers: vec![Answer::Pending(until); count],
        };
        self.queue.push(ticket, Packet::Subscribe(pending));
        Ok(())
    }

    /// Every filter is a question with the client's names and the packet's user properties in it: a
    /// packet of some kilobytes must not become one call of many megabytes.
    fn check_questions(&self, subscribe: &Subscribe, limits: &Limits) -> Result<(), Violation> {
        const ALWAYS: usize = 64 * 1024;

        let (_, properties) = subscribe.raw_properties.user_properties();
        let all = subscribe.filters.len() * (self.names + properties);
        if all <= limits.window_bytes.max(ALWAYS) {
            return Ok(());
        }
        Err(Violation::quota(
            "SUBSCRIBE with more to ask about than one session may",
            "§3.8.3",
        ))
    }

    pub(super) fn release_subscribe(
        &mut self,
        pending: PendingSubscribe,
        cx: &mut Context<'_>,
    ) -> Result<Fate, End> {
        let PendingSubscribe {
            ticket,
            subscribe,
            outgoing,
            filters,
            answers,
        } = pending;
        let id = subscribe.packet_id;
        let mut answers = answers.into_iter();
        let mut slots = Vec::with_capacity(filters.len());
        let mut outgoings = Vec::with_capacity(filters.len());
        let mut outcomes = Vec::with_capacity(filters.len());
        let mut explanation = None;
        for (subscription, place) in subscribe.filters.iter().zip(filters) {
            let reserved = match place {
                Ok(reserved) => reserved,
                Err(code) => {
                    slots.push(Some(code));
                    outgoings.push(Outgoing::Omitted);
                    continue;
                }
            };
            let verdict = answers
                .next()
                .map_or(Verdict::Unavailable(Why::MissingResult), |answer| {
                    answer.into_verdict()
                });
            let limits = &cx.rules.limits;
            let (verdict, outgoing) = self.changed_filter(verdict, subscription, limits);
            outgoings.push(outgoing);
            let refused = refusal_of_filter(verdict, self.version, cx.rules)?;
            match refused {
                None => {
                    let options = options(subscription, outgoings.last());
                    outcomes.push((reserved, Outcome::Forwarded(options)));
                    slots.push(None);
                }
                Some(refused) => {
                    let outcome = match refused.is_denied {
                        true => Outcome::Denied(subscription.parsed.full().clone()),
                        false => Outcome::Undecided,
                    };
                    outcomes.push((reserved, outcome));
                    explanation = explanation.take().or(refused.reason_string);
                    slots.push(Some(refused.code));
                }
            }
        }

        let bytes = self.subscribe_for_broker(&subscribe, &outgoings, outgoing);
        if bytes.is_none() {
            // Changed, the filters are too large together.
            for slot in slots.iter_mut().filter(|slot| slot.is_none()) {
                let too_large = Verdict::Deny(too_large());
                let refused = refusal_of_filter(too_large, self.version, cx.rules)?;
                *slot = refused.map(|refused| refused.code);
            }
            for (_, outcome) in &mut outcomes {
                if let Outcome::Forwarded(_) = outcome {
                    *outcome = Outcome::Undecided;
                }
            }
        }
        let forwarded = outcomes
            .iter()
            .filter(|(_, outcome)| matches!(outcome, Outcome::Forwarded(_)))
            .map(|(reserved, _)| *reserved)
            .collect();
        let withdrawn = self.settle_reservations(&outcomes);
        let requested = subscribe.filters.iter().map(|filter| filter.qos).collect();
        let plan = SubackPlan {
            slots,
            requested,
            forwarded,
        };
        let Some(bytes) = bytes else {
            let codes = plan.merge(self.version, &[]);
            let codes: Vec<_> = codes.into_iter().map(ReasonCode::new).collect();
            let explanation = explanation.filter(|_| self.explains);
            let mut suback = reply::suback(self.version, id, &codes, explanation.as_deref());
            if suback.len() > self.client_takes {
                suback = reply::suback(self.version, id, &codes, None);
            }
            cx.actions.write_client(suback);
            self.inflight.request_answered(id, Request::Subscribe);
            self.withdraw_all(withdrawn, cx)?;
            return Ok(match plan.slots.first().copied().flatten() {
                // It was told a success.
                Some(_) if self.version == Version::V31 => Fate::Dropped,
                refused => Fate::Refused(refused.unwrap_or(ReasonCode::NOT_AUTHORIZED)),
            });
        };
        let fate = if plan.forwarded.len() == plan.slots.len() {
            Fate::Forwarded
        } else {
            Fate::ForwardedInPart
        };
        // Before the packet leaves: the broker may answer at once, and deliver before it does.
        if let Some(namespace) = &mut self.namespace {
            namespace.subscribes(&subscribe, &outgoings);
        }
        self.subscribes.insert(id, plan);
        self.forward(Admitted::allowed(ticket, bytes), cx);
        self.withdraw_all(withdrawn, cx)?;
        Ok(fate)
    }

    /// Tells the subscriptions what became of each filter. Yields those that stand and are denied now:
    /// where a packet has a filter twice, its last word counts.
    fn settle_reservations(&mut self, outcomes: &[(Reservation, Outcome)]) -> Vec<Withdrawn> {
        let mut withdrawn = Vec::new();
        for (index, (reserved, outcome)) in outcomes.iter().enumerate() {
            match outcome {
                Outcome::Forwarded(options) => self.subscriptions.forward(*reserved, *options),
                Outcome::Undecided => self.subscriptions.decline(*reserved),
                Outcome::Denied(filter) => {
                    let mut later = outcomes.iter().skip(index + 1);
                    if later.any(|(other, _)| other.is_about_the_filter_of(*reserved)) {
                        self.subscriptions.decline(*reserved);
                    } else {
                        let known = self.subscriptions.deny(*reserved);
                        // The broker may have kept it from a former connection.
                        let kept = || Withdrawn {
                            filter: (**filter).into(),
                            granted: false,
                        };
                        withdrawn.extend(known.or_else(|| self.resumed.then(kept)));
                    }
                }
            }
        }
        withdrawn
    }

    fn withdraw_all(&mut self, withdrawn: Vec<Withdrawn>, cx: &mut Context<'_>) -> Result<(), End> {
        withdrawn
            .into_iter()
            .try_for_each(|withdrawn| self.withdraw(withdrawn, cx))
    }
}

/// What became of a filter that was asked about.
#[derive(Debug)]
enum Outcome {
    /// It goes to the broker.
    Forwarded(Options),
    /// This filter was denied: what stands of it must not go on.
    Denied(ByteString),
    /// Nobody decided, or there was no room for it. What stands of it was allowed once.
    Undecided,
}

/// The options with which a filter goes to the broker.
fn options(subscription: &Subscription, outgoing: Option<&Outgoing>) -> Options {
    Options {
        qos: match outgoing {
            Some(Outgoing::Changed { qos, .. }) => *qos,
            _ => subscription.qos,
        },
        no_local: subscription.no_local,
        retain_as_published: subscription.retain_as_published,
        retain_handling: subscription.retain_handling,
    }
}

/// A filter that does not go to the broker.
pub(super) struct RefusedFilter {
    code: ReasonCode,
    reason_string: Option<ByteString>,
    /// Whether somebody decided.
    is_denied: bool,
}

/// What becomes of one filter: `None` goes to the broker, an error ends the session.
pub(super) fn refusal_of_filter(
    verdict: Verdict,
    version: Version,
    rules: &Rules,
) -> Result<Option<RefusedFilter>, End> {
    let deny = match verdict {
        Verdict::Allow(_) => return Ok(None),
        Verdict::Deny(deny) => deny,
        Verdict::Unavailable(Why::SessionStateInvalid) => {
            return Err(CloseReason::SessionStateInvalid.into());
        }
        Verdict::Unavailable(why) => match denial_of_a_permanent_failure(why) {
            Some(deny) => deny,
            None => {
                return match (rules.on_subscribe_failed, version) {
                    // MQTT 3.1 has no way to refuse, and a success would be a lie.
                    (OnFailed::Disconnect, _) | (_, Version::V31) => {
                        Err(CloseReason::SubscribeUndecided(why).into())
                    }
                    (OnFailed::Reject, _) => Ok(Some(RefusedFilter {
                        code: ReasonCode::IMPLEMENTATION_SPECIFIC_ERROR,
                        reason_string: None,
                        is_denied: false,
                    })),
                };
            }
        },
    };
    let closes = match deny.action {
        DenyAction::Disconnect => true,
        DenyAction::Configured => rules.on_subscribe_denied == OnDenied::Disconnect,
        DenyAction::Reject | DenyAction::Drop => false,
    };
    if closes {
        return Err(End::denied(CloseReason::SubscribeDenied, deny));
    }
    Ok(Some(RefusedFilter {
        code: deny.code.unwrap_or(ReasonCode::NOT_AUTHORIZED).for_suback(),
        reason_string: deny.reason_string,
        is_denied: true,
    }))
}

/// One question per filter that is left to the service.
fn subscribe_question(
    subscribe: &Subscribe,
    places: &[Result<Reservation, ReasonCode>],
) -> SubscribeQuestion {
    let filters = subscribe
        .filters
        .iter()
        .zip(places)
        .filter_map(
            |(subscription, place)| match (&subscription.parsed, place) {
                (Parsed::Filter(filter), Ok(_)) => Some(FilterQuestion {
                    filter: filter.filter.clone(),
                    share_name: filter.share_name.clone(),
                    qos: subscription.qos,
                    no_local: subscription.no_local,
                    retain_as_published: subscription.retain_as_published,
                    retain_handling: subscription.retain_handling,
                }),
                (Parsed::Filter(_) | Parsed::Refused(_), _) => None,
            },
        )
        .collect();
    SubscribeQuestion {
        filters,
        user_properties: subscribe.user_properties.clone(),
        recheck: false,
    }
}
