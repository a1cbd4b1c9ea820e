//! What was allowed is asked about again: every subscription that stands, a portion at a time.

use std::time::Instant;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    gatekeeper::{Context, Phase},
    question::{FilterQuestion, Question, SubscribeQuestion, Ticket},
    queue::fitting,
    revocation::Revocation,
    rules::Limits,
    subscriptions::Standing,
    topic::{Parsed, TopicFilter},
    verdict::{Allow, Deny, DenyAction, Verdict, Why},
    violation::Violation,
    wire::subscribe::{Outgoing, Subscription},
};

use super::{End, Ending, Live, subscribe::refusal_of_filter};

/// Subscriptions in question at once.
const PORTION: usize = 64;

/// One portion.
#[derive(Debug)]
pub(super) struct Recheck {
    first: Ticket,
    until: Instant,
    /// In the order of their tickets; `None` is answered.
    open: Vec<Option<Standing>>,
}

impl Recheck {
    /// When no more answers count.
    pub(super) fn until(&self) -> Instant {
        self.until
    }

    /// The subscription that this ticket asks about, if that is open.
    fn take(&mut self, ticket: Ticket) -> Option<Standing> {
        let index = ticket.sequence().checked_sub(self.first.sequence())?;
        self.open.get_mut(usize::try_from(index).ok()?)?.take()
    }

    fn is_done(&self) -> bool {
        self.open.iter().all(Option::is_none)
    }
}

impl Live {
    /// Asks again about every subscription that stands. Where they are not known, the session ends.
    pub(crate) fn recheck(mut self: Box<Self>, cx: &mut Context<'_>) -> Phase {
        if matches!(self.ending, Ending::AwaitingPermit(_)) {
            // Nothing is delivered any more.
            return Phase::Live(self);
        }
        if self.resumed {
            // There may be thousands like it.
            return self.revoke_in_turn(Revocation::default(), cx);
        }
        self.subscriptions.doubt();
        self.proceed(cx)
    }

    /// Whether something that stands is in question still, or is being left.
    pub(crate) fn is_rechecking(&self) -> bool {
        !matches!(self.ending, Ending::AwaitingPermit(_))
            && (self.recheck.is_some()
                || self.subscriptions.has_doubts()
                || !self.withdrawals.is_empty())
    }

    /// Applies a verdict about one of them. Yields one that is about something else.
    pub(super) fn recheck_decided(
        &mut self,
        ticket: Ticket,
        verdict: Verdict,
        cx: &mut Context<'_>,
    ) -> Result<Option<Verdict>, End> {
        let Some(recheck) = &mut self.recheck else {
            return Ok(Some(verdict));
        };
        let until = recheck.until;
        let Some(standing) = recheck.take(ticket) else {
            return Ok(Some(verdict));
        };
        let verdict = match cx.now < until {
            true => verdict,
            false => Verdict::Unavailable(Why::Timeout),
        };
        self.recheck_one(&standing, verdict, cx)?;
        Ok(None)
    }

    /// Gives up what was not answered in time, and asks about the next portion.
    pub(super) fn advance_recheck(&mut self, cx: &mut Context<'_>) -> Result<(), End> {
        let is_late = |recheck: &mut Box<Recheck>| recheck.until <= cx.now;
        if let Some(late) = self.recheck.take_if(is_late) {
            cancel(&late, cx);
            for standing in late.open.iter().flatten() {
                self.recheck_one(standing, Verdict::Unavailable(Why::Timeout), cx)?;
            }
        }
        self.recheck.take_if(|recheck| recheck.is_done());
        if self.recheck.is_none() && self.subscriptions.has_doubts() {
            self.recheck = self.ask_again(cx);
        }
        Ok(())
    }

    /// No answer is wanted any more.
    pub(super) fn abandon_recheck(&mut self, cx: &mut Context<'_>) {
        if let Some(recheck) = self.recheck.take() {
            cancel(&recheck, cx);
        }
    }

