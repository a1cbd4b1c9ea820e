//! A session that only takes orders, for tests of those who give them.

use std::{
    sync::Arc,
    task::{Context, Poll, Waker},
};

use crate::{
    authz::{Seat, Who},
    control::Carrying,
    upstream::Dial,
};

use super::{
    driver::Driver,
    registry::{Farewell, Orders, Registration, Registry},
};

pub(crate) struct Session {
    registration: Registration,
    seat: Arc<Seat>,
}

pub(crate) fn enter(registry: &Arc<Registry>, seat: Arc<Seat>, who: Arc<Who>) -> Session {
    Session {
        registration: registry.enter(&seat, &who, None),
        seat,
    }
}

impl Session {
    pub(crate) fn seat(&self) -> &Seat {
        &self.seat
    }

    /// Whether it is to ask again, and what it carries then.
    pub(crate) fn orders(&mut self) -> (bool, Option<Carrying>) {
        let orders = self.take();
        (orders.recheck, orders.carrying)
    }

    /// Its end, if it is to come.
    pub(crate) fn farewell(&mut self) -> Option<Farewell> {
        self.take().farewell
    }

    fn take(&mut self) -> Orders {
        let mut cx = Context::from_waker(Waker::noop());
        match self.registration.poll_orders(&mut cx) {
            Poll::Ready(orders) => orders,
            Poll::Pending => Orders::default(),
        }
    }
}

/// Bytes of what the future of a session keeps behind a pointer.
pub(crate) const fn driver_size<S, D: Dial, U>() -> usize {
    size_of::<Driver<S, D, U>>()
}
