//! Options of every TCP socket that carries MQTT.

use std::{io, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

/// How long data may stay unacknowledged by the peer's kernel before the connection is given up.
/// Catches peers that vanished without a word while something is on its way to them.
const USER_TIMEOUT: Duration = Duration::from_secs(60);

/// Silence before the kernel asks whether the peer still exists.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// No delay (a packet of MQTT is small, and its answer is awaited), and an end for dead peers.
pub(crate) fn tune(stream: &TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(KEEPALIVE))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(USER_TIMEOUT))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_is_delayed() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        tune(&stream).unwrap();
        assert!(stream.nodelay().unwrap());
    }
}
