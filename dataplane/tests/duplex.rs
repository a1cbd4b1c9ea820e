//! A session between two in-memory streams: what odd chunks, half-closed and slow peers do to it.

#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "duplex/reconnect.rs"]
mod reconnect;

use std::{io, sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use gatekeeper::{CloseReason, Limits, Rules};
use tidegate::{
    authz::{Authz, AuthzOptions},
    events::Events,
    metrics::Metrics,
    mount::Template,
    session::{self, Origin, Oversight, Presented, Sampling, SessionLog, Shared, Succession},
    upstream::{Dial, Ends},
};
use tidegate_proto::v1::{self, ReasonCode};
use tidegate_tests::{
    Answer, Connect, Hold, Publish, Subscribe, Version,
    packet::{Encode as _, PINGREQ},
    service::Scripted,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

const CONNACK: &[u8] = &[0x20, 2, 0, 0];
const CONNACK_V5: &[u8] = &[0x20, 3, 0, 0, 0];
const DISCONNECT: &[u8] = &[0xE0, 0];

/// After this time without progress nothing more is on its way.
const PATIENCE: Duration = Duration::from_millis(100);

/// For a packet that is begun to be sent.
const PACKET_DEADLINE: Duration = Duration::from_secs(2);

/// Rules by which a CONNECT without a keep alive reaches the broker as it is.
fn rules() -> Rules {
    Rules {
        limits: Limits {
            max_keep_alive: 0,
            ..Limits::default()
        },
        ..Rules::default()
    }
}

/// A session under test, and both of its ends.
struct Rig {
    shared: Arc<Shared<Pipe>>,
    origin: Origin,
    client: DuplexStream,
    brokers: mpsc::UnboundedReceiver<DuplexStream>,
    drain: CancellationToken,
    session: JoinHandle<CloseReason>,
}

/// A broker at the other end of a pipe of this size.
struct Pipe(mpsc::UnboundedSender<DuplexStream>, usize);

impl Dial for Pipe {
    type Stream = DuplexStream;

    fn dial(
        &self,
        _: Option<Ends>,
        _: tokio::time::Instant,
    ) -> BoxFuture<'static, io::Result<DuplexStream>> {
        let (gate, broker) = tokio::io::duplex(self.1);
        let dialled = self
            .0
            .send(broker)
            .map_err(|_| io::ErrorKind::ConnectionRefused.into());
        Box::pin(async move { dialled.map(|()| gate) })
    }
}

impl Rig {
    /// A session whose streams hold this many bytes.
    fn start(service: &Scripted, pipe: usize) -> Self {
        Self::with_stall(service, pipe, Duration::from_secs(30))
    }

    fn with_stall(service: &Scripted, pipe: usize, write_stall: Duration) -> Self {
        Self::with_mount(service, pipe, write_stall, None)
    }

    fn with_mount(
        service: &Scripted,
        pipe: usize,
        write_stall: Duration,
        mount: Option<Template>,
    ) -> Self {
        let options = AuthzOptions {
            endpoints: vec![service.endpoint().parse().unwrap()],
            ..AuthzOptions::default()
        };
        let (dialled, brokers) = mpsc::unbounded_channel();
        let shared = Arc::new(Shared {
            authz: Authz::start(&options, v1::DataPlane::default()),
            upstream: Pipe(dialled, pipe),
            succession: Succession::default(),
            oversight: Oversight::default(),
            events: Events::default(),
            sampling: Sampling::default(),
            write_stall,
            packet_deadline: PACKET_DEADLINE,
            metrics: Metrics::default(),
            log: SessionLog::default(),
        });
        let origin = Origin {
            listener: "test".into(),
            attributes: Arc::default(),
            transport: v1::Transport::Tcp,
            rules: Arc::new(rules()),
            mount: mount.map(Arc::new),
            peer: ([192, 0, 2, 1], 4711).into(),
            local: Some(([198, 51, 100, 1], 1883).into()),
            accepted_at: tokio::time::Instant::now(),
            presented: Presented::default(),
        };
        Self::serve(shared, origin, brokers)
    }

    fn serve(
        shared: Arc<Shared<Pipe>>,
        origin: Origin,
        brokers: mpsc::UnboundedReceiver<DuplexStream>,
    ) -> Self {
        let (client, stream) = tokio::io::duplex(shared.upstream.1);
        let drain = CancellationToken::new();
        let session = tokio::spawn(session::serve(
            stream,
            origin.clone(),
            Arc::clone(&shared),
            (),
            drain.clone(),
        ));
        Self {
            shared,
            origin,
            client,
            brokers,
            drain,
            session,
        }
    }

    /// Connects, and returns the broker's end.
    async fn connect(&mut self, connect: &Connect, version: Version) -> DuplexStream {
        let hello = connect.encode(version);
        self.client.write_all(&hello).await.unwrap();
        let mut broker = self.brokers.recv().await.unwrap();
        assert_eq!(read(&mut broker, hello.len()).await, hello);
        broker
            .write_all(version.pick(CONNACK, CONNACK_V5))
            .await
            .unwrap();
        let first = read(&mut self.client, 2).await;
        assert_eq!(first[0], 0x20);
        read(&mut self.client, first[1].into()).await;
        broker
    }
}

/// Runs a test beside a service, whose runtime must not end inside the test's.
fn with_service(test: impl AsyncFnOnce(&Scripted)) {
    let service = Scripted::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        timeout(Duration::from_secs(30), test(&service))
            .await
            .expect("the test hangs");
    });
}