    fn ask_again(&mut self, cx: &mut Context<'_>) -> Option<Box<Recheck>> {
        let portion = self.portion(&cx.rules.limits);
        let standing = self.subscriptions.next_doubtful(portion);
        if standing.is_empty() {
            return None;
        }
        let question = SubscribeQuestion {
            filters: standing
                .iter()
                .map(|standing| self.question_about(standing, &cx.rules.limits))
                .collect(),
            user_properties: Vec::new(),
            recheck: true,
        };
        Some(Box::new(Recheck {
            first: cx.tickets.ask(Question::Subscribe(question), cx.actions),
            until: cx.now + cx.rules.deadlines.subscribe,
            open: standing.into_iter().map(Some).collect(),
        }))
    }

    /// Every filter is a question with the client's names in it.
    fn portion(&self, limits: &Limits) -> usize {
        let fits = limits.window_bytes.max(64 * 1024) / self.names.max(1);
        fits.clamp(1, PORTION)
    }

    fn recheck_one(
        &mut self,
        standing: &Standing,
        verdict: Verdict,
        cx: &mut Context<'_>,
    ) -> Result<(), End> {
        if !self.subscriptions.stands(standing) {
            // The client has left it, or it was taken back.
            return Ok(());
        }
        let verdict = self.about_what_stands(standing, verdict, &cx.rules.limits);
        if refusal_of_filter(verdict, self.version, cx.rules)?.is_some()
            && let Some(withdrawn) = self.subscriptions.withdraw(standing)
        {
            self.withdraw(withdrawn, cx)?;
        }
        Ok(())
    }

    /// An allow of something else than what stands, a lower QoS or another place, is none.
    fn about_what_stands(&self, standing: &Standing, verdict: Verdict, limits: &Limits) -> Verdict {
        let verdict = fitting(verdict, &Allow::SUBSCRIBE);
        let Ok(parsed) = self.parsed(standing, limits) else {
            return Verdict::Unavailable(Why::InvalidCheck);
        };
        let options = standing.options;
        let subscription = Subscription {
            parsed,
            qos: options.qos,
            no_local: options.no_local,
            retain_as_published: options.retain_as_published,
            retain_handling: options.retain_handling,
            raw: Bytes::new(),
        };
        let (verdict, outgoing) = self.changed_filter(verdict, &subscription, limits);
        let is_lower = matches!(outgoing, Outgoing::Changed { qos, .. } if qos < options.qos);
        let stands_so = match &self.namespace {
            None => true,
            Some(namespace) => namespace.stands_as(&subscription, &outgoing),
        };
        match verdict {
            Verdict::Allow(_) if is_lower || !stands_so => Verdict::Deny(Deny {
                action: DenyAction::Reject,
                ..Deny::default()
            }),
            verdict => verdict,
        }
    }

    fn question_about(&self, standing: &Standing, limits: &Limits) -> FilterQuestion {
        let (filter, share_name) = match self.parsed(standing, limits) {
            Ok(Parsed::Filter(filter)) => (filter.filter, filter.share_name),
            Ok(Parsed::Refused(_)) | Err(_) => (ByteString::from(&*standing.filter), None),
        };
        FilterQuestion {
            filter,
            share_name,
            qos: standing.options.qos,
            no_local: standing.options.no_local,
            retain_as_published: standing.options.retain_as_published,
            retain_handling: standing.options.retain_handling,
        }
    }

    /// It was read before, when the client subscribed.
    fn parsed(&self, standing: &Standing, limits: &Limits) -> Result<Parsed, Violation> {
        let filter = ByteString::from(&*standing.filter);
        TopicFilter::parse(filter, self.version, limits.max_topic_levels)
    }
}

fn cancel(recheck: &Recheck, cx: &mut Context<'_>) {
    for (index, open) in recheck.open.iter().enumerate() {
        if open.is_some() {
            cx.actions.cancel(recheck.first.filter(index));
        }
    }
}
