//! SUBSCRIBE and UNSUBSCRIBE on their way: the filters that were allowed, as they were allowed.

use gatekeeper::{Allow, FilterQuestion, SubscribeChanges, SubscribeQuestion, Ticket, Verdict};

use super::{Judge, mount};

/// A filter that may go to the broker.
struct Expected {
    filter: String,
    options: u8,
    /// Below the mount it has more levels than a filter may have.
    too_deep: bool,
}

impl Judge {
    /// The SUBSCRIBE for the broker has just the filters that are allowed. Yields for each that was
    /// asked about whether it was sent.
    pub(super) fn check_subscribe(
        &mut self,
        first: Ticket,
        question: &SubscribeQuestion,
        sent: &[(String, u8)],
    ) -> Vec<bool> {
        let mut filters = sent.iter().peekable();
        let mut found = Vec::new();
        for (index, asked) in question.filters.iter().enumerate() {
            let expected = self.expected(first.filter(index), asked);
            let is_sent = expected.as_ref().is_some_and(|expected| {
                filters
                    .next_if(|(filter, options)| {
                        (filter, *options) == (&expected.filter, expected.options)
                    })
                    .is_some()
            });
            if let Some(expected) = expected {
                assert!(is_sent || expected.too_deep, "{asked:?} is left out");
                let is_plain = expected.filter == full(asked);
                self.has_plain |= is_sent && is_plain;
            }
            found.push(is_sent);
        }
        assert_eq!(filters.next(), None, "{sent:?} of {question:?}");
        found
    }

    /// What may become of a filter.
    fn expected(&self, ticket: Ticket, asked: &FilterQuestion) -> Option<Expected> {
        let Some(Verdict::Allow(Allow::Subscribe(changes))) = self.asks.outcome(ticket) else {
            return None;
        };
        let SubscribeChanges { max_qos, filter } = changes;
        let qos = max_qos.unwrap_or(asked.qos);
        if qos > asked.qos {
            return None;
        }
        let mount = self.mount.as_deref();
        let sent = match (filter, mount) {
            (None, Some(mount)) if mount::is_reached_by(mount, &asked.filter) => return None,
            (None, _) => full(asked),
            (Some(filter), Some(mount)) if **filter == [mount, &asked.filter].concat() => {
                with_share(asked, filter)
            }
            (Some(_), _) => return None,
        };
        let levels = sent.split('/').count();
        Some(Expected {
            too_deep: levels > self.rules.limits.max_topic_levels || sent.len() >= 1 << 16,
            options: options(asked) & !3 | qos as u8,
            filter: sent,
        })
    }

    /// An UNSUBSCRIBE goes to the broker: the client's next, below the mount and where the client
    /// sees it.
    pub(super) fn check_unsubscribe(&mut self, id: u16, sent: &[String]) {
        let Some((own, filters)) = self.unsubscribes.pop_front() else {
            panic!("UNSUBSCRIBE {id} out of nothing");
        };
        assert_eq!(id, own);
        let Some(mount) = &self.mount else {
            assert_eq!(sent, filters);
            return;
        };
        let mut sent = sent.iter().peekable();
        for own in &filters {
            let below = mount::below(mount, own);
            let is_below = sent.next_if(|filter| **filter == below).is_some();
            let is_plain = sent.next_if(|filter| *filter == own).is_some();
            assert!(is_below || is_plain, "{own} is not left");
        }
        assert_eq!(sent.next(), None, "{filters:?}");
    }
}

/// The filter as a client writes it.
pub(super) fn full(question: &FilterQuestion) -> String {
    with_share(question, &question.filter)
}

fn with_share(question: &FilterQuestion, filter: &str) -> String {
    match &question.share_name {
        Some(name) => format!("$share/{name}/{filter}"),
        None => filter.to_owned(),
    }
}

pub(super) fn options(question: &FilterQuestion) -> u8 {
    question.qos as u8
        | u8::from(question.no_local) << 2
        | u8::from(question.retain_as_published) << 3
        | question.retain_handling << 4
}