async fn read(stream: &mut DuplexStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).await.unwrap();
    bytes
}

async fn read_to_end(mut stream: DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    bytes
}

/// What a client says that is allowed all it asks for, and that may be said in one go.
fn conversation(version: Version) -> Vec<u8> {
    [
        Publish::new("a/b", "first").qos(1).id(1).encode(version),
        Subscribe::new(2)
            .filter("a/#", 1)
            .filter("b/+", 0)
            .encode(version),
        Publish::new("a/c", vec![b'x'; 3000])
            .qos(2)
            .id(3)
            .encode(version),
        PINGREQ.to_vec(),
        Publish::new("a/d", "last").encode(version),
        DISCONNECT.to_vec(),
    ]
    .concat()
}

/// PINGREQ overtakes what is being decided; all else keeps its order.
fn without_ping(bytes: &[u8]) -> Vec<u8> {
    let at = bytes.windows(2).position(|pair| pair == PINGREQ).unwrap();
    [&bytes[..at], &bytes[at + 2..]].concat()
}

#[test]
fn whatever_the_chunks_the_broker_gets_the_same_bytes() {
    with_service(async |service| {
        for version in [Version::V311, Version::V5] {
            for size in [1, 2, 3, 7, 64, 4096] {
                let mut rig = Rig::start(service, size.max(16));
                let hello = Connect::new("client").encode(version);
                let said = conversation(version);
                let all = [hello.clone(), said.clone()].concat();

                let mut client = rig.client;
                let talking = tokio::spawn(async move {
                    for chunk in all.chunks(size) {
                        client.write_all(chunk).await.unwrap();
                    }
                    read_to_end(client).await
                });
                let mut broker = rig.brokers.recv().await.unwrap();
                assert_eq!(read(&mut broker, hello.len()).await, hello);
                broker
                    .write_all(version.pick(CONNACK, CONNACK_V5))
                    .await
                    .unwrap();
                let heard = read(&mut broker, said.len()).await;
                assert_eq!(
                    without_ping(&heard),
                    without_ping(&said),
                    "chunks of {size}"
                );
                assert_eq!(read_to_end(broker).await, [0; 0]);
                assert_eq!(rig.session.await.unwrap(), CloseReason::ClientDisconnect);
                assert_eq!(talking.await.unwrap()[0], 0x20);
            }
        }
    });
}

