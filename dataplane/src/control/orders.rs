//! What a directive does to the sessions that it is about.

#[cfg(test)]
mod tests;

use std::sync::{Arc, Weak};

use gatekeeper::ReasonCode;
use tidegate_proto::v1::EventKind;
use tokio::task::JoinHandle;
use tracing::{error, info, warn};

use crate::session::{Budget, Farewell, Registry, Selector, Slot};

use super::{Applied, Carrying, ControlParts, Directive};

/// Carries directives out.
#[derive(Debug)]
pub(super) struct Orders {
    parts: ControlParts,
    applied: Applied,
    reconnecting: Option<Reconnecting>,
}

/// The task that makes sessions come back one after the other; it ends when this is dropped.
#[derive(Debug)]
struct Reconnecting(JoinHandle<()>);

impl Drop for Reconnecting {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Orders {
    pub(super) fn new(parts: ControlParts) -> Self {
        Self {
            applied: Applied::new(parts.events.clone()),
            parts,
            reconnecting: None,
        }
    }

    /// What is counted.
    pub(super) fn metrics(&self) -> &crate::metrics::ControlMetrics {
        &self.parts.metrics
    }

    /// The sessions.
    pub(super) fn registry(&self) -> &Registry {
        &self.parts.registry
    }

    /// Gives the orders that this directive is made of. All of its sessions are stamped when this returns.
    pub(super) fn carry_out(&self, directive: Directive, resume_token: &str) {
        self.parts.metrics.directive(directive.kind());
        match directive {
            Directive::Heartbeat => {}
            Directive::Invalidate(selector) => {
                self.give("invalidate", &selector, resume_token, |_, _| {});
            }
            Directive::Recheck(selector) => {
                self.give("recheck", &selector, resume_token, Slot::recheck);
            }
            Directive::Terminate(selector, farewell) => {
                self.give("terminate", &selector, resume_token, |slot, carrying| {
                    slot.terminate(&farewell, carrying);
                });
            }
            Directive::Unknown => {
                error!(
                    "a directive that this version does not know: everything is forgotten and asked about again"
                );
                self.give("unknown", &Selector::All, resume_token, Slot::recheck);
            }
        }
    }

    fn give(
        &self,
        kind: &'static str,
        selector: &Selector,
        resume_token: &str,
        order: impl Fn(&Slot, Option<Carrying>),
    ) {
        let principal = match selector {
            Selector::Principal(principal) => Some(&**principal),
            _ => None,
        };
        let epoch = self.parts.registry.epochs().advance(principal);
        let is_told = self.parts.events.wants(EventKind::DirectiveApplied);
        let carrying = is_told.then(|| self.applied.begin(epoch, resume_token.to_owned()));
        let chosen = self.parts.registry.choose(selector, epoch);
        info!(directive = kind, sessions = chosen.len(), "directive");
        for slot in &chosen {
            order(slot, carrying.clone());
        }
    }

    /// Nobody knows which directives were missed: what was decided before is asked about again.
    pub(super) fn doubt_everything(&self) {
        let epoch = self.parts.registry.epochs().advance(None);
        let everybody = self.parts.registry.choose(&Selector::All, epoch);
        if everybody.is_empty() {
            return;
        }
        warn!(
            sessions = everybody.len(),
            "directives may have been missed: everything is forgotten and asked about again"
        );
        for slot in everybody {
            slot.recheck(None);
        }
    }

    /// The service does not know which directives were missed: everybody who is here has to be let in
    /// anew, one after the other.
    pub(super) fn reconnect_everybody(&mut self) {
        let epoch = self.parts.registry.epochs().current();
        let everybody = self.parts.registry.choose(&Selector::All, epoch);
        warn!(
            sessions = everybody.len(),
            "the service has lost the position of the watch: all sessions are to connect again, gradually"
        );
        let everybody = everybody.iter().map(Arc::downgrade).collect();
        let turns = Arc::clone(&self.parts.terminations);
        let task = tokio::spawn(reconnect(everybody, turns));
        self.reconnecting = Some(Reconnecting(task));
    }
}

async fn reconnect(everybody: Vec<Weak<Slot>>, turns: Arc<Budget>) {
    let farewell = Farewell {
        code: ReasonCode::ADMINISTRATIVE_ACTION,
        reason_string: None,
        at_once: true,
    };
    for slot in everybody {
        // A slot is gone with its session.
        if slot.strong_count() == 0 {
            continue;
        }
        turns.turn().await;
        if let Some(slot) = slot.upgrade() {
            slot.terminate(&farewell, None);
        }
    }
}
