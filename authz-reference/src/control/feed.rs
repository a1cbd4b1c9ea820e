//! From changes of the user base and of the rules to directives.

#[cfg(test)]
mod tests;

use std::{collections::VecDeque, sync::Arc, time::Duration};

use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};
use tracing::info;

use super::hub::{Hub, Whom};
use crate::users::changes::{Change, Changed, Changes, Current};

/// Changes that are taken up together.
const TOGETHER: usize = 256;
/// Rechecks of single users; beyond, everybody is asked about again, which is one directive and not thousands.
const SINGLE: usize = 64;
/// After this, what was rechecked is rechecked once more: a check may have been answered by a replica that heard of
/// the change a moment later than this one. And everybody is not rechecked more often than that.
const ECHO_AFTER: Duration = Duration::from_secs(2);
/// Users that are remembered for that. Beyond, it is everybody.
const MAX_ECHOES: usize = 1_024;
/// When everybody is rechecked after this replica has begun, or has taken other rules or users: other replicas that
/// answer the same data planes may do so later. A data plane watches only one replica, so this one has to tell
/// what the others have come to. Kubernetes takes a minute or more to bring a changed file to all pods.
const REPLICAS_AFTER: [Duration; 4] = [
    Duration::from_secs(2),
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(120),
];

/// What makes directives of changes.
#[derive(Debug)]
pub struct Feed {
    hub: Hub,
    /// Whether a user name means one user: with several stores, that of another may go on.
    names_are_users: bool,
    rules: Arc<Notify>,
    echoes: Echoes,
    replicas: VecDeque<Instant>,
    /// When everybody was told last.
    told: Option<Instant>,
}

impl Feed {
    /// `stores` is how many sources store users; `rules` is notified after other rules are in force.
    #[must_use]
    pub fn new(hub: Hub, stores: usize, rules: Arc<Notify>) -> Self {
        Self {
            hub,
            names_are_users: stores <= 1,
            rules,
            echoes: Echoes::default(),
            replicas: VecDeque::new(),
            told: None,
        }
    }

    /// For ever. `note` comes first: when a data plane asks because it was told to, checks are answered by what is
    /// known now.
    pub async fn run(mut self, mut changes: Changes, note: impl Fn(&Change) + Send) {
        let mut together = Vec::with_capacity(TOGETHER);
        let mut is_open = true;
        // Replicas that have not been replaced yet know other rules, or older users.
        self.ask_again_from(1);
        loop {
            let rules = Arc::clone(&self.rules);
            tokio::select! {
                count = changes.recv_many(&mut together, TOGETHER), if is_open => {
                    // No source stores users, or all have ended.
                    is_open = count > 0;
                    together.iter().for_each(&note);
                    self.direct(&together);
                    together.clear();
                }
                () = rules.notified() => {
                    self.hub.recheck(Whom::Everybody);
                    self.ask_again_from(0);
                }
                () = self.echoes.due() => self.echo(),
                () = due(self.replicas.front()) => {
                    self.replicas.pop_front();
                    self.hub.recheck(Whom::Everybody);
                }
            }
        }
    }

    fn ask_again_from(&mut self, first: usize) {
        let now = Instant::now();
        let later = REPLICAS_AFTER.iter().skip(first).map(|after| now + *after);
        self.replicas = later.collect();
    }

    fn direct(&mut self, changes: &[Change]) {
        let mut single = Vec::new();
        let mut is_known = true;
        for change in changes {
            match change {
                Change::Unknown(_) => is_known = false,
                // Of another replica perhaps, and this one's may come later.
                Change::Rules => {
                    is_known = false;
                    self.ask_again_from(0);
                }
                Change::Earlier(_) => {}
                // Who was to lose a subscription while nobody looked.
                Change::Heard { .. } => self.ask_again_from(1),
                Change::User(changed) => match self.ending(changed) {
                    Some(reason) => {
                        info!(user = changed.name.as_str(), reason, "ending sessions");
                        self.hub.terminate(changed.name.as_str(), reason);
                        // Who came back meanwhile by way of a replica that did not know yet.
                        self.echoes.add(changed.name.as_str());
                    }
                    None => single.push(changed.name.as_str()),
                },
            }
        }
        if !is_known || single.len() > SINGLE {
            self.everybody(single.len());
            return;
        }
        for name in single {
            info!(user = name, "asking again about sessions");
            self.hub.recheck(Whom::Principal(name));
            self.echoes.add(name);
        }
    }

    /// At once, or soon if that was done a moment ago: thousands of users may change one after another.
    fn everybody(&mut self, users: usize) {
        let now = Instant::now();
        if self.told.is_none_or(|told| now >= told + ECHO_AFTER) {
            info!(users, "asking again about all sessions");
            self.hub.recheck(Whom::Everybody);
            self.told = Some(now);
        }
        self.echoes.add_everybody();
    }

    /// Why the sessions of a user have to end, if they have to. Where the name may be another one's, too, each session
    /// is asked about instead: that ends those of this user, at the first check.
    fn ending(&self, changed: &Changed) -> Option<&'static str> {
        if !self.names_are_users {
            return None;
        }
        match &changed.now {
            Current::Gone => Some("this user has been removed"),
            Current::Is(account, _) if account.disabled => Some("this user is disabled"),
            Current::Is(..) if changed.credentials => Some("the credentials have changed"),
            Current::Is(..) | Current::Unreadable => None,
        }
    }

    fn echo(&mut self) {
        let now = Instant::now();
        let due = self.echoes.take(now);
        if due.len() > SINGLE || due.iter().any(Option::is_none) {
            self.told = Some(now);
            return self.hub.recheck(Whom::Everybody);
        }
        for name in due.iter().flatten() {
            self.hub.recheck(Whom::Principal(name));
        }
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
        due(self.0.front().map(|(when, _)| when)).await;
    }

    /// Those that are due.
    fn take(&mut self, now: Instant) -> Vec<Option<Box<str>>> {
        let due = self.0.iter().take_while(|(when, _)| *when <= now).count();
        self.0.drain(..due).map(|(_, whom)| whom).collect()
    }
}

async fn due(when: Option<&Instant>) {
    match when {
        Some(when) => sleep_until(*when).await,
        None => std::future::pending().await,
    }
}
