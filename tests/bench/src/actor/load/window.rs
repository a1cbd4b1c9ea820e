//! QoS 1 with a fixed number of unacknowledged packets.

use std::{io, sync::Arc};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinSet,
};

use super::{clients::Client, tally::Tally};
use crate::packets::{self, Packet, Scanner};

const READ: usize = 4 * 1024;

pub(super) async fn run(clients: Vec<Client>, size: usize, in_blocks: bool, tally: &Arc<Tally>) {
    let mut running = JoinSet::new();
    for client in clients {
        running.spawn(publish(client, size, in_blocks, Arc::clone(tally)));
    }
    let _open = running.join_all().await;
}

/// Acknowledgements come in order, so packet identifiers go round in a ring, and what is acknowledged is
/// what is sent again: a slice of the ring.
async fn publish(mut client: Client, size: usize, in_blocks: bool, tally: Arc<Tally>) -> Client {
    let ids = 1..=u16::try_from(size).unwrap_or(u16::MAX);
    let window = usize::from(*ids.end());
    let make = |id| packets::publish(client.level, 1, id, &client.topic, client.payload).0;
    let ring: Vec<u8> = ids.flat_map(make).collect();
    let packet = ring.len() / window;

    let mut scanner = Scanner::new(client.level);
    let mut buffer = Vec::with_capacity(READ);
    let mut next = 0;
    let mut free = window;
    loop {
        if free > 0 && !tally.is_over() {
            if write(&mut client.stream, &ring, packet, next, free, in_blocks)
                .await
                .is_err()
            {
                break;
            }
            tally.sent(client.is_special, free);
            next = (next + free) % window;
            free = 0;
        }
        if !matches!(client.stream.read_buf(&mut buffer).await, Ok(1..)) {
            break;
        }
        let (mut in_order, before) = (true, free);
        let scanned = scanner.scan(&buffer, |packet| match packet {
            Packet::PubAck { id } => {
                in_order &= usize::from(id) == (next + free) % window + 1;
                free += 1;
            }
            _ => in_order = false,
        });
        let Ok(done) = scanned else { break };
        buffer.drain(..done);
        if !in_order {
            break;
        }
        tally.acked(free - before);
    }
    tally.broken();
    client
}

/// Writes `count` packets of a ring, from `first` on.
async fn write(
    stream: &mut TcpStream,
    ring: &[u8],
    packet: usize,
    first: usize,
    count: usize,
    in_blocks: bool,
) -> io::Result<()> {
    let (begin, end) = (first * packet, (first + count) * packet);
    let tail = &ring[begin..end.min(ring.len())];
    let head = &ring[..end.saturating_sub(ring.len())];
    if in_blocks {
        return stream.write_all(&[tail, head].concat()).await;
    }
    for packet in tail.chunks(packet).chain(head.chunks(packet)) {
        stream.write_all(packet).await?;
    }
    Ok(())
}
