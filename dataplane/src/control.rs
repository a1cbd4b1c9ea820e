//! Directives of the service: sessions that it ends, decisions that it takes back, subscriptions that it
//! wants to be asked about again.
//!
//! ```text
//!   ControlService ─► watch ─► directive ─► orders ─► registry ─► slot of each session ─► gatekeeper
//!                     one      what is      numbers,  who is
//!                     stream   unknown is   stamps    meant
//!                              everything
//! ```
//!
//! A directive counts from the moment it is read: its sessions are stamped (`authz::Epochs`), so that no
//! allow of before is used, and then told. [`applied`] knows when all of them have done what they were
//! told, and says so.

mod applied;
mod directive;
mod orders;
mod watch;

use std::{sync::Arc, time::Duration};

use tidegate_proto::v1;
use tokio::task::JoinHandle;

use crate::{
    authz::Contact,
    events::Events,
    metrics::ControlMetrics,
    session::{Budget, Registry},
};

use self::{applied::Applied, orders::Orders, watch::Watch};
pub(crate) use self::{applied::Carrying, directive::Directive};

/// What the watch works on.
#[derive(Debug)]
pub(crate) struct ControlParts {
    /// The sessions.
    pub(crate) registry: Arc<Registry>,
    /// Ends that come in turns.
    pub(crate) terminations: Arc<Budget>,
    /// Who hears of directives that are carried out.
    pub(crate) events: Events,
    /// What is counted.
    pub(crate) metrics: ControlMetrics,
}

/// The task that watches for directives. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct Control(JoinHandle<()>);

impl Control {
    /// Starts to watch. Nothing heard for `silence` makes a new watch. Must be called inside a runtime.
    pub(crate) fn start(
        contact: Contact,
        data_plane: v1::DataPlane,
        silence: Duration,
        parts: ControlParts,
    ) -> Self {
        let watch = Watch::new(contact, data_plane, silence, Orders::new(parts));
        Self(tokio::spawn(async move { match watch.run().await {} }))
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.0.abort();
    }
}
