//! The short way of a PUBLISH that nobody traces: from the session to the lane, and back by the mailbox.
//!
//! Nearly all messages are asked about, allowed as they are, and in time. The layers above the lane have
//! nothing to do for them, but each costs something for each check. So they are left out as long as there is
//! nothing for them: the check goes to its lane by itself. If it ends in any other way than in a plain allow in
//! time, it goes through all layers after all, with its end already known ([`Known`]): what is
//! refused, failed, changed, or overtaken by a directive is counted, logged, held and told there, and nowhere else.
//!
//! A plain allow is held against the deadline and the directives here as it is there.

use std::{collections::VecDeque, sync::Arc, task::Context as TaskContext, time::Duration};

use bytestring::ByteString;
use tokio::time::Instant;
use tracing::Span;

use super::{
    check::{Check, Context, Known, Who},
    epoch::Epochs,
    failure::Cause,
    hook::{self, HookKind},
    item::{Item, Reply},
    lane::Lane,
    mailbox::{Ending, Letter},
    message::Message,
    observe::Observer,
    seat::Seat,
    throttle::Load,
    wire::Outcome,
};

/// What the short ways of all sessions share.
#[derive(Debug)]
pub(super) struct Road {
    pub(super) lane: Lane<hook::Publish>,
    pub(super) load: Arc<Load>,
    pub(super) observer: Arc<Observer>,
    pub(super) epochs: Arc<Epochs>,
    /// Whether what failed may be asked again.
    pub(super) keeps_checks: bool,
}

impl Road {
    fn takes(&self, check: &Check<hook::Publish>) -> bool {
        check.context.span.is_disabled()
            && !self.load.is_alarmed()
            && !self.observer.log.tells_allows()
    }
}

/// The short way of one session.
#[derive(Debug)]
pub(super) struct Express {
    road: Arc<Road>,
    seat: Arc<Seat>,
    who: Arc<Who>,
    /// What has come and is not asked for yet, by number.
    letters: VecDeque<Letter>,
    /// Empty, between two looks into the mailbox.
    landing: Vec<Letter>,
    /// When the last of them came out of the mailbox.
    looked_at: Instant,
    tally: Tally,
}

/// A check on the short way.
#[derive(Debug)]
pub(super) struct Asked {
    number: u64,
    asked_at: Instant,
    deadline: Instant,
    topic: ByteString,
    packet_bytes: usize,
    /// The last directive before it.
    epoch: u64,
    /// If it may have to be asked again.
    message: Option<Box<Message<hook::Publish>>>,
}

impl Asked {
    /// Leaves something in its place that is not to be asked about any more.
    pub(super) fn take(&mut self) -> Self {
        Self {
            number: self.number,
            asked_at: self.asked_at,
            deadline: self.deadline,
            topic: std::mem::take(&mut self.topic),
            packet_bytes: self.packet_bytes,
            epoch: self.epoch,
            message: self.message.take(),
        }
    }
}

/// Where a check stands.
#[derive(Debug)]
pub(super) enum Stand {
    /// It is under way.
    Pending,
    /// That was all.
    Allowed(Instant),
    /// There is something for the layers to do.
    Known(Box<Outcome>),
}

impl Express {
    pub(super) fn new(road: Arc<Road>, context: &Context) -> Self {
        Self {
            tally: Tally::default(),
            road,
            seat: Arc::clone(&context.seat),
            who: Arc::clone(&context.who),
            letters: VecDeque::new(),
            landing: Vec::new(),
            looked_at: context.asked_at,
        }
    }

    /// Sends a check on its way. `Err`: it is none for the short way, or, if it is known, has ended on it.
    pub(super) fn ask(
        &mut self,
        check: Check<hook::Publish>,
    ) -> Result<Asked, Box<Check<hook::Publish>>> {
        if !self.road.takes(&check) {
            return Err(Box::new(check));
        }
        let Check { message, context } = check;
        if !Arc::ptr_eq(&self.who, &context.who) {
            self.who = context.who;
        }
        let kept = self.road.keeps_checks || self.road.epochs.is_watched();
        let asked = Asked {
            number: message.sequence(),
            asked_at: context.asked_at,
            deadline: context.deadline,
            topic: context.topic,
            packet_bytes: context.packet_bytes,
            // Before it is asked: whatever comes after this may make the answer old.
            epoch: self.road.epochs.current(),
            message: kept.then(|| Box::new(message.clone())),
        };
        let item = Item {
            message,
            bytes: 0,
            weight: 0,
            span: None,
            queued_at: context.asked_at,
            deadline: context.deadline,
            reply: Reply::Mailbox,
        };
        self.tally.asked += 1;
        match self.road.lane.put(&self.seat, item) {
            Ok(()) => Ok(asked),
            Err(cause) => Err(Box::new(self.known(asked, Err(cause.into())))),
        }
    }

    /// The check as the layers know it, with its end.
    pub(super) fn known(&mut self, asked: Asked, outcome: Outcome) -> Check<hook::Publish> {
        // The layers count it from here on.
        self.flush();
        let Asked { epoch, .. } = asked;
        let message = asked.message.map(|message| *message);
        Check {
            message: message.unwrap_or_else(|| Message::blank(asked.number)),
            context: Context {
                asked_at: asked.asked_at,
                deadline: asked.deadline,
                span: Span::none(),
                seat: Arc::clone(&self.seat),
                who: Arc::clone(&self.who),
                topic: asked.topic,
                packet_bytes: asked.packet_bytes,
                mount: None,
                known: Known::new(epoch, outcome),
            },
        }
    }

