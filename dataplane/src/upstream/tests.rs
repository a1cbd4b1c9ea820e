use std::os::unix::net::UnixStream as StdUnixStream;

use socket2::{Domain, SockAddr, Socket, Type};
use tidegate_tests::pki::Authority;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, UnixListener},
};

use super::*;

fn upstream(url: &str, proxy_header: bool, tls: TlsFiles) -> Upstream {
    Upstream::new(UpstreamOptions {
        target: url.parse().unwrap(),
        tls,
        proxy_header,
        max_packet: 1024,
        metrics: DialMetrics::default(),
    })
    .unwrap()
}

/// Later than any of these tests takes.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

fn ends() -> Option<Ends> {
    Some(Ends {
        client: ([192, 0, 2, 7], 4711).into(),
        gate: ([198, 51, 100, 1], 1883).into(),
    })
}

#[tokio::test]
async fn the_broker_hears_of_the_client_before_anything_else() {
    let header = proxy_protocol::header(ends());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let authority = Authority::new();
    let tls = TlsFiles {
        ca: Some(authority.file()),
        ..TlsFiles::default()
    };
    for (url, then) in [
        (format!("mqtt://localhost:{port}"), b"CONNECT".as_slice()),
        // A record of the handshake.
        (format!("mqtts://127.0.0.1:{port}"), b"\x16\x03\x01"),
        (
            format!("ws://127.0.0.1:{port}/mqtt"),
            b"GET /mqtt HTTP/1.1\r\n",
        ),
    ] {
        let dial = upstream(&url, true, tls.clone()).dial(ends(), soon());
        let gate = tokio::spawn(async move {
            let mut stream = dial.await.unwrap();
            stream.write_all(b"CONNECT").await.unwrap();
        });
        let (mut broker, _) = listener.accept().await.unwrap();
        let mut heard = vec![0; header.len() + then.len()];
        broker.read_exact(&mut heard).await.unwrap();
        assert_eq!(heard, [&header, then].concat(), "{url}");
        gate.abort();
    }
}

#[tokio::test]
async fn the_broker_hears_nothing_of_it_by_default() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let listener = UnixListener::bind(&path).unwrap();
    for (proxy_header, ends, header) in [
        (false, ends(), Vec::new()),
        (true, ends(), proxy_protocol::header(ends())),
        (true, None, proxy_protocol::header(None)),
    ] {
        let url = format!("unix:{}", path.display());
        let upstream = upstream(&url, proxy_header, TlsFiles::default());
        let mut stream = upstream.dial(ends, soon()).await.unwrap();
        stream.write_all(b"CONNECT").await.unwrap();
        drop(stream);
        let mut heard = Vec::new();
        let (mut broker, _) = listener.accept().await.unwrap();
        broker.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard, [&header[..], b"CONNECT"].concat());
    }
}

#[tokio::test]
async fn who_finds_the_queue_of_a_socket_full_tries_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mqtt.sock");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    // One fits in; the next would wait, if it could.
    let _first = StdUnixStream::connect(&path).unwrap();

    let url = format!("unix:{}", path.display());
    let dial = upstream(&url, false, TlsFiles::default()).dial(ends(), soon());
    let mut dial = tokio::spawn(dial);
    tokio::time::timeout(Duration::from_millis(50), &mut dial)
        .await
        .expect_err("the queue is full");
    let _first_accepted = listener.accept().unwrap();
    dial.await.unwrap().unwrap();
}

#[tokio::test]
async fn an_error_names_the_broker_and_what_was_tried() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    for (url, said) in [
        (
            format!("mqtt://{address}"),
            format!("cannot connect to {address}: "),
        ),
        (
            "unix:/nowhere/mqtt.sock".to_owned(),
            "connecting fails with unix:/nowhere/mqtt.sock: No such file".to_owned(),
        ),
    ] {
        let error = upstream(&url, false, TlsFiles::default())
            .dial(None, soon())
            .await
            .unwrap_err();
        assert!(error.to_string().starts_with(&said), "{error}");
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream
            .write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
            .await
            .unwrap();
        stream.read_to_end(&mut Vec::new()).await.unwrap();
    });
    let url = format!("ws://{address}/mqtt");
    let error = upstream(&url, false, TlsFiles::default())
        .dial(None, soon())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("404 Not Found"), "{error}");
}

#[tokio::test]
async fn what_comes_of_dials_is_counted() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = free.local_addr().unwrap();
    drop(free);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let dial = |url: String, within: Duration| async move {
        let upstream = upstream(&url, false, TlsFiles::default());
        let dial = upstream.dial(None, Instant::now() + within);
        let _ = tokio::time::timeout(Duration::from_millis(200), dial).await;
        upstream.0.metrics.clone()
    };
    let long = Duration::from_secs(60);
    let counted = dial(format!("mqtt://{address}"), long).await;
    assert_eq!((counted.count("ok"), counted.count("dropped")), (1, 0));
    let counted = dial(format!("mqtt://{closed}"), long).await;
    assert_eq!(counted.count("connect"), 1);
    // Nobody answers the request for an upgrade: the client leaves, or it is too late.
    let counted = dial(format!("ws://{address}/"), long).await;
    assert_eq!(counted.count("dropped"), 1);
    let counted = dial(format!("ws://{address}/"), Duration::ZERO).await;
    assert_eq!(counted.count("timeout"), 1);
    let counted = dial("mqtt://no-such-name.invalid:1883".to_owned(), long).await;
    assert_eq!(counted.count("ok"), 0);
}

#[tokio::test]
async fn a_dead_address_of_a_name_is_tried_first_once() {
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dead = free.local_addr().unwrap();
    drop(free);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let alive = listener.local_addr().unwrap();
    let resolver = resolver::tests::fixed(vec![dead, alive]);
    let addresses = resolver.addresses().await.unwrap();
    assert_eq!(resolver.in_turn(addresses.clone()), [dead, alive]);
    let stream = eyeballs::connect(addresses.clone(), &resolver)
        .await
        .unwrap();
    assert_eq!(stream.peer_addr().unwrap(), alive);
    assert_eq!(resolver.in_turn(addresses), [alive, dead]);
}
