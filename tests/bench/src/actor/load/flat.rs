//! QoS 0 as fast as the socket takes it.

use std::{io::ErrorKind, sync::Arc};

use tokio::task::{self, JoinSet};

use super::{clients::Client, tally::Tally};
use crate::packets;

/// Bytes per write, about; a larger packet is written alone.
const BLOCK: usize = 32 * 1024;

pub(super) async fn run(clients: Vec<Client>, tally: &Arc<Tally>) {
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn(flood(client, Arc::clone(tally)));
    }
    // The streams come back and stay open: closing one would be an ending that others have to deal with.
    let _open = running.join_all().await;
    std::future::pending().await
}

async fn flood(client: Client, tally: Arc<Tally>) -> Client {
    let (packet, _) = packets::publish(client.level, 0, 0, &client.topic, client.payload);
    let size = packet.len();
    let block = packet.repeat((BLOCK / size).max(1));
    let (mut at, mut partial) = (0, 0);
    while !tally.is_over() {
        if client.stream.writable().await.is_err() || tally.is_over() {
            break;
        }
        match client.stream.try_write(&block[at..]) {
            Ok(written) => {
                at = (at + written) % block.len();
                partial += written;
                tally.sent(client.is_special, partial / size);
                partial %= size;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => {
                tally.broken();
                break;
            }
        }
        // The reader may be fast enough for the socket never to fill, and there are other clients.
        task::yield_now().await;
    }
    client
}
