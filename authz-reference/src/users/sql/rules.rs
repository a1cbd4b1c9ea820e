//! Services that share a PostgreSQL tell each other when they decide by other rules.
//!
//! A data plane watches one of them and asks all. While they are given a new configuration one after the other, it asks
//! again because of the first and may be answered by the last, which does not have it yet. So whoever has other rules
//! tells everybody, and all data planes ask again. The message holds nothing: what each service decides by stays its
//! own.

use std::sync::Arc;

use tokio::{
    sync::Notify,
    time::{sleep, timeout},
};

use super::{
    Shared,
    follow::{PATIENCE, RETRY},
    pool::describe,
    queries,
};

/// What is notified. Needs no privilege.
pub(super) const CHANNEL: &str = "tidegate_rules";

/// Tells it at once, for this process may be the first with a new configuration, and each time that there are others.
pub(super) async fn tell(shared: Arc<Shared>, changed: Arc<Notify>) {
    loop {
        while let Err(problem) = notify(&shared).await {
            tracing::debug!(problem, "cannot tell other services of new rules yet");
            sleep(RETRY).await;
        }
        changed.notified().await;
    }
}

async fn notify(shared: &Shared) -> Result<(), String> {
    let notified = async {
        let mut lease = shared.pool.lease().await?;
        queries::notify(&mut lease, CHANNEL).await?;
        lease.done();
        Ok::<_, sqlx::Error>(())
    };
    match timeout(PATIENCE, notified).await {
        Ok(notified) => notified.map_err(|error| describe(&error)),
        Err(_) => Err("no answer in time".to_owned()),
    }
}
