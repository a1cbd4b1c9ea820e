//! The endpoints of the service, as one hook sees them: who they are, who is well, and whose turn it is.
//!
//! ```text
//!   target ─► resolve ─► address ─► upkeep: dial, back-off ─► connection
//!   (configured)         (one endpoint)     health, capabilities
//!                                                │
//!   call ─► Endpoints::pick ─► pick (two choices) ─► Ride ─► outlier, silence
//! ```
//!
//! Each hook has a group, and so connections of its own. Nothing is dialled before the first call;
//! from then on every endpoint is kept connected by a task, so that a dead one costs no call: calls go
//! to those that have a connection. Only if none has, they wait for the next attempt, which is a tenth of
//! a second away at most; and not even that, once several attempts have failed, or one has taken long.

mod address;
mod backoff;
mod capabilities;
mod connection;
mod cork;
mod dial;
mod endpoint;
mod health;
mod no_connection;
mod outlier;
mod pick;
mod resolve;
mod target;
#[cfg(test)]
mod tests;
mod tls;
mod upkeep;

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tidegate_proto::v1;
use tokio::{
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout},
};
use tracing::info;

pub(crate) use self::backoff::{Backoff, jittered};
pub(super) use self::{
    address::Address,
    connection::{Connection, ConnectionError},
    dial::chain,
    outlier::Sign,
    resolve::{Lookup, system as system_lookup},
};
pub use self::{
    capabilities::Capabilities,
    target::{Target, TargetError},
    tls::{Tls, TlsError, TlsFiles},
};
use self::{
    dial::Dialer,
    endpoint::{Attempt, Away, Endpoint, Ride, Standing},
    no_connection::NoConnection,
    pick::Candidate,
    upkeep::Upkeep,
};
use super::{counters::Counters, failure::Cause, hook::HookKind, options::AuthzOptions};

/// Time within which an attempt to connect succeeds, if it does, to a service that is well. No call waits for
/// longer once one has failed slowly, or several have.
const QUICK_ATTEMPT: Duration = Duration::from_millis(50);

/// The endpoints, with connections for one hook (and for wills, which travel with CONNECT).
pub(super) struct Endpoints {
    group: Arc<Group>,
    targets: Vec<Target>,
    lookup: Lookup,
    is_active: AtomicBool,
    resolvers: Mutex<Vec<Task>>,
}