#[test]
fn a_client_may_say_all_it_has_to_say_and_leave() {
    with_service(async |service| {
        let mut rig = Rig::start(service, 1 << 16);
        let hello = Connect::new("client").encode(Version::V311);
        let said = conversation(Version::V311);
        rig.client
            .write_all(&[hello.clone(), said.clone()].concat())
            .await
            .unwrap();
        rig.client.shutdown().await.unwrap();

        let mut broker = rig.brokers.recv().await.unwrap();
        assert_eq!(read(&mut broker, hello.len()).await, hello);
        broker.write_all(CONNACK).await.unwrap();
        let heard = read_to_end(broker).await;
        assert_eq!(without_ping(&heard), without_ping(&said));
        assert_eq!(rig.session.await.unwrap(), CloseReason::ClientDisconnect);
    });
}

#[test]
fn a_client_that_leaves_without_a_word_leaves_the_broker_without_one() {
    with_service(async |service| {
        let mut rig = Rig::start(service, 1 << 16);
        let broker = rig.connect(&Connect::new("client"), Version::V5).await;
        let last = Publish::new("a", "last").qos(1).id(1).encode(Version::V5);
        rig.client.write_all(&last).await.unwrap();
        drop(rig.client);
        // What was said before is decided and delivered; no DISCONNECT, so that the will is published.
        assert_eq!(read_to_end(broker).await, last);
        assert_eq!(rig.session.await.unwrap(), CloseReason::ClientGone);
    });
}

#[test]
fn a_refused_client_hears_why_though_it_goes_on_talking() {
    with_service(async |service| {
        let mut rig = Rig::start(service, 1 << 16);
        service.answer(|_| Answer::deny(ReasonCode::NotAuthorized));
        let hello = Connect::new("client").encode(Version::V311);
        let said = conversation(Version::V311);
        rig.client.write_all(&[hello, said].concat()).await.unwrap();
        assert_eq!(read(&mut rig.client, 4).await, [0x20, 2, 0, 5]);
        assert_eq!(read_to_end(rig.client).await, [0; 0]);
        assert_eq!(rig.session.await.unwrap(), CloseReason::ConnectDenied);
        assert!(
            rig.brokers.try_recv().is_err(),
            "the broker was never dialled"
        );
    });
}

#[test]
fn deliveries_pass_whatever_their_chunks() {
    with_service(async |service| {
        let mut rig = Rig::start(service, 64);
        let mut broker = rig.connect(&Connect::new("client"), Version::V5).await;
        let delivery: Vec<u8> = (1..=50)
            .flat_map(|id| {
                Publish::new("t", vec![b'y'; id * 7])
                    .qos(1)
                    .id(id as u16)
                    .encode(Version::V5)
            })
            .collect();
        let expected = delivery.clone();
        let telling = tokio::spawn(async move {
            for chunk in delivery.chunks(5) {
                broker.write_all(chunk).await.unwrap();
            }
            broker
        });
        assert_eq!(read(&mut rig.client, expected.len()).await, expected);
        // The broker says nothing more, and closes: the client is told nothing, as by the broker itself.
        drop(telling.await.unwrap());
        assert_eq!(read_to_end(rig.client).await, [0; 0]);
        assert_eq!(rig.session.await.unwrap(), CloseReason::BrokerGone);
    });
}

#[test]
fn a_client_that_does_not_read_is_not_read_for_and_then_left() {
    with_service(async |service| {
        let mut rig = Rig::with_stall(service, 64, Duration::from_secs(1));
        let mut broker = rig.connect(&Connect::new("client"), Version::V5).await;
        let delivery = Publish::new("t", vec![b'y'; 60_000]).encode(Version::V5);
        fill(&mut broker, &delivery.repeat(10)).await;
        assert_eq!(rig.session.await.unwrap(), CloseReason::ClientStalled);
    });
}

