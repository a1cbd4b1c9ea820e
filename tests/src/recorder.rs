//! A broker of ours that accepts anything, answers as a broker should, and remembers every byte.
//!
//! It routes nothing. Whatever it was sent is in its record, so "the broker never saw it" is a
//! statement about [`Recorder::packets`].

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::{
    background::{self, Task},
    packet::{
        Connack, Encode, Kind, PINGRESP, Packet, Version, ack, frame, split_frame, string, suback,
    },
    wait::eventually,
};

/// What to do about a packet.
#[derive(Debug, Clone)]
pub enum Reply {
    /// What a broker that agrees with everything would do.
    Usual,
    /// These bytes.
    Bytes(Vec<u8>),
    /// Nothing at all.
    Silence,
    /// These bytes, then the end of the connection.
    Close(Vec<u8>),
}

/// A recording broker on a port of its own.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    record: Arc<Record>,
    _task: Task,
}

type Manner = Arc<dyn Fn(&Packet) -> Reply + Send + Sync>;

struct Record {
    connections: Mutex<Vec<Connection>>,
    manner: Mutex<Manner>,
    /// The usual answer to CONNECT.
    connack: Mutex<Connack>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Record").field(&self.connections).finish()
    }
}

/// What is known about one connection.
#[derive(Debug)]
struct Connection {
    version: Version,
    packets: Vec<Packet>,
    closed: bool,
    to_peer: mpsc::UnboundedSender<ToPeer>,
}

#[derive(Debug)]
enum ToPeer {
    Send(Vec<u8>),
    Close,
}

impl Recorder {
    /// Starts a broker that agrees with everything.
    #[must_use]
    pub fn start() -> Self {
        let listener = background::block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let record = Arc::new(Record {
            connections: Mutex::default(),
            manner: Mutex::new(Arc::new(|_| Reply::Usual)),
            connack: Mutex::default(),
        });
        Self {
            address,
            _task: background::spawn(accept(listener, Arc::clone(&record))),
            record,
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, replies to packets as the closure says.
    pub fn reply_with(&self, manner: impl Fn(&Packet) -> Reply + Send + Sync + 'static) {
        *self.record.manner.lock().unwrap() = Arc::new(manner);
    }

    /// From now on, usually answers CONNECT in this way.
    pub fn accept_with(&self, connack: Connack) {
        *self.record.connack.lock().unwrap() = connack;
    }

    /// From now on, replies to packets of one kind as the closure says, and as usual to others.
    pub fn reply_to(&self, kind: Kind, manner: impl Fn(&Packet) -> Reply + Send + Sync + 'static) {
        self.reply_with(move |packet| match packet.kind() == kind {
            true => manner(packet),
            false => Reply::Usual,
        });
    }

    /// From now on, replies as usual.
    pub fn reply_as_usual(&self) {
        self.reply_with(|_| Reply::Usual);
    }

    /// How many connections there were.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.lock().len()
    }

    /// All packets that one connection brought, in order.
    #[must_use]
    pub fn connection(&self, index: usize) -> Vec<Packet> {
        self.lock()[index].packets.clone()
    }

    /// The kinds of the packets that one connection brought, in order.
    #[must_use]
    pub fn kinds(&self, index: usize) -> Vec<Kind> {
        self.connection(index).iter().map(Packet::kind).collect()
    }

    /// All packets of a kind that any connection brought.
    #[must_use]
    pub fn packets(&self, kind: Kind) -> Vec<Packet> {
        self.lock()
            .iter()
            .flat_map(|connection| &connection.packets)
            .filter(|packet| packet.kind() == kind)
            .cloned()
            .collect()
    }

    /// How many packets of a kind there were.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        let connections = self.lock();
        let packets = connections
            .iter()
            .flat_map(|connection| &connection.packets);
        packets.filter(|packet| packet.kind() == kind).count()
    }

    /// The topics of all PUBLISH packets so far.
    #[must_use]
    pub fn topics(&self) -> Vec<String> {
        self.packets(Kind::Publish)
            .iter()
            .map(Packet::topic)
            .collect()
    }

    /// The filters of all SUBSCRIBE packets so far.
    #[must_use]
    pub fn filters(&self) -> Vec<String> {
        self.packets(Kind::Subscribe)
            .iter()
            .flat_map(Packet::filters)
            .collect()
    }

    /// Waits until there are at least `count` packets of a kind, and returns them.
    #[track_caller]
    pub fn wait_for(&self, kind: Kind, count: usize) -> Vec<Packet> {
        eventually(&format!("{count} {kind:?} at the broker"), || {
            Some(self.packets(kind)).filter(|packets| packets.len() >= count)
        })
    }

    /// Waits until a connection is closed by the other side.
    #[track_caller]
    pub fn wait_closed(&self, index: usize) {
        eventually("the connection to the broker is closed", || {
            self.lock()
                .get(index)
                .is_some_and(|connection| connection.closed)
                .then_some(())
        });
    }

