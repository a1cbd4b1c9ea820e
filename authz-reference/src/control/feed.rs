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
use crate::{
    deadline::Deadline,
    users::{
        Credential,
        changes::{Change, Changed, Changes, Current},
        live,
        source::{Found, Login, UserSource},
    },
};

/// Changes that are taken up together.
const TOGETHER: usize = 256;
/// Rechecks of single users; beyond, everybody is asked about again, which is one directive and not thousands.
const SINGLE: usize = 64;
/// After this, what was rechecked is rechecked once more: a check may have been answered by a replica that heard of
/// the change a moment later than this one. And everybody is not rechecked more often than that.
const ECHO_AFTER: Duration = Duration::from_secs(2);
/// Users that are remembered for that. Beyond, it is everybody.
const MAX_ECHOES: usize = 1_024;
/// How long other stores are asked whether they have a user of the same name.
const ASK_STORES: Duration = Duration::from_secs(1);

/// What makes directives of changes.
#[derive(Debug)]
pub struct Feed {
    hub: Hub,
    /// Those that store users.
    stores: Vec<Box<dyn UserSource>>,
    /// How much later other replicas that answer the same data planes may be given the same rules, or the same users
    /// file. A data plane watches one replica and asks all, so this one has to tell what the others have come to. Zero:
    /// there are no others, or they tell each other.
    rollout: Duration,
    rules: Arc<Notify>,
    echoes: Echoes,
    late: Echoes,
    /// When everybody was told last.
    told: Option<Instant>,
}

impl Feed {
    /// `rules` is notified after other rules are in force. Nothing is told again after `rollout` if a store tells other
    /// replicas of rules; of users in a file it is.
    #[must_use]
    pub fn new(
        hub: Hub,
        stores: Vec<Box<dyn UserSource>>,
        rollout: Duration,
        rules: Arc<Notify>,
    ) -> Self {
        Self {
            hub,
            stores,
            rollout,
            rules,
            echoes: Echoes::default(),
            late: Echoes::default(),
            told: None,
        }
    }

    /// For ever. `note` comes first: when a data plane asks because it was told to, checks are answered by what is
    /// known now.
    pub async fn run(mut self, mut changes: Changes, note: impl Fn(&Change) + Send) {
        let mut together = Vec::with_capacity(TOGETHER);
        let mut is_open = true;
        // Replicas that have not been replaced yet know other rules, or older users.
        self.tell_everybody_late();
        loop {
            let rules = Arc::clone(&self.rules);
            tokio::select! {
                count = changes.recv_many(&mut together, TOGETHER), if is_open => {
                    // No source stores users, or all have ended.
                    is_open = count > 0;
                    together.iter().for_each(&note);
                    self.direct(&together).await;
                    together.clear();
                }
                () = rules.notified() => {
                    self.told = None;
                    self.everybody(0);
                    self.tell_everybody_late();
                }
                () = self.echoes.due() => {
                    let due = self.echoes.take(Instant::now());
                    self.again(&due);
                }
                () = self.late.due() => {
                    let due = self.late.take(Instant::now());
                    self.again(&due);
                }
            }
        }
    }

    fn tell_everybody_late(&mut self) {
        let is_told = self.stores.iter().any(|store| store.tells_rules());
        if !self.rollout.is_zero() && !is_told {
            self.late.add(self.rollout, Echo::everybody());
        }
    }

