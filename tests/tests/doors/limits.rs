//! Many who come and do not go on, or come too fast.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use tidegate_tests::{
    Client, Connect, Door, Topology, Version, assert_eventually, door, packet::Encode as _,
    wait::PATIENCE,
};

/// 2,000 in all, at once. The head of a request has a deadline of its own, 5 s: these come last.
const HALF_OPEN: [(Door, usize); 3] = [(Door::Tls, 700), (Door::Tcp, 700), (Door::Ws, 600)];

/// The beginning of what a client sends through a door. What follows may be any number of [`DRIP`]s: it is still
/// no whole packet, record or head, and nothing that could be refused.
fn beginning(door: Door) -> Vec<u8> {
    match door {
        Door::Tcp => Connect::new("x".repeat(1_000)).encode(Version::V5)[..20].to_vec(),
        Door::Tls | Door::Mtls | Door::Wss => vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01],
        Door::Ws => b"GET /mqtt HTTP/1.1\r\nHost: gate\r\nX: ".to_vec(),
    }
}

const DRIP: u8 = b'x';

/// A client that does not go on.
struct HalfOpen(Door, TcpStream);

impl HalfOpen {
    fn begin(door: Door, address: std::net::SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(&beginning(door)).unwrap();
        stream.set_nonblocking(true).unwrap();
        stream.set_read_timeout(Some(PACE)).unwrap();
        Self(door, stream)
    }

    /// Whether the gate has closed the connection.
    fn is_over(&self) -> bool {
        let mut farewell = [0; 512];
        loop {
            match (&self.1).read(&mut farewell) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    /// Waits until the gate has closed the connection, or the next drip is due.
    fn pace(&self) {
        self.1.set_nonblocking(false).unwrap();
        self.is_over();
        self.1.set_nonblocking(true).unwrap();
    }

    /// Sends a byte, as far as somebody takes it.
    fn drip(&self) -> usize {
        (&self.1).write(&[DRIP]).unwrap_or(0)
    }
}

/// From one drip to the next.
const PACE: Duration = Duration::from_secs(1);

/// Long enough for all to have come before the first one goes, on a busy machine too.
const DEADLINE: Duration = Duration::from_secs(20);

/// How many there are at each door.
fn at_each<const N: usize>(doors: [Door; N], clients: &[HalfOpen]) -> [usize; N] {
    doors.map(|door| clients.iter().filter(|client| client.0 == door).count())
}

#[test]
fn half_open_clients_are_gone_after_the_deadline() {
    let doors = HALF_OPEN.map(|(door, _)| door);
    let topology = Door::side_by_side(&doors, Topology::scripted(), Door::authority())
        .set(
            "limits.handshake_deadline",
            format!("{}s", DEADLINE.as_secs()),
        )
        .set("limits.max_undecided_per_address", 3_000)
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    let addresses = doors.map(|door| topology.gate().listens(door.name()));
    let metrics = topology.gate().metrics();
    let mut half_open: Vec<_> = std::iter::zip(HALF_OPEN, addresses)
        .flat_map(|((door, count), address)| {
            (0..count).map(move |_| HalfOpen::begin(door, address))
        })
        .collect();
    let begun = Instant::now();

    // Meanwhile somebody comes who means it.
    let mut good: Vec<_> = std::iter::zip(doors, addresses)
        .map(|(door, address)| {
            let mut good = door.open_at(address, Version::V5);
            good.send(&Connect::new(format!("good-{}", door.name())));
            good.expect_connack(0);
            good
        })
        .collect();
    let good_after = begun.elapsed();
    half_open.retain(|client| !client.is_over());
    let meanwhile = at_each(doors, &half_open);
    assert!(!meanwhile.contains(&0), "left of {doors:?}: {meanwhile:?}");

    // And a byte now and then buys no time.
    let mut drips = [0; 3];
    while let Some(first) = half_open.first() {
        assert!(
            begun.elapsed() < DEADLINE + PATIENCE,
            "left of {doors:?}: {:?}",
            at_each(doors, &half_open)
        );
        first.pace();
        half_open.retain(|client| !client.is_over());
        for (door, drips) in std::iter::zip(doors, &mut drips) {
            let of_door = half_open.iter().filter(|client| client.0 == door);
            *drips += of_door.map(HalfOpen::drip).sum::<usize>();
        }
    }
    let gone_after = begun.elapsed();
    println!(
        "half-open: {HALF_OPEN:?}, deadline {DEADLINE:?}: all gone {gone_after:.1?} after the last came, \
         after {drips:?} bytes more; good clients were in after {good_after:.1?}, beside {meanwhile:?}"
    );

    for good in &mut good {
        good.expect_nothing_before_pong();
    }
    assert_eq!(topology.recorder().connections(), good.len());
    assert_eq!(topology.service().checks().len(), good.len());
    assert_eventually!(metrics.value("tidegate_sessions_open", &[]) == good.len() as u64);
    for (door, count) in HALF_OPEN {
        let (name, reason) = match door {
            Door::Tcp => ("sessions_closed", "handshake_timeout"),
            // A head that does not come.
            Door::Ws => ("handshakes_failed", "websocket"),
            _ => ("handshakes_failed", "timeout"),
        };
        let name = format!("tidegate_{name}_total");
        metrics.wait_for(&name, &[("reason", reason)], count as u64);
    }
}

#[test]
fn an_address_has_so_many_connections() {
    let topology = Topology::scripted()
        .set("limits.max_connections_per_address", 2)
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    let first = topology.join(Version::V5, &Connect::new("1"));
    let _second = topology.join(Version::V5, &Connect::new("2"));
    topology.open(Version::V5).expect_closed();
    let address = topology.gate().address();
    let elsewhere = "127.0.0.2".parse().unwrap();
    let mut other = Client::open_from(elsewhere, address, Version::V5);
    other.send(&Connect::new("3"));
    other.expect_connack(0);
    let limit = [("limit", "max_connections_per_address")];
    let metrics = topology.gate().metrics();
    metrics.wait_for("tidegate_connections_refused_total", &limit, 1);
    drop(first);
    assert_eventually!({
        let mut next = topology.open(Version::V5);
        next.send_in_vain(&Connect::new("4").encode(Version::V5));
        next.try_next().is_some()
    });
}

#[test]
fn who_comes_too_fast_waits() {
    let topology = Topology::scripted()
        .set("listeners.0.accept_rate", 5)
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    let streams: Vec<_> = (0..12)
        .map(|_| door::connect(topology.gate().address()))
        .collect();
    for (number, stream) in streams.into_iter().enumerate() {
        let mut client = Client::over(stream, Version::V311);
        client.send(&Connect::new(format!("client-{number}")));
        client.expect_connack(0);
    }
    let metrics = topology.gate().metrics();
    assert!(metrics.value("tidegate_accept_pauses_total", &[]) >= 1);
    assert_eq!(metrics.value("tidegate_connections_refused_total", &[]), 0);
}