    /// Where the oldest check stands. Pending: the task is woken when it has ended, but not at its deadline,
    /// for which the session has a timer in any case.
    pub(super) fn poll(&mut self, asked: &Asked, cx: &TaskContext<'_>) -> Stand {
        // Who gave up a check does not come for its letter.
        while (self.letters.front()).is_some_and(|(number, _)| *number < asked.number) {
            self.letters.pop_front();
        }
        if let Some(ending) = self.find(asked.number) {
            return self.judge(asked, ending);
        }
        let mailbox = self.seat.mailbox();
        let taken = mailbox.poll_take(asked.number, &mut self.landing, cx);
        self.sort();
        if taken.is_pending() {
            self.flush();
        }
        self.stand(asked)
    }

    /// Empties the mailbox, for somebody who is going to [`look`](Self::look).
    pub(super) fn fetch(&mut self) {
        self.seat.mailbox().take(&mut self.landing);
        self.sort();
    }

    /// Where any check stood when the mailbox was emptied for the last time.
    pub(super) fn look(&mut self, asked: &Asked) -> Stand {
        self.stand(asked)
    }

    /// The check is not awaited any more.
    pub(super) fn cancelled(&mut self) {
        self.flush();
        self.counters().cancelled.add(1);
    }

    /// Nothing is awaited any more.
    pub(super) fn leave(&mut self) {
        self.flush();
        self.seat.mailbox().leave();
        self.letters.clear();
    }

    /// Gives back memory, when no check is under way: what is left are letters that nobody comes for.
    pub(super) fn rest(&mut self) {
        self.letters = VecDeque::new();
        self.landing = Vec::new();
        self.seat.mailbox().clear();
    }

    fn stand(&mut self, asked: &Asked) -> Stand {
        match self.find(asked.number) {
            Some(ending) => self.judge(asked, ending),
            None if self.looked_at >= asked.deadline => {
                Stand::Known(Box::new(Err(Cause::Timeout.into())))
            }
            None => Stand::Pending,
        }
    }

    fn find(&mut self, number: u64) -> Option<Ending> {
        let at = match self.letters.front()? {
            (first, _) if *first == number => 0,
            _ => self
                .letters
                .binary_search_by_key(&number, |(number, _)| *number)
                .ok()?,
        };
        self.letters.remove(at).map(|(_, ending)| ending)
    }

    fn judge(&mut self, asked: &Asked, ending: Ending) -> Stand {
        let Ending::Allowed(decided_at) = ending else {
            return Stand::Known(Box::new(in_time(ending.into_outcome(), asked.deadline)));
        };
        if decided_at > asked.deadline || self.seat.stamp().outdates(asked.epoch) {
            return Stand::Known(Box::new(in_time(ending.into_outcome(), asked.deadline)));
        }
        let waited = self.looked_at.saturating_duration_since(asked.asked_at);
        self.tally.allowed(decided_at, waited);
        Stand::Allowed(decided_at)
    }

    fn sort(&mut self) {
        self.looked_at = Instant::now();
        if self.landing.is_empty() {
            return;
        }
        self.letters.extend(self.landing.drain(..));
        let letters = self.letters.make_contiguous();
        // Stable sorting knows the runs that the batches have left.
        if !letters.is_sorted_by_key(|(number, _)| *number) {
            letters.sort_by_key(|(number, _)| *number);
        }
    }

    /// Counts what is not counted yet.
    pub(super) fn flush(&mut self) {
        let Tally {
            asked,
            allowed,
            decided_at,
            waits,
        } = &mut self.tally;
        let counters = self.road.observer.counters.hook(HookKind::Publish);
        if *asked > 0 {
            counters.asked.add(std::mem::take(asked));
        }
        if let Some(at) = decided_at.take() {
            let allowed = std::mem::take(allowed);
            counters.allowed.add(allowed);
            self.road.load.decided(HookKind::Publish, allowed, at);
        }
        for (wait, checks) in waits.drain(..) {
            counters.check_duration.record_many(wait, checks);
        }
    }

    fn counters(&self) -> &super::counters::HookCounters {
        self.road.observer.counters.hook(HookKind::Publish)
    }
}

impl Drop for Express {
    fn drop(&mut self) {
        self.leave();
    }
}

/// The outcome, if it was there by the deadline.
fn in_time(outcome: Outcome, deadline: Instant) -> Outcome {
    match outcome {
        Ok(decision) if decision.decided_at > deadline => Err(Box::new(super::failure::Failure {
            facts: decision.facts,
            ..Cause::Timeout.into()
        })),
        outcome => outcome,
    }
}

/// What is not counted yet: counters are shared by all processors, so they are touched once for what comes
/// together.
#[derive(Debug, Default)]
struct Tally {
    asked: usize,
    allowed: usize,
    /// Of the last that was allowed.
    decided_at: Option<Instant>,
    /// How long they waited, and how many did.
    waits: Vec<(Duration, u64)>,
}

impl Tally {
    fn allowed(&mut self, decided_at: Instant, waited: Duration) {
        self.allowed += 1;
        self.decided_at = self.decided_at.max(Some(decided_at));
        match self.waits.last_mut() {
            Some((wait, checks)) if *wait == waited => *checks += 1,
            _ => self.waits.push((waited, 1)),
        }
    }
}

#[cfg(test)]
mod tests;