#[test]
fn a_broker_that_does_not_read_is_left_and_the_client_is_told() {
    with_service(async |service| {
        let mut rig = Rig::with_stall(service, 64, Duration::from_secs(1));
        let _broker = rig.connect(&Connect::new("client"), Version::V5).await;
        let message = Publish::new("t", vec![b'y'; 1000]).encode(Version::V5);
        rig.client.write_all(&message).await.unwrap();
        assert_eq!(read_to_end(rig.client).await, [0xE0, 2, 0x80, 0]);
        let reason = rig.session.await.unwrap();
        assert_eq!(reason, CloseReason::BrokerUnresponsive);
    });
}

#[test]
fn drain_says_goodbye_and_decides_what_was_read() {
    with_service(async |service| {
        let mut rig = Rig::start(service, 1 << 16);
        let broker = rig.connect(&Connect::new("client"), Version::V5).await;
        rig.drain.cancel();
        assert_eq!(read_to_end(rig.client).await, [0xE0, 2, 0x8B, 0]);
        assert_eq!(
            read_to_end(broker).await,
            [0; 0],
            "no DISCONNECT: the will is published"
        );
        assert_eq!(rig.session.await.unwrap(), CloseReason::Drain);
    });
}

/// Writes until nothing more is taken, for everything on the way is full. Tells how much that was.
async fn fill(stream: &mut DuplexStream, bytes: &[u8]) -> usize {
    let mut taken = 0;
    while let Ok(count) = timeout(PATIENCE, stream.write(&bytes[taken..])).await {
        taken += count.unwrap();
        assert!(taken < bytes.len(), "more was taken than may be held");
    }
    taken
}

/// Small messages that together exceed what a session holds for a peer.
fn many_messages(count: usize) -> Vec<u8> {
    Publish::new("t", vec![b'z'; 1000])
        .encode(Version::V5)
        .repeat(count)
}

#[test]
fn deliveries_go_on_when_a_slow_client_reads_again() {
    with_service(async |service| {
        let mut rig = Rig::start(service, 1024);
        let mut broker = rig.connect(&Connect::new("client"), Version::V5).await;
        let mut delivery = many_messages(1000);
        let expected = delivery.clone();
        let rest = delivery.split_off(fill(&mut broker, &delivery).await);
        let telling = tokio::spawn(async move {
            broker.write_all(&rest).await.unwrap();
            broker
        });
        assert_eq!(read(&mut rig.client, expected.len()).await, expected);
        drop(telling.await.unwrap());
    });
}

#[test]
fn messages_go_on_when_a_slow_broker_reads_again() {
    with_service(async |service| {
        let mut rig = Rig::start(service, 1024);
        let mut broker = rig.connect(&Connect::new("client"), Version::V5).await;
        let mut said = many_messages(2000);
        let expected = said.clone();
        let mut client = rig.client;
        let rest = said.split_off(fill(&mut client, &said).await);
        let talking = tokio::spawn(async move {
            client.write_all(&rest).await.unwrap();
            client
        });
        assert_eq!(read(&mut broker, expected.len()).await, expected);
        drop(talking.await.unwrap());
    });
}

#[test]
fn one_check_without_an_answer_takes_no_other_with_it() {
    with_service(async |service| {
        let hold = Hold::new();
        let held = hold.clone();
        service.answer(move |check| match check.topic() {
            "slow" => Answer::Allow.held_by(&held),
            _ => Answer::Allow,
        });
        let mut rig = Rig::start(service, 1 << 16);
        let mut broker = rig.connect(&Connect::new("client"), Version::V5).await;
        let slow = Publish::new("slow", "").qos(1).id(1).encode(Version::V5);
        rig.client.write_all(&slow).await.unwrap();
        // In a call of their own, when the first is on its way; all are answered at once.
        while service.checks().len() < 2 {
            tokio::task::yield_now().await;
        }
        let quick: Vec<u8> = (2..=15)
            .flat_map(|id| Publish::new("quick", "").qos(1).id(id).encode(Version::V5))
            .collect();
        rig.client.write_all(&quick).await.unwrap();
        assert_eq!(read(&mut broker, quick.len()).await, quick);
        assert_eq!(read(&mut rig.client, 5).await, [0x40, 3, 0, 1, 0x83]);
        hold.release();
    });
}