/// A task that ends with its owner.
struct Task(JoinHandle<()>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What the tasks of a group share.
struct Group {
    hook: HookKind,
    members: Mutex<Members>,
    /// Some endpoint got or lost its connection, or the list changed.
    changed: Arc<Notify>,
    /// Calls have nowhere to go: look the names up again. One for each target.
    lookups_wanted: Vec<Notify>,
    upkeep: Arc<Upkeep>,
    counters: Arc<Counters>,
}

struct Members {
    /// Addresses by target, in the order of the configuration.
    addresses: Vec<Vec<Address>>,
    list: Arc<[Member]>,
    /// The last look-up that failed.
    unresolved: Option<(Instant, NoConnection)>,
}

#[derive(Clone)]
struct Member {
    endpoint: Arc<Endpoint>,
    /// Ends with the last list that holds it; calls under way go on.
    _upkeep: Arc<Task>,
}

impl Endpoints {
    /// The endpoints for calls with this deadline. Nothing is dialled or looked up yet.
    pub(super) fn new(
        options: &AuthzOptions,
        data_plane: v1::DataPlane,
        hook: HookKind,
        counters: Arc<Counters>,
    ) -> Self {
        let targets = options.endpoints.clone();
        let upkeep = Upkeep {
            dialer: Dialer::new(options, options.hook(hook).deadline),
            watches_health: options.health_check,
            data_plane,
            capabilities: Arc::default(),
        };
        let members = Members {
            addresses: vec![Vec::new(); targets.len()],
            list: Arc::new([]),
            unresolved: None,
        };
        let group = Group {
            hook,
            members: Mutex::new(members),
            changed: Arc::default(),
            lookups_wanted: targets.iter().map(|_| Notify::new()).collect(),
            upkeep: Arc::new(upkeep),
            counters,
        };
        Self {
            group: Arc::new(group),
            targets,
            lookup: Arc::clone(&options.lookup.0),
            is_active: AtomicBool::new(false),
            resolvers: Mutex::default(),
        }
    }

    /// What the endpoints want to be spared.
    pub(super) fn capabilities(&self) -> Arc<Capabilities> {
        Arc::clone(&self.group.upkeep.capabilities)
    }

    /// The endpoint for a call, other than `avoided` if there is another. While none has a
    /// connection, it waits for the next attempt to dial each of them.
    ///
    /// # Errors
    ///
    /// [`Cause::Unreachable`] if nobody is there at any endpoint; [`Cause::Transport`] if somebody is, and no
    /// connection came of it.
    pub(super) async fn pick(&self, avoided: Option<&Address>) -> Result<Picked, Cause> {
        self.activate();
        let asked_at = Instant::now();
        loop {
            let changed = self.group.changed.notified();
            match self.group.try_pick(avoided, asked_at) {
                Picking::Picked(ride) => return Ok(Picked::new(ride, Arc::clone(&self.group))),
                Picking::Failed(cause) => return Err(cause),
                Picking::Wait => {
                    let _ = timeout(QUICK_ATTEMPT, changed).await;
                }
            }
        }
    }

    /// Why a call had no endpoint when its time was over. It was not asked, so it says nothing about the load of
    /// the service.
    pub(super) fn nowhere(&self) -> Cause {
        let now = Instant::now();
        let members = self.group.lock();
        let failure = |member: &Member| match member.endpoint.standing(now) {
            Standing::Up { .. } => None,
            Standing::Away(away) => away.why,
        };
        let all: Option<Vec<_>> = members.list.iter().map(failure).collect();
        all.and_then(|all| NoConnection::cause(&all))
            .unwrap_or_else(|| Cause::Transport("no connection in time".to_owned()))
    }

    /// Whether some endpoint has a connection.
    pub(super) fn is_reachable(&self) -> bool {
        let now = Instant::now();
        let list = Arc::clone(&self.group.lock().list);
        let is_up = |member: &Member| matches!(member.endpoint.standing(now), Standing::Up { .. });
        list.iter().any(is_up)
    }

    /// Starts the tasks: at the first call, if nobody wants it earlier.
    pub(super) fn activate(&self) {
        if self.is_active.swap(true, Ordering::Relaxed) {
            return;
        }
        let mut resolvers = self
            .resolvers
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for (index, target) in self.targets.iter().enumerate() {
            if let Some(address) = Address::of(target) {
                self.group.found(index, vec![address]);
                continue;
            }
            let (group, target) = (Arc::clone(&self.group), target.clone());
            let lookup = Arc::clone(&self.lookup);
            resolvers.push(Task(tokio::spawn(async move {
                let wanted = &group.lookups_wanted[index];
                let never = resolve::follow(&target, lookup, wanted, |found| match found {
                    Ok(addresses) => group.resolved(index, &target, addresses),
                    Err(why) => group.unresolved(&why),
                });
                match never.await {}
            })));
        }
    }
}

impl std::fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoints")
            .field("targets", &self.targets)
            .finish_non_exhaustive()
    }
}

impl Away {
    /// The failed attempt after which a call that came then does not wait for another one.
    fn over(self, asked_at: Instant, now: Instant) -> Option<NoConnection> {
        let is_over = match self.attempt {
            // The next one is soon, if calls want it.
            Attempt::Over { at } => {
                at >= asked_at || (self.is_lasting && now < at + upkeep::MIN_WANTED_PAUSE)
            }
            Attempt::UnderWay { since: Some(since) } => {
                self.is_lasting && now >= since + QUICK_ATTEMPT
            }
            Attempt::UnderWay { since: None } => false,
        };
        self.why.filter(|_| is_over)
    }
}

enum Picking {
    Picked(Ride),
    Failed(Cause),
    Wait,
}

impl Group {
    fn try_pick(&self, avoided: Option<&Address>, asked_at: Instant) -> Picking {
        let (list, unresolved) = {
            let members = self.lock();
            (Arc::clone(&members.list), members.unresolved.clone())
        };
        let now = Instant::now();
        let mut candidates = Vec::with_capacity(list.len());
        let mut failed = Vec::new();
        for (index, member) in list.iter().enumerate() {
            match member.endpoint.standing(now) {
                Standing::Up { is_good, in_flight } => candidates.push(Candidate {
                    index,
                    is_good,
                    is_avoided: avoided == Some(&member.endpoint.address),
                    in_flight,
                }),
                Standing::Away(away) => failed.extend(away.over(asked_at, now)),
            }
        }
        while let Some(index) = pick::pick(&candidates, |below| fastrand::usize(..below)) {
            if let Some(ride) = list[index].endpoint.board(now) {
                return Picking::Picked(ride);
            }
            // It was lost this very moment.
            candidates.retain(|candidate| candidate.index != index);
        }
        for member in list.iter() {
            member.endpoint.wanted.notify_one();
        }
        for wanted in &self.lookups_wanted {
            wanted.notify_one();
        }
        let unresolved = unresolved.filter(|(at, _)| list.is_empty() && *at >= asked_at);
        if failed.len() < list.len() {
            return Picking::Wait;
        }
        failed.extend(unresolved.map(|(_, why)| why));
        NoConnection::cause(&failed).map_or(Picking::Wait, Picking::Failed)
    }

