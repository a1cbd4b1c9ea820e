//! The connection of a lane: dialled when it is needed, dialled again when it is gone.

use std::time::Duration;

use hyper_util::client::legacy::connect::HttpConnector;
use tonic::transport::{Channel, Endpoint};

use super::options::AuthzOptions;

/// Idle time before TCP asks whether the peer is still there.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(15);
/// Time between two such questions.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Questions without an answer before the connection is given up.
const KEEP_ALIVE_RETRIES: u32 = 3;
/// Shortest time in which a peer has to acknowledge bytes: above a hiccup of the network.
const MIN_USER_TIMEOUT: Duration = Duration::from_secs(1);

/// HTTP/2 windows. Never equal, so that one stalled answer cannot stop the others.
const STREAM_WINDOW: u32 = 1024 * 1024;
const CONNECTION_WINDOW: u32 = 4 * 1024 * 1024;
/// An answer needs a few hundred bytes of headers; `grpc-message` may be some text.
const MAX_HEADER_LIST: u32 = 16 * 1024;
/// Calls given up by us whose late answers are remembered and dropped quietly.
const MAX_RESET_STREAMS: usize = 256;

/// A channel to the service for checks with this deadline. Connects at the first call; a call that
/// finds the connection closed dials again.
pub(super) fn open(options: &AuthzOptions, deadline: Duration) -> Channel {
    Endpoint::from(options.endpoint.clone())
        // Over name resolution, too.
        .connect_timeout(options.connect_timeout)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_max_header_list_size(MAX_HEADER_LIST)
        .http2_max_concurrent_reset_streams(MAX_RESET_STREAMS)
        .connect_with_connector_lazy(connector(options, deadline))
}

/// A peer that dies without a word (a lost host, a lost route) acknowledges nothing. TCP alone would
/// go on for a quarter of an hour; with the user timeout the connection is given up as soon as a check
/// could have timed out, and the next call dials. HTTP/2 pings are left off: gRPC servers close
/// connections that ping more often than every five minutes.
fn connector(options: &AuthzOptions, deadline: Duration) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.enforce_http(false);
    // Small messages both ways: Nagle's algorithm would cost 40 ms here and there.
    connector.set_nodelay(true);
    connector.set_connect_timeout(Some(options.connect_timeout));
    connector.set_keepalive(Some(KEEP_ALIVE_IDLE));
    connector.set_keepalive_interval(Some(KEEP_ALIVE_INTERVAL));
    connector.set_keepalive_retries(Some(KEEP_ALIVE_RETRIES));
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    connector.set_tcp_user_timeout(Some(deadline.max(MIN_USER_TIMEOUT)));
    connector
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::net::TcpListener;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn the_socket_is_prompt_and_notices_a_dead_peer() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let connector = connector(&AuthzOptions::default(), Duration::from_secs(2));
        let uri = format!("http://{address}").parse().unwrap();
        let stream = connector.oneshot(uri).await.unwrap();
        let socket = SockRef::from(stream.inner());
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        #[cfg(target_os = "linux")]
        assert_eq!(
            socket.tcp_user_timeout().unwrap(),
            Some(Duration::from_secs(2))
        );
    }
}
