//! An MQTT client that sends any bytes, in any pieces, and says what it expects back.

use std::{
    collections::VecDeque,
    io::{ErrorKind, Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use socket2::{Domain, Protocol, Socket, Type};

use crate::{
    door::Wire,
    packet::{
        Disconnect, Encode, Kind, PINGREQ, Packet, Publish, Subscribe, Version, ack, split_frame,
    },
    wait::PATIENCE,
};

/// How the other side may end a connection, beside the usual way; TLS ends without a word if the peer cuts it.
const ENDS: [ErrorKind; 2] = [ErrorKind::ConnectionReset, ErrorKind::UnexpectedEof];

/// A connection to a gate or broker. Dropping it closes it without a DISCONNECT.
#[derive(Debug)]
pub struct Client {
    stream: Box<dyn Wire>,
    version: Version,
    unread: Vec<u8>,
    /// Packets that were read while another one was waited for.
    put_by: VecDeque<Packet>,
    last_id: u16,
}

impl Client {
    /// Connects on the TCP level.
    #[must_use]
    #[track_caller]
    pub fn open(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect(address)
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self::on(stream, version)
    }

    /// Connects on the TCP level from an address of this machine, such as 127.0.0.2.
    #[must_use]
    #[track_caller]
    pub fn open_from(source: Ipv4Addr, address: SocketAddr, version: Version) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP));
        let socket = socket.expect("a socket");
        let source = SocketAddr::from((source, 0));
        socket.bind(&source.into()).expect("a local address");
        socket
            .connect(&address.into())
            .unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"));
        Self::on(socket.into(), version)
    }

    fn on(stream: TcpStream, version: Version) -> Self {
        stream.set_nodelay(true).expect("a socket without Nagle");
        stream
            .set_read_timeout(Some(PATIENCE))
            .expect("a socket with a read timeout");
        Self::over(stream, version)
    }

    /// A client on any connection, which has a read timeout.
    #[must_use]
    pub fn over(stream: impl Wire + 'static, version: Version) -> Self {
        Self {
            stream: Box::new(stream),
            version,
            unread: Vec::new(),
            put_by: VecDeque::new(),
            last_id: 0,
        }
    }

    /// The version that this client speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.version
    }

    /// Sends a packet.
    #[track_caller]
    pub fn send(&mut self, packet: &impl Encode) {
        self.send_raw(&packet.encode(self.version));
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub fn send_raw(&mut self, bytes: &[u8]) {
        self.stream
            .write_all(bytes)
            .and_then(|()| self.stream.flush())
            .expect("the other side still reads");
    }

    /// Sends bytes that the other side may well refuse to read to the end.
    pub fn send_in_vain(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
        let _ = self.stream.flush();
    }

    /// Sends bytes in pieces of a size.
    ///
    /// The pause between the pieces lets most of them become TCP segments of their own; nothing
    /// depends on it.
    pub fn send_in_pieces(&mut self, bytes: &[u8], size: usize) {
        for piece in bytes.chunks(size) {
            if self.stream.write_all(piece).is_err() {
                return;
            }
            thread::sleep(Duration::from_micros(200));
        }
    }

    /// Sends a PUBLISH under the next packet identifier, which is returned.
    #[track_caller]
    pub fn publish(&mut self, qos: u8, topic: &str, payload: impl AsRef<[u8]>) -> u16 {
        let id = self.next_id();
        self.send(&Publish::new(topic, payload).qos(qos).id(id));
        id
    }

    /// Sends a SUBSCRIBE for filters at QoS 2 under the next packet identifier, which is returned.
    #[track_caller]
    pub fn subscribe(&mut self, filters: &[&str]) -> u16 {
        let id = self.next_id();
        let packet = filters.iter().fold(Subscribe::new(id), |packet, &filter| {
            packet.filter(filter, 2)
        });
        self.send(&packet);
        id
    }

    /// A packet identifier that was not used yet.
    pub fn next_id(&mut self) -> u16 {
        self.last_id += 1;
        self.last_id
    }

    /// Says goodbye with DISCONNECT, and expects the end.
    #[track_caller]
    pub fn leave(&mut self) {
        self.send(&Disconnect::new(0));
        self.expect_closed();
    }

    /// Reads the next packet, or `None` when the connection was closed instead.
    #[track_caller]
    pub fn try_next(&mut self) -> Option<Packet> {
        self.put_by.pop_front().or_else(|| self.read_packet())
    }

    #[track_caller]
    fn read_packet(&mut self) -> Option<Packet> {
        loop {
            if let Some(bytes) = split_frame(&mut self.unread) {
                return Some(Packet::new(self.version, bytes));
            }
            let mut piece = [0; 16 * 1024];
            match self.stream.read(&mut piece) {
                Ok(0) => return self.at_the_end(),
                Ok(length) => self.unread.extend(&piece[..length]),
                Err(error) if ENDS.contains(&error.kind()) => return self.at_the_end(),
                // The program was stopped for a while: who waits with a timeout is told so.
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    panic!("waited {PATIENCE:?} in vain for a packet or the end: {error}")
                }
            }
        }
    }

    fn at_the_end(&self) -> Option<Packet> {
        assert!(
            self.unread.is_empty(),
            "closed within a packet: {:02x?}",
            self.unread
        );
        None
    }

    /// Reads the next packet.
    #[track_caller]
    pub fn next_packet(&mut self) -> Packet {
        self.try_next()
            .expect("a packet, but the connection was closed")
    }

    /// Expects a packet of a kind.
    #[track_caller]
    pub fn expect(&mut self, kind: Kind) -> Packet {
        let packet = self.next_packet();
        assert_eq!(packet.kind(), kind, "got {packet:?}");
        packet
    }

    /// Expects CONNACK with a return or reason code.
    #[track_caller]
    pub fn expect_connack(&mut self, code: u8) -> Packet {
        let packet = self.expect(Kind::Connack);
        assert_eq!(packet.codes(), [code], "code in {packet:?}");
        packet
    }

    /// Expects CONNACK with a code, and then the end: how a CONNECT is refused.
    #[track_caller]
    pub fn expect_refused(&mut self, code: u8) {
        self.expect_connack(code);
        self.expect_closed();
    }

    /// Expects CONNACK with any of some codes, and then the end.
    #[track_caller]
    pub fn expect_refused_with_any(&mut self, codes: &[u8]) {
        let packet = self.expect(Kind::Connack);
        assert!(
            codes.contains(&packet.codes()[0]),
            "none of {codes:02x?} is in {packet:?}"
        );
        self.expect_closed();
    }

    /// Expects an acknowledgement of a kind, with a packet identifier and a reason code. In MQTT
    /// 3.1.1, whose acknowledgements have none, the code can only be 0.
    #[track_caller]
    pub fn expect_ack(&mut self, kind: Kind, id: u16, code: u8) {
        let packet = self.expect(kind);
        assert_eq!(
            (packet.id(), packet.codes()),
            (id, vec![code]),
            "in {packet:?}"
        );
    }

    /// Expects SUBACK with a code for each filter.
    #[track_caller]
    pub fn expect_suback(&mut self, id: u16, codes: &[u8]) {
        let packet = self.expect(Kind::Suback);
        assert_eq!(
            (packet.id(), packet.codes()),
            (id, codes.to_vec()),
            "in {packet:?}"
        );
    }

    /// Expects a PUBLISH, and acknowledges it as far as its QoS wants.
    #[track_caller]
    pub fn expect_publish(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> Packet {
        let packet = self.expect_publish_only(topic, payload);
        self.acknowledge(&packet);
        packet
    }

    /// Acknowledges a PUBLISH as far as its QoS wants. Other packets may come in between.
    #[track_caller]
    pub fn acknowledge(&mut self, packet: &Packet) {
        match packet.qos() {
            0 => {}
            1 => self.send_raw(&ack(Kind::Puback, packet.id())),
            _ => {
                self.send_raw(&ack(Kind::Pubrec, packet.id()));
                self.wait_for(|found| found.kind() == Kind::Pubrel && found.id() == packet.id());
                self.send_raw(&ack(Kind::Pubcomp, packet.id()));
            }
        }
    }

    /// Reads on until a packet comes that is wanted, and puts by what comes before it.
    #[track_caller]
    pub fn wait_for(&mut self, wanted: impl Fn(&Packet) -> bool) -> Packet {
        if let Some(index) = self.put_by.iter().position(&wanted) {
            return self.put_by.remove(index).expect("it was just found");
        }
        loop {
            let packet = self
                .read_packet()
                .expect("a packet, but the connection was closed");
            if wanted(&packet) {
                return packet;
            }
            self.put_by.push_back(packet);
        }
    }

    /// Goes through the acknowledgements of a successful PUBLISH: none, PUBACK, or the whole QoS 2
    /// exchange. "No matching subscribers" is a success too.
    #[track_caller]
    pub fn complete(&mut self, qos: u8, id: u16) {
        match qos {
            0 => {}
            1 => self.expect_success(Kind::Puback, id),
            _ => {
                self.expect_success(Kind::Pubrec, id);
                self.send_raw(&ack(Kind::Pubrel, id));
                self.expect_success(Kind::Pubcomp, id);
            }
        }
    }

    #[track_caller]
    fn expect_success(&mut self, kind: Kind, id: u16) {
        let packet = self.expect(kind);
        assert_eq!(packet.id(), id, "in {packet:?}");
        assert!(packet.codes()[0] < 0x80, "refused by {packet:?}");
    }

    /// Expects DISCONNECT with a reason code and then the end; in MQTT 3.1.1, where a server has no
    /// DISCONNECT, the bare end.
    #[track_caller]
    pub fn expect_end(&mut self, code: u8) {
        if self.version == Version::V5 {
            let packet = self.expect(Kind::Disconnect);
            assert_eq!(packet.codes(), [code], "code in {packet:?}");
        }
        self.expect_closed();
    }

    /// Expects the end of the connection, and nothing before it.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        if let Some(packet) = self.try_next() {
            panic!("the end of the connection, but got {packet:?}");
        }
    }

    /// Expects a PUBLISH, and acknowledges nothing.
    #[track_caller]
    pub fn expect_publish_only(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> Packet {
        let packet = self.expect(Kind::Publish);
        assert_eq!(packet.topic(), topic, "in {packet:?}");
        assert_eq!(packet.payload(), payload.as_ref(), "in {packet:?}");
        packet
    }

    /// Proves that nothing is on its way: a PINGREQ is answered, and nothing comes before that.
    #[track_caller]
    pub fn expect_nothing_before_pong(&mut self) {
        self.send_raw(&PINGREQ);
        self.expect(Kind::Pingresp);
    }

    /// Reads whatever comes until the connection is closed.
    #[track_caller]
    pub fn drain(&mut self) -> Vec<Packet> {
        std::iter::from_fn(|| self.try_next()).collect()
    }

    /// Reads all bytes until the connection ends, packets or not.
    #[must_use]
    pub fn into_bytes(mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.unread);
        let _ = self.stream.read_to_end(&mut bytes);
        bytes
    }

    /// Whether the next thing to be read is an error of the transport.
    pub fn reads_an_error(&mut self) -> bool {
        self.stream.read(&mut [0; 1]).is_err()
    }

    /// Says that nothing more will be sent, and goes on reading.
    pub fn shut_down_writing(&mut self) {
        self.stream.shut_down_writing();
    }
}