    async fn direct(&mut self, changes: &[Change]) {
        let mut single = Vec::new();
        let mut is_known = true;
        for change in changes {
            match change {
                // Other rules are another replica's perhaps, which has answered by the old ones until now.
                Change::Unknown(_) | Change::Rules => is_known = false,
                Change::Earlier(_) | Change::Heard { .. } => {}
                Change::User(changed) => {
                    let ending = match ending(changed) {
                        Some(reason) if !self.is_elsewhere(changed).await => Some(reason),
                        _ => None,
                    };
                    let name = changed.name.as_str();
                    match ending {
                        Some(reason) => {
                            info!(user = name, reason, "ending sessions");
                            self.hub.terminate(name, reason);
                            // Who came back meanwhile by way of a replica that did not know yet.
                            self.echoes.add(ECHO_AFTER, Echo::of(name, None));
                        }
                        None => single.push(name),
                    }
                    if !self.rollout.is_zero() && changed.source == live::NAME {
                        self.late.forget(name);
                        self.late.add(self.rollout, Echo::of(name, ending));
                    }
                }
            }
        }
        if !is_known || single.len() > SINGLE {
            self.everybody(single.len());
            return;
        }
        for name in single {
            info!(user = name, "asking again about sessions");
            self.hub.recheck(Whom::Principal(name));
            self.echoes.add(ECHO_AFTER, Echo::of(name, None));
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
        self.echoes.add(ECHO_AFTER, Echo::everybody());
    }

    /// Whether the name is that of somebody in another store, too, whose sessions are not to be ended: the data planes
    /// know sessions by that name only. They ask about each instead, and those of this user end at the first check. A
    /// store that does not answer keeps nobody connected.
    async fn is_elsewhere(&self, changed: &Changed) -> bool {
        let login = Login {
            username: Some(changed.name.as_str()),
            password: None,
            client_id: "",
            tls: None,
            listener: "",
        };
        let others = self.stores.iter().filter(|it| it.name() != changed.source);
        for store in others {
            let deadline = Deadline::after(ASK_STORES);
            let found = deadline.bound(store.find(&login, deadline)).await;
            if let Some(Ok(Found::Stored(_, Credential::Known(_)))) = found {
                return true;
            }
        }
        false
    }

    fn again(&mut self, due: &[Echo]) {
        let endings = due
            .iter()
            .filter_map(|echo| Some((echo.whom.as_deref()?, echo.ending?)));
        for (name, reason) in endings {
            self.hub.terminate(name, reason);
        }
        if due.len() > SINGLE || due.iter().any(|echo| echo.whom.is_none()) {
            self.told = Some(Instant::now());
            return self.hub.recheck(Whom::Everybody);
        }
        for name in due.iter().filter_map(|echo| echo.whom.as_deref()) {
            self.hub.recheck(Whom::Principal(name));
        }
    }
}

/// Why the sessions of a user have to end, if they have to.
fn ending(changed: &Changed) -> Option<&'static str> {
    match &changed.now {
        Current::Gone => Some("this user has been removed"),
        Current::Is(account, _) if account.disabled => Some("this user is disabled"),
        Current::Is(..) if changed.credentials => Some("the credentials have changed"),
        Current::Is(..) | Current::Unreadable => None,
    }
}

/// What is to be told once more.
#[derive(Debug)]
struct Echo {
    /// `None` is everybody.
    whom: Option<Box<str>>,
    /// Why sessions are to be ended again, if they are: a replica that was late may have let this user in.
    ending: Option<&'static str>,
}

impl Echo {
    fn of(name: &str, ending: Option<&'static str>) -> Self {
        let whom = Some(name.into());
        Self { whom, ending }
    }

    fn everybody() -> Self {
        Self {
            whom: None,
            ending: None,
        }
    }
}

/// What is to be told once more, in the order of its time: each of them waits equally long.
#[derive(Debug, Default)]
struct Echoes(VecDeque<(Instant, Echo)>);

impl Echoes {
    /// Beyond [`MAX_ECHOES`] it is everybody. Of everybody the first one keeps its time, or a stream of changes would
    /// put it off for ever.
    fn add(&mut self, after: Duration, echo: Echo) {
        let when = Instant::now() + after;
        if echo.whom.is_some() && self.0.len() < MAX_ECHOES {
            return self.0.push_back((when, echo));
        }
        let first = self.0.front().map(|(when, _)| *when);
        // What ends sessions is not said by asking.
        self.0.retain(|(_, known)| known.ending.is_some());
        if let Some(first) = first {
            self.0.push_front((first, Echo::everybody()));
        }
        self.0.push_back((when, Echo::everybody()));
    }

    fn forget(&mut self, name: &str) {
        self.0
            .retain(|(_, echo)| echo.whom.as_deref() != Some(name));
    }

    /// When the first one is due; never, if there is none.
    async fn due(&self) {
        match self.0.front() {
            Some((when, _)) => sleep_until(*when).await,
            None => std::future::pending().await,
        }
    }

    /// Those that are due.
    fn take(&mut self, now: Instant) -> Vec<Echo> {
        let due = self.0.iter().take_while(|(when, _)| *when <= now).count();
        self.0.drain(..due).map(|(_, echo)| echo).collect()
    }
}
