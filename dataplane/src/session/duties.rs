//! What the service wants of a session that the client has not asked for: its end, or that it asks again
//! about what it holds; and the turns that it has to wait for with that.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::BoxFuture;
use gatekeeper::CloseReason;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::{
    Origin,
    budget::{Budget, Turn},
    registry::{Arrival, Farewell, Orders, Registration, Registry},
};
use crate::{
    authz::{Epochs, Seat, Who},
    control::Carrying,
};

/// Ends because nobody decided, per second.
const FAILURE_CLOSES: u32 = 50;

/// Ends that the service wants, per second.
const TERMINATIONS: u32 = 100;

/// Sessions that ask again at once. Each asks about up to 64 subscriptions, and all of them must find room in
/// the lane.
const RECHECKS: usize = 64;

/// What all sessions share of it. Clones are the same.
#[derive(Debug, Clone)]
pub struct Oversight {
    /// The sessions. They are in it only if somebody watches for directives, or may list them.
    pub(crate) registry: Arc<Registry>,
    /// Ends because nobody decided.
    pub(crate) failure_closes: Arc<Budget>,
    /// Ends that the service wants.
    pub(crate) terminations: Arc<Budget>,
    rechecks: Arc<Semaphore>,
}

impl Default for Oversight {
    /// Without directives.
    fn default() -> Self {
        Self::new(Arc::default(), FAILURE_CLOSES, TERMINATIONS)
    }
}

impl Oversight {
    /// So many ends per second.
    #[must_use]
    pub fn new(epochs: Arc<Epochs>, failure_closes: u32, terminations: u32) -> Self {
        Self {
            registry: Arc::new(Registry::new(epochs)),
            failure_closes: Arc::new(Budget::new(failure_closes)),
            terminations: Arc::new(Budget::new(terminations)),
            rechecks: Arc::new(Semaphore::new(RECHECKS)),
        }
    }

    /// The same for a gate that tells who is connected. To be called before there is any session.
    #[must_use]
    pub(crate) fn listing(mut self) -> Self {
        let epochs = Arc::clone(self.registry.epochs());
        self.registry = Arc::new(Registry::new(epochs).listing());
        self
    }
}

/// What a session has to do.
#[derive(Debug)]
pub(super) enum Duty {
    /// End.
    Terminate(Farewell),
    /// Ask again.
    Recheck,
    /// The end that was waited for may come.
    Close,
}

/// The duties of one session. An idle one has its entry in the registry, and nothing else.
#[derive(Debug, Default)]
pub(super) struct Duties {
    registration: Option<Registration>,
    busy: Option<Box<Busy>>,
}

/// What is being done.
#[derive(Debug, Default)]
struct Busy {
    carrying: Option<Carrying>,
    recheck: Recheck,
    closing: Option<Turn>,
}

/// How far the asking again is.
#[derive(Default)]
enum Recheck {
    #[default]
    None,
    Waiting(BoxFuture<'static, Option<OwnedSemaphorePermit>>),
    Running(#[allow(dead_code, reason = "held")] Option<OwnedSemaphorePermit>),
}

impl std::fmt::Debug for Recheck {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Waiting(_) => "Waiting",
            Self::Running(_) => "Running",
        })
    }
}

impl Duties {
    pub(super) fn new(
        oversight: &Oversight,
        seat: &Arc<Seat>,
        who: &Arc<Who>,
        origin: &Origin,
    ) -> Self {
        let registry = &oversight.registry;
        Self {
            registration: registry
                .is_wanted()
                .then(|| registry.enter(seat, who, Some(Arrival::of(origin)))),
            busy: None,
        }
    }

    /// The client has said who it is. To be called before anything is asked in its name.
    pub(super) fn name(&self, who: &Arc<Who>) {
        if let Some(registration) = &self.registration {
            registration.name(who);
        }
    }

    /// The service has said who it is. `false`: a directive about that one came just now, and has not
    /// found the session.
    pub(super) fn identify(&self, who: &Arc<Who>) -> bool {
        self.name(who);
        let registration = self.registration.as_ref();
        registration.is_none_or(|registration| !registration.was_named_meanwhile(&who.principal))
    }

    /// Whether the end for this reason may come at once; else it is a duty in its turn.
    pub(super) fn may_close(&mut self, reason: CloseReason, oversight: &Oversight) -> bool {
        let budget = match reason {
            CloseReason::Revoked => &oversight.terminations,
            _ => &oversight.failure_closes,
        };
        if budget.try_take() {
            return true;
        }
        self.busy().closing = Some(budget.turn());
        false
    }

    /// What is to be done now.
    pub(super) fn poll(&mut self, oversight: &Oversight, cx: &mut Context<'_>) -> Poll<Duty> {
        while let Some(registration) = &self.registration
            && let Poll::Ready(orders) = registration.poll_orders(cx)
        {
            if let Some(duty) = self.take(orders, oversight) {
                return Poll::Ready(duty);
            }
        }
        let Some(busy) = &mut self.busy else {
            return Poll::Pending;
        };
        if let Some(turn) = &mut busy.closing {
            ready!(Pin::new(turn).poll(cx));
            busy.closing = None;
            return Poll::Ready(Duty::Close);
        }
        if let Recheck::Waiting(turn) = &mut busy.recheck {
            let permit = ready!(turn.as_mut().poll(cx));
            busy.recheck = Recheck::Running(permit);
            return Poll::Ready(Duty::Recheck);
        }
        Poll::Pending
    }

    fn take(&mut self, orders: Orders, oversight: &Oversight) -> Option<Duty> {
        let Orders {
            farewell,
            recheck,
            carrying,
        } = orders;
        let busy = self.busy();
        let one_too_many = Carrying::merge(&mut busy.carrying, carrying);
        drop(one_too_many);
        if let Some(farewell) = farewell {
            // Nothing reaches the client from now on, whatever it holds.
            busy.recheck = Recheck::None;
            return Some(Duty::Terminate(farewell));
        }
        if recheck {
            match busy.recheck {
                // It has not begun: it will see what this one is about.
                Recheck::Waiting(_) => {}
                Recheck::Running(_) => return Some(Duty::Recheck),
                Recheck::None => {
                    let rechecks = Arc::clone(&oversight.rechecks);
                    // It is never closed; without a permit the session asks all the same.
                    let turn = async move { rechecks.acquire_owned().await.ok() };
                    busy.recheck = Recheck::Waiting(Box::pin(turn));
                }
            }
        }
        None
    }

    /// Whether anything is under way that [`settle`](Self::settle) has to hear of.
    pub(super) fn is_rechecking(&self) -> bool {
        let busy = self.busy.as_ref();
        busy.is_some_and(|busy| matches!(busy.recheck, Recheck::Running(_)))
    }

    /// What was to be asked about again has been.
    pub(super) fn settle(&mut self) {
        let busy = self.busy.as_mut();
        match busy.filter(|busy| busy.closing.is_some()) {
            // What it carries may be its end.
            Some(busy) => busy.recheck = Recheck::None,
            None => self.busy = None,
        }
    }

    fn busy(&mut self) -> &mut Busy {
        self.busy.get_or_insert_default()
    }
}