    fn resolved(self: &Arc<Self>, index: usize, target: &Target, found: Vec<SocketAddr>) {
        let mut addresses: Vec<_> = found
            .into_iter()
            .filter_map(|address| Address::resolved(target, address))
            .collect();
        // Those that are known stay, should there be too many.
        let known = self.lock().addresses.get(index).cloned();
        addresses.sort_by_key(|address| !known.iter().flatten().any(|one| one == address));
        addresses.truncate(resolve::MAX_ADDRESSES);
        self.found(index, addresses);
    }

    fn unresolved(&self, why: &str) {
        self.lock().unresolved = Some((Instant::now(), NoConnection::nobody(why.to_owned())));
        self.changed.notify_waiters();
    }

    /// These are the addresses of a target now.
    fn found(self: &Arc<Self>, index: usize, addresses: Vec<Address>) {
        let mut members = self.lock();
        let Some(of_target) = members.addresses.get_mut(index) else {
            return;
        };
        *of_target = addresses;
        let before = Arc::clone(&members.list);
        let mut list: Vec<Member> = Vec::new();
        for address in members.addresses.iter().flatten() {
            let is = |member: &&Member| member.endpoint.address == *address;
            if list.iter().any(|member| is(&member)) {
                continue;
            }
            let known = before.iter().find(is).cloned();
            list.push(known.unwrap_or_else(|| self.member(address.clone())));
        }
        let gone = |member: &&Member| {
            let address = &member.endpoint.address;
            !list.iter().any(|one| one.endpoint.address == *address)
        };
        for member in before.iter().filter(gone) {
            let address = member.endpoint.address.to_string();
            info!(endpoint = address, hook = %self.hook, "an endpoint is gone");
            self.upkeep.capabilities.forget(&address);
        }
        members.list = list.into();
        drop(members);
        self.changed.notify_waiters();
    }

    fn member(&self, address: Address) -> Member {
        let counters = self.counters.endpoint(self.hook, address.to_string());
        let changed = Arc::clone(&self.changed);
        let endpoint = Arc::new(Endpoint::new(address, changed, counters));
        let task = {
            let (endpoint, upkeep) = (Arc::clone(&endpoint), Arc::clone(&self.upkeep));
            tokio::spawn(async move { match upkeep::keep_up(endpoint, upkeep).await {} })
        };
        Member {
            endpoint,
            _upkeep: Arc::new(Task(task)),
        }
    }

    fn note(&self, endpoint: &Endpoint, sign: Sign) {
        if !endpoint.note(sign) {
            return;
        }
        let now = Instant::now();
        let list = Arc::clone(&self.lock().list);
        let is_ejected = |member: &&Member| member.endpoint.is_ejected(now);
        let ejected = list.iter().filter(is_ejected).count();
        if !endpoint.is_ejected(now) && outlier::may_eject(ejected, list.len()) {
            endpoint.eject(now);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        // The list is replaced as a whole.
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The endpoint of a call under way.
pub(super) struct Picked {
    ride: Ride,
    group: Arc<Group>,
}

/// How a call ended, as far as its endpoint is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The peer said something.
    Heard(Sign),
    /// It said nothing until the deadline.
    Silent(Sign),
    /// The connection broke before it said anything.
    Broken,
    /// The connection takes no more calls, and did not take this one.
    Unsent,
}

impl Picked {
    fn new(ride: Ride, group: Arc<Group>) -> Self {
        Self { ride, group }
    }

    pub(super) fn connection(&self) -> Connection {
        self.ride.connection.clone()
    }

    pub(super) fn address(&self) -> &Address {
        &self.ride.endpoint.address
    }

    /// The call has ended, after this long, with this status.
    pub(super) fn ended(
        &self,
        ending: Ending,
        status: &'static str,
        hook: HookKind,
        took: Duration,
    ) {
        let endpoint = &self.ride.endpoint;
        endpoint.counters().call(hook, status, took);
        let sign = match ending {
            Ending::Heard(sign) => {
                self.ride.heard();
                sign
            }
            Ending::Silent(sign) => {
                self.ride.silent();
                sign
            }
            Ending::Broken => Sign::Bad,
            Ending::Unsent => {
                self.ride.refused();
                Sign::None
            }
        };
        self.group.note(endpoint, sign);
    }
}