/// A session with a client that has begun to send a packet of this size, and time that goes by as the
/// test says.
async fn begin_packet(service: &Scripted, size: usize) -> (Rig, DuplexStream, Vec<u8>) {
    let mut rig = Rig::start(service, 1 << 20);
    let broker = rig.connect(&Connect::new("client"), Version::V5).await;
    let packet = Publish::new("t", vec![b'x'; size]).encode(Version::V5);
    tokio::time::pause();
    rig.client.write_all(&packet[..1]).await.unwrap();
    (rig, broker, packet)
}

#[test]
fn a_packet_that_comes_byte_by_byte_has_a_deadline() {
    with_service(async |service| {
        // 64 KiB have a second of their own.
        let (mut rig, broker, packet) = begin_packet(service, 65_536).await;
        let begun_at = tokio::time::Instant::now();
        let dribbling = tokio::spawn(async move {
            for byte in packet[1..].chunks(1) {
                tokio::time::sleep(Duration::from_millis(500)).await;
                if rig.client.write_all(byte).await.is_err() {
                    break;
                }
            }
            rig.client
        });
        assert_eq!(rig.session.await.unwrap(), CloseReason::PacketTimeout);
        let took = begun_at.elapsed();
        let allowed = PACKET_DEADLINE + Duration::from_secs(1);
        assert!(
            allowed < took && took < allowed + Duration::from_secs(2),
            "{took:?}"
        );
        assert_eq!(read_to_end(dribbling.await.unwrap()).await[0], 0xE0);
        assert_eq!(read_to_end(broker).await, [0; 0]);
    });
}

#[test]
fn a_packet_that_is_slow_and_in_time_passes() {
    with_service(async |service| {
        let (mut rig, mut broker, packet) = begin_packet(service, 9).await;
        for byte in packet[1..].chunks(1) {
            tokio::time::sleep(PACKET_DEADLINE / 15).await;
            rig.client.write_all(byte).await.unwrap();
        }
        // Whoever has begun nothing may be silent for as long as the keep alive says.
        tokio::time::resume();
        assert_eq!(read(&mut broker, packet.len()).await, packet);
        tokio::time::pause();
        tokio::time::sleep(PACKET_DEADLINE * 10).await;
        rig.client.write_all(&PINGREQ).await.unwrap();
        assert_eq!(read(&mut broker, 2).await, PINGREQ);
    });
}

#[test]
fn a_client_that_can_have_no_mount_is_not_let_in() {
    with_service(async |service| {
        // The service has given no name to the client.
        let mount = Some("{principal}/".parse().unwrap());
        let mut rig = Rig::with_mount(service, 1 << 16, Duration::from_secs(30), mount);
        let hello = Connect::new("client").encode(Version::V311);
        rig.client.write_all(&hello).await.unwrap();
        assert_eq!(read(&mut rig.client, 4).await, [0x20, 2, 0, 5]);
        assert_eq!(rig.session.await.unwrap(), CloseReason::ConnectDenied);
        assert!(
            rig.brokers.try_recv().is_err(),
            "the broker was never dialled"
        );
    });
}

/// What handshakes took of the deadline is gone for the CONNECT.
#[test]
fn the_deadline_counts_from_accept() {
    let service = Scripted::start();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut rig = Rig::start(&service, 64);
        rig.session.abort();
        let accepted_at = tokio::time::Instant::now();
        let deadline = rules().deadlines.handshake;
        tokio::time::advance(deadline / 2).await;
        let origin = Origin {
            accepted_at,
            ..rig.origin.clone()
        };
        rig.brokers.close();
        let rig = Rig::serve(Arc::clone(&rig.shared), origin, rig.brokers);
        assert_eq!(rig.session.await.unwrap(), CloseReason::HandshakeTimeout);
        // The client, who does not close, is given a second to read the goodbye.
        assert!(accepted_at.elapsed() <= deadline + Duration::from_secs(1));
    });
}