    /// Sends a packet on a connection, in the version of its CONNECT.
    pub fn send_packet(&self, index: usize, packet: &impl Encode) {
        let version = self.lock()[index].version;
        self.send(index, packet.encode(version));
    }

    /// Sends bytes on a connection.
    pub fn send(&self, index: usize, bytes: Vec<u8>) {
        let _ = self.lock()[index].to_peer.send(ToPeer::Send(bytes));
    }

    /// Closes a connection.
    pub fn close(&self, index: usize) {
        let _ = self.lock()[index].to_peer.send(ToPeer::Close);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.record.connections.lock().unwrap()
    }
}

async fn accept(listener: TcpListener, record: Arc<Record>) {
    while let Ok((stream, _)) = listener.accept().await {
        let (to_peer, from_test) = mpsc::unbounded_channel();
        let index = record.open(to_peer);
        let record = Arc::clone(&record);
        tokio::spawn(async move {
            // An error here is the other side going away, which is what gets recorded.
            let _ = serve(stream, index, &record, from_test).await;
            record.connections.lock().unwrap()[index].closed = true;
        });
    }
}

async fn serve(
    mut stream: TcpStream,
    index: usize,
    record: &Record,
    mut from_test: mpsc::UnboundedReceiver<ToPeer>,
) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut unread = Vec::new();
    let mut version = Version::V311;
    let mut piece = vec![0; 16 * 1024];
    loop {
        tokio::select! {
            length = stream.read(&mut piece) => {
                let length = length?;
                if length == 0 {
                    return Ok(());
                }
                unread.extend_from_slice(&piece[..length]);
            }
            wish = from_test.recv() => match wish {
                Some(ToPeer::Send(bytes)) => stream.write_all(&bytes).await?,
                Some(ToPeer::Close) | None => return Ok(()),
            }
        }
        let mut answer = Vec::new();
        while let Some(bytes) = split_frame(&mut unread) {
            version = version_of(&bytes).unwrap_or(version);
            let packet = Packet::new(version, bytes);
            let reply = record.note(index, &packet, version);
            match reply {
                Reply::Usual => answer.extend(record.usual_reply(&packet, version)),
                Reply::Bytes(bytes) => answer.extend(bytes),
                Reply::Silence => {}
                Reply::Close(bytes) => {
                    answer.extend(bytes);
                    return stream.write_all(&answer).await;
                }
            }
        }
        stream.write_all(&answer).await?;
    }
}

impl Record {
    fn open(&self, to_peer: mpsc::UnboundedSender<ToPeer>) -> usize {
        let mut connections = self.connections.lock().unwrap();
        connections.push(Connection {
            version: Version::V311,
            packets: Vec::new(),
            closed: false,
            to_peer,
        });
        connections.len() - 1
    }

    /// Records a packet and says what to do about it.
    fn note(&self, index: usize, packet: &Packet, version: Version) -> Reply {
        let connection = &mut self.connections.lock().unwrap()[index];
        connection.version = version;
        connection.packets.push(packet.clone());
        let manner = Arc::clone(&self.manner.lock().unwrap());
        manner(packet)
    }

    /// What a broker that agrees with everything says to a packet.
    fn usual_reply(&self, packet: &Packet, version: Version) -> Vec<u8> {
        match packet.kind() {
            Kind::Connect => self.connack.lock().unwrap().encode(version),
            _ => usual_reply(packet, version),
        }
    }
}

/// The version that a CONNECT asks for.
fn version_of(packet: &[u8]) -> Option<Version> {
    let is_connect = packet[0] >> 4 == Kind::Connect as u8;
    let asks_for = |version: &Version| {
        let name = [&string(version.protocol_name())[..], &[*version as u8]].concat();
        packet[1..]
            .windows(name.len())
            .take(5)
            .any(|window| window == name)
    };
    Version::ALL
        .into_iter()
        .find(asks_for)
        .filter(|_| is_connect)
}

/// What a broker that agrees with everything says to a packet other than CONNECT.
fn usual_reply(packet: &Packet, version: Version) -> Vec<u8> {
    match packet.kind() {
        Kind::Publish => match packet.qos() {
            0 => Vec::new(),
            1 => ack(Kind::Puback, packet.id()),
            _ => ack(Kind::Pubrec, packet.id()),
        },
        Kind::Pubrec => ack(Kind::Pubrel, packet.id()),
        Kind::Pubrel => ack(Kind::Pubcomp, packet.id()),
        Kind::Subscribe => suback(version, packet.id(), &packet.requested_qos()),
        Kind::Unsubscribe => {
            let codes = vec![0; version.pick(0, packet.filters().len())];
            let no_properties: &[u8] = version.pick(&[], &[0]);
            frame(
                0xB0,
                &[&packet.id().to_be_bytes()[..], no_properties, &codes].concat(),
            )
        }
        Kind::Pingreq => PINGRESP.to_vec(),
        _ => Vec::new(),
    }
}
