//! The memory of a connection that is known when the program is built: its task, and what the task keeps behind
//! pointers. What comes on top is in buffers; the suite `doors` measures all of it.

use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::{after_handshakes, at_once, entrance::Entrance};
use crate::{
    admission::Entry,
    session::testing::driver_size,
    transport::{Stream, WebSocket},
    upstream::Upstream,
};

/// What there is, in bytes, and the budget of each: a sixteenth above what it was when this was written.
#[test]
fn sessions_stay_within_their_budgets() {
    let direct = of(|| {
        let entrance: &Entrance = any();
        let session = entrance.begin_at_once::<Upstream>(any(), any(), any(), any());
        at_once(session, any())
    });
    let through =
        of(|| after_handshakes::<Upstream>(any(), any(), any(), any(), any(), any(), any()));
    let driver = driver_size::<Stream, Upstream, Entry>();
    let tls = size_of::<TlsStream<TcpStream>>();
    let wss = size_of::<WebSocket<TlsStream<TcpStream>>>();
    // It goes when the session begins.
    let handshakes = of(|| Entrance::begin::<Upstream>(any(), any(), any(), any(), any(), any()));
    let sizes = [
        ("TCP: task", direct, 476),
        ("TCP: task and session", direct + driver, 1_955),
        ("TLS, WSS: task", through, 782),
        ("TLS: task, session and TLS", through + driver + tls, 3_561),
        (
            "WSS: task, session, WebSocket and TLS",
            through + driver + wss,
            3_833,
        ),
        ("TLS, WSS: handshakes", handshakes, 4_037),
    ];
    for (what, bytes, budget) in sizes {
        println!("{what}: {bytes} bytes (budget {budget})");
    }
    let over: Vec<_> = sizes
        .into_iter()
        .filter(|(_, bytes, budget)| bytes > budget)
        .collect();
    assert!(over.is_empty(), "over their budget: {over:?}");
}

/// The size of what a function would return. It is not called.
fn of<R>(_: impl FnOnce() -> R) -> usize {
    size_of::<R>()
}

/// Something of any type, for functions that are not called.
fn any<T>() -> T {
    unreachable!()
}
