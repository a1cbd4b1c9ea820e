//! Services that share a PostgreSQL tell each other when they decide by other rules.
//!
//! A data plane watches one of them and asks all. While they are given a new configuration one after the other, it asks
//! again because of the first and may be answered by the last, which does not have it yet. So whoever has other rules
//! tells everybody, and all data planes ask again. The message holds its time alone: what each service decides by stays
//! its own.
//!
//! Asking again ends sessions that the broker has resumed, so it is not done for nothing: who starts with the rules that
//! were told long ago says nothing, and who has lost the connection looks whether something was told meanwhile.

use std::{sync::Arc, time::Duration};

use sqlx::postgres::{PgListener, PgPool};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{sleep, timeout},
};

use super::{
    Shared,
    follow::{PATIENCE, RETRY, Ring},
    pool::describe,
    queries,
};
use crate::users::changes::{Change, ChangeSender};

/// What PostgreSQL's trigger notifies.
const USERS: &str = "tidegate_users";
/// What is notified of rules. Needs no privilege.
const RULES: &str = "tidegate_rules";
/// How long it may take until all replicas are started again with other rules.
const ROLLOUT_MS: i64 = 15 * 60 * 1_000;
/// A listener that has heard nothing for so long is replaced: a connection that a network has dropped without a word can't
/// be told from one on which nothing happens.
const SILENCE: Duration = Duration::from_secs(60);

/// Tells the rules at the start, and then each time that there are others or that something was `missed`.
pub(super) async fn tell(
    shared: Arc<Shared>,
    mut rules: watch::Receiver<Option<String>>,
    missed: Arc<Notify>,
) {
    let mut in_any_case = false;
    loop {
        let revision = rules.borrow_and_update().clone();
        if let Some(revision) = revision {
            while let Err(problem) = tell_once(&shared, &revision, in_any_case).await {
                tracing::debug!(problem, "cannot tell other services of rules yet");
                sleep(RETRY).await;
            }
            in_any_case = true;
        }
        tokio::select! {
            changed = rules.changed() => if changed.is_err() {
                return;
            },
            () = missed.notified() => {}
        }
    }
}

async fn tell_once(shared: &Shared, revision: &str, in_any_case: bool) -> Result<(), String> {
    let told = async {
        let mut lease = shared.pool.lease().await?;
        queries::tell_rules(&mut lease, revision, RULES, in_any_case, ROLLOUT_MS).await?;
        lease.done();
        Ok::<_, sqlx::Error>(())
    };
    match timeout(PATIENCE, told).await {
        Ok(told) => told.map_err(|error| describe(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// Rings when users have changed, and tells of rules. For ever.
pub(super) async fn listen(
    shared: Arc<Shared>,
    pool: PgPool,
    ring: mpsc::Sender<Ring>,
    changes: ChangeSender,
) {
    // When rules were told last, as far as is known here.
    let mut known = None;
    loop {
        let listener = timeout(PATIENCE, listener(&pool)).await;
        if let Ok(Ok(listener)) = listener {
            // What was committed before is not notified again.
            ring.try_send(Ring::Back).ok();
            if let Ok(told) = told(&shared).await
                && known.replace(told).is_some_and(|known| known != told)
            {
                changes.send(Change::Rules).await.ok();
            }
            hear(listener, &mut known, &ring, &changes).await.ok();
        } else {
            // Whether the server is there is to be found out now.
            ring.try_send(Ring::Back).ok();
            sleep(RETRY).await;
        }
    }
}

async fn listener(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen_all([USERS, RULES]).await?;
    Ok(listener)
}

async fn told(shared: &Shared) -> Result<Option<i64>, String> {
    let told = async {
        let mut lease = shared.pool.lease().await?;
        let told = queries::rules_told(&mut lease).await?;
        lease.done();
        Ok::<_, sqlx::Error>(told)
    };
    match timeout(PATIENCE, told).await {
        Ok(told) => told.map_err(|error| describe(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// Until the connection is lost, or nothing was heard for too long.
async fn hear(
    mut listener: PgListener,
    known: &mut Option<Option<i64>>,
    ring: &mpsc::Sender<Ring>,
    changes: &ChangeSender,
) -> Result<(), sqlx::Error> {
    // Nothing is asked by this connection: what comes is heard at once.
    while let Ok(told) = timeout(SILENCE, listener.try_recv()).await {
        match told? {
            Some(told) if told.channel() == USERS => {
                ring.try_send(Ring::Told).ok();
            }
            Some(told) => {
                *known = Some(told.payload().parse().ok());
                changes.send(Change::Rules).await.ok();
            }
            // Lost.
            None => break,
        }
    }
    Ok(())
}
