//! The task that keeps one endpoint connected: dials, attends to the connection, and dials again.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures_util::future::join;
use tidegate_proto::v1;
use tokio::{
    select,
    time::{Instant, sleep, sleep_until},
};

use super::{
    backoff::{Backoff, jittered},
    capabilities::Capabilities,
    connection::Connection,
    dial::{Dialer, Dialled},
    endpoint::Endpoint,
    health,
    no_connection::NoConnection,
};

/// Pauses between attempts to connect while nobody asks for it.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// The pause while calls have nowhere to go. They wait for the next attempt, so it must be short; an
/// endpoint is dialled about ten times a second then, however many calls there are.
const WANTED_PAUSE: Duration = Duration::from_millis(100);
/// What is left of it at least, whatever the jitter.
pub(super) const MIN_WANTED_PAUSE: Duration = Duration::from_millis(80);
/// A connection that lived as long, or answered, was a good one. Others count as failed attempts, so
/// that one who accepts and closes is not dialled in a loop.
const GOOD_LIFE: Duration = Duration::from_secs(1);

/// Time for calls to take in what came with the end of a connection.
const LAST_WORDS: Duration = Duration::from_millis(5);

/// What all endpoints of a group have in common.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) dialer: Dialer,
    pub(super) watches_health: bool,
    pub(super) data_plane: v1::DataPlane,
    pub(super) capabilities: Arc<Capabilities>,
}

/// Keeps the endpoint connected, for ever.
pub(super) async fn keep_up(endpoint: Arc<Endpoint>, upkeep: Arc<Upkeep>) -> Infallible {
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    for number in 0.. {
        endpoint.dialling();
        let failure = match upkeep.dialer.dial(&endpoint.address).await {
            Ok(dialled) => attend(&endpoint, &upkeep, dialled, number).await,
            Err(why) => Some(why),
        };
        let Some(why) = failure else {
            backoff.reset();
            endpoint.was_good();
            continue;
        };
        endpoint.down(why);
        let failed_at = Instant::now();
        select! {
            () = sleep(backoff.pause()) => {}
            () = endpoint.wanted.notified() => {
                sleep_until(failed_at + jittered(WANTED_PAUSE)).await;
            }
        }
    }
    std::future::pending().await
}

/// Attends to a connection until it ends. `None`: it was a good one.
async fn attend(
    endpoint: &Endpoint,
    upkeep: &Upkeep,
    dialled: Dialled,
    number: u64,
) -> Option<NoConnection> {
    let Dialled { connection, driver } = dialled;
    let up_at = Instant::now();
    let given_up = endpoint.up(connection.clone(), number);
    let address = endpoint.address.to_string();
    upkeep.capabilities.use_of(&address, true);
    let why = select! {
        ended = driver => match ended {
            Ok(Err(error)) => super::dial::chain(&error),
            _ => "the peer closed the connection".to_owned(),
        },
        _ = given_up => "the peer takes no calls on the connection".to_owned(),
        never = courtesies(endpoint, upkeep, connection) => match never {},
    };
    upkeep.capabilities.use_of(&address, false);
    if !endpoint.was_heard() {
        // Whoever got an answer as its last word may be about to say so.
        sleep(LAST_WORDS).await;
    }
    let was_good = endpoint.was_heard() || up_at.elapsed() >= GOOD_LIFE;
    (!was_good).then(|| NoConnection::somebody(why))
}

/// What is asked besides the checks.
async fn courtesies(endpoint: &Endpoint, upkeep: &Upkeep, connection: Connection) -> Infallible {
    let address = endpoint.address.to_string();
    let data_plane = upkeep.data_plane.clone();
    let asking = async {
        let capabilities = &upkeep.capabilities;
        let asked = capabilities.ask(&address, connection.clone(), data_plane);
        if asked.await {
            endpoint.counters().answered();
        }
    };
    let watching = async {
        if upkeep.watches_health {
            let tell = |is_serving| {
                endpoint.serving(is_serving);
                upkeep.capabilities.use_of(&address, is_serving);
            };
            match health::watch(connection.clone(), tell).await {}
        }
    };
    join(asking, watching).await;
    std::future::pending().await
}
