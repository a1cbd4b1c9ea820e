//! Clients that come and go.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use tokio::{io::AsyncWriteExt as _, task::JoinSet, time::sleep};

use super::{Spec, clients, tally::Tally};
use crate::{clock, packets};

/// After a refusal, so that a gate that is down isn't asked in a tight loop.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

pub(super) async fn run(spec: &Spec, tally: &Arc<Tally>) {
    let number = Arc::new(AtomicU64::new(0));
    let mut running = JoinSet::new();
    for _ in 0..spec.clients {
        let (spec, tally, number) = (spec.clone(), Arc::clone(tally), Arc::clone(&number));
        running.spawn(async move {
            while !tally.is_over() {
                // A new name each time: coming back under one that has just left is another thing.
                let client_id = format!("storm-{}", number.fetch_add(1, Relaxed));
                let begin = clock::now_ns();
                match clients::handshake(spec.target, spec.level, &client_id).await {
                    Ok(mut stream) => {
                        tally.took(clock::now_ns() - begin);
                        tally.acked(1);
                        let _ = stream.write_all(&packets::DISCONNECT).await;
                    }
                    Err(_) => {
                        tally.broken();
                        sleep(PAUSE).await;
                    }
                }
            }
        });
    }
    running.join_all().await;
}
