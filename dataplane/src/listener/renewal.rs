//! Files of TLS that change while the gate runs: certificates are renewed, and nobody restarts for that.

use std::{sync::Arc, time::Duration};

use tokio::{
    task::spawn_blocking,
    time::{MissedTickBehavior, interval},
};
use tracing::{error, info};

use crate::{in_force::InForce, live::Live, transport::Reload, upstream::Dial};

use super::entrance::Entrance;

/// How often files are looked at. They are not read before they have changed.
const EVERY: Duration = Duration::from_secs(1);

/// Looks at the files for ever: those of the configuration in force. What can't be used changes nothing: what was
/// read before counts on.
pub(super) async fn watch<D: Dial>(
    in_force: Live<InForce<D>>,
    place: usize,
    entrance: Arc<Entrance>,
) {
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let terms = Arc::clone(&in_force.get().terms[place]);
        let Some(tls) = terms.doorway().tls().cloned() else {
            continue;
        };
        let listener = &*entrance.name;
        match spawn_blocking(move || tls.reload()).await {
            Ok(Reload { is_new, failures }) => {
                for error in failures {
                    entrance.tls_reloads.count(false);
                    error!(listener, %error, "a file of TLS has changed and cannot be used: what was there before counts on");
                }
                if is_new {
                    entrance.tls_reloads.count(true);
                    info!(listener, "the files of TLS have changed");
                }
            }
            Err(error) => error!(listener, %error, "the files of TLS cannot be looked at"),
        }
    }
}
