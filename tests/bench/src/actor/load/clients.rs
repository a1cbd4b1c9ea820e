//! Clients up to their CONNACK.

use std::{net::SocketAddr, sync::Arc};

use anyhow::{Context as _, ensure};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinSet,
};

use super::Spec;
use crate::{actor::is_special, packets};

/// Handshakes at once: well below what the gate lets one address have undecided.
const HANDSHAKES: usize = 64;

/// Bytes that the kernel keeps for a client to be sent. Its own default lets a flood pile up megabytes for each
/// client, and at the end of a measurement they would all have to be waited for.
const SEND_BUFFER: u32 = 64 * 1024;

/// A connected client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: TcpStream,
    /// Below a name that the reference service gives to clients without one.
    pub(super) topic: String,
    pub(super) payload: usize,
    pub(super) level: u8,
    pub(super) is_special: bool,
}

/// Connects all clients of a load.
pub(super) async fn connect(spec: &Spec) -> anyhow::Result<Vec<Client>> {
    let turns = Arc::new(Semaphore::new(HANDSHAKES));
    let mut connecting = JoinSet::new();
    for index in 0..spec.clients {
        let client_id = match &spec.special {
            Some(kind) if index == 0 => format!("{kind}-{index}"),
            _ => format!("bench-{index:05}"),
        };
        let (turns, target, level, payload) =
            (Arc::clone(&turns), spec.target, spec.level, spec.payload);
        connecting.spawn(async move {
            let _turn = turns.acquire().await?;
            let stream = handshake(target, level, &client_id)
                .await
                .with_context(|| format!("client {index} cannot connect to {target}"))?;
            anyhow::Ok(Client {
                stream,
                topic: format!("anonymous/bench/{index:05}"),
                payload,
                level,
                is_special: is_special(client_id.as_bytes()),
            })
        });
    }
    let mut clients = Vec::with_capacity(spec.clients);
    while let Some(client) = connecting.join_next().await {
        clients.push(client??);
    }
    Ok(clients)
}

/// Connects one client and waits for its CONNACK.
pub(super) async fn handshake(
    target: SocketAddr,
    level: u8,
    client_id: &str,
) -> anyhow::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.set_send_buffer_size(SEND_BUFFER)?;
    let mut stream = socket.connect(target).await?;
    stream.set_nodelay(true)?;
    stream
        .write_all(&packets::connect(level, client_id))
        .await?;
    let mut header = [0; 2];
    stream.read_exact(&mut header).await.context("no CONNACK")?;
    // A CONNACK of more than 127 bytes would be a surprise here, and is refused.
    ensure!(
        header[0] == 0x20 && (2..128).contains(&header[1]),
        "not a CONNACK: {header:02x?}"
    );
    let mut body = vec![0; header[1].into()];
    stream
        .read_exact(&mut body)
        .await
        .context("half a CONNACK")?;
    ensure!(body[1] == 0, "refused: CONNACK 0x{:02x}", body[1]);
    Ok(stream)
}
