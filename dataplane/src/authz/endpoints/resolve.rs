//! All addresses of a name, now and later.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{
    select,
    sync::Notify,
    time::{Instant, sleep, sleep_until, timeout},
};
use tracing::{debug, warn};

use super::{backoff::jittered, target::Place, target::Target};
use crate::log_limit::LogLimit;

/// Time between two look-ups of a name.
const INTERVAL: Duration = Duration::from_secs(30);
/// Shortest time between two look-ups, when no endpoint can be reached.
const MIN_INTERVAL: Duration = Duration::from_millis(500);
/// Time for one look-up.
const PATIENCE: Duration = Duration::from_secs(5);
/// Most addresses of one name that are used.
pub(super) const MAX_ADDRESSES: usize = 64;

/// Looks up `host:port`.
pub(in crate::authz) type Lookup =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The look-up of the system.
pub(in crate::authz) fn system() -> Lookup {
    Arc::new(|name| Box::pin(async move { Ok(tokio::net::lookup_host(name).await?.collect()) }))
}

/// Looks the name up for ever: every half minute, and soon when it is wanted. A look-up that fails or
/// finds nothing changes nothing.
pub(super) async fn follow(
    target: &Target,
    lookup: Lookup,
    wanted: &Notify,
    mut tell: impl FnMut(Result<Vec<SocketAddr>, String>),
) -> Infallible {
    let complaints = LogLimit::new(1);
    let Place::Names(host, port) = &target.place else {
        return std::future::pending().await;
    };
    loop {
        let looked_up_at = Instant::now();
        let found = match timeout(PATIENCE, lookup(format!("{host}:{port}"))).await {
            Ok(Ok(addresses)) if addresses.is_empty() => {
                Err("the name has no addresses".to_owned())
            }
            Ok(Ok(addresses)) => Ok(addresses),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        };
        match &found {
            Ok(addresses) => debug!(%target, ?addresses, "looked up"),
            Err(why) => {
                if let Some(suppressed) = complaints.permit() {
                    warn!(%target, why, suppressed, "the name of the authorization service cannot be looked up");
                }
            }
        }
        tell(found);
        select! {
            () = sleep(jittered(INTERVAL)) => {}
            () = wanted.notified() => sleep_until(looked_up_at + jittered(MIN_INTERVAL)).await,
        }
    }
}
