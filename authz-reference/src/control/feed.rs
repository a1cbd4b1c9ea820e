//! From changes of the user base to directives.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, time::Duration};

use tokio::time::{Instant, sleep_until};
use tracing::info;

use super::hub::{Hub, Whom};
use crate::users::changes::{Change, Changed, Changes};

/// Changes that are taken up together.
const TOGETHER: usize = 256;
/// Rechecks of single users; beyond, everybody is asked about again, which is one directive and not thousands.
const SINGLE: usize = 64;
/// After this, what was rechecked is rechecked once more: a check may have been answered by a replica that heard of
/// the change a moment later than this one.
const ECHO_AFTER: Duration = Duration::from_secs(2);
/// Users that are remembered for that. Beyond, it is everybody.
const MAX_ECHOES: usize = 1_024;

/// Makes directives of changes, for ever. `note` comes first: when a data plane asks because it was told to, checks
/// are answered by what is known now.
pub async fn feed(mut changes: Changes, hub: Hub, note: impl Fn(&Change) + Send) {
    let mut echoes = Echoes::default();
    let mut together = Vec::with_capacity(TOGETHER);
    loop {
        tokio::select! {
            count = changes.recv_many(&mut together, TOGETHER) => match count {
                // No source stores users, or all have ended.
                0 => break,
                _ => {
                    together.iter().for_each(&note);
                    direct(&together, &hub, &mut echoes);
                    together.clear();
                }
            },
            () = echoes.due() => echoes.tell(&hub),
        }
    }
    loop {
        echoes.due().await;
        echoes.tell(&hub);
    }
}

fn direct(changes: &[Change], hub: &Hub, echoes: &mut Echoes) {
    let mut single = Vec::new();
    let mut is_known = true;
    for change in changes {
        match change {
            Change::Unknown | Change::Rules => is_known = false,
            Change::User(changed) => match ending(changed) {
                Some(reason) => {
                    info!(user = changed.name.as_str(), reason, "ending sessions");
                    hub.terminate(changed.name.as_str(), reason);
                    // Who came back meanwhile by way of a replica that did not know yet.
                    echoes.add(changed.name.as_str());
                }
                None => single.push(changed.name.as_str()),
            },
        }
    }
    if !is_known || single.len() > SINGLE {
        info!(users = single.len(), "asking again about all sessions");
        hub.recheck(Whom::Everybody);
        echoes.add_everybody();
        return;
    }
    for name in single {
        info!(user = name, "asking again about sessions");
        hub.recheck(Whom::Principal(name));
        echoes.add(name);
    }
}

/// Why the sessions of a user have to end, if they have to.
fn ending(changed: &Changed) -> Option<&'static str> {
    match &changed.user {
        None => Some("this user has been removed"),
        Some(account) if account.disabled => Some("this user is disabled"),
        Some(_) if changed.credentials => Some("the credentials have changed"),
        Some(_) => None,
    }
}

/// Rechecks that are to be repeated, in the order of their time.
#[derive(Debug, Default)]
struct Echoes(VecDeque<(Instant, Option<Box<str>>)>);

impl Echoes {
    fn add(&mut self, name: &str) {
        if self.0.len() >= MAX_ECHOES {
            return self.add_everybody();
        }
        let when = Instant::now() + ECHO_AFTER;
        self.0.push_back((when, Some(name.into())));
    }

    /// The first one keeps its time, or a stream of changes would put it off for ever.
    fn add_everybody(&mut self) {
        self.0.truncate(1);
        if let Some((_, whom)) = self.0.front_mut() {
            *whom = None;
        }
        self.0.push_back((Instant::now() + ECHO_AFTER, None));
    }

    /// When the first one is due; never, if there is none.
    async fn due(&self) {
        match self.0.front() {
            Some((when, _)) => sleep_until(*when).await,
            None => std::future::pending().await,
        }
    }

    fn tell(&mut self, hub: &Hub) {
        let now = Instant::now();
        let due = self.0.iter().take_while(|(when, _)| *when <= now).count();
        let due: Vec<_> = self.0.drain(..due).map(|(_, whom)| whom).collect();
        if due.len() > SINGLE || due.iter().any(Option::is_none) {
            return hub.recheck(Whom::Everybody);
        }
        for name in due.iter().flatten() {
            hub.recheck(Whom::Principal(name));
        }
    }
}
