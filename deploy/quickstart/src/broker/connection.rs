//! One client: its packets in, its messages out.

use super::{
    fields::Malformed,
    hub::{Delivery, Hub, Place},
    outgoing::Outgoing,
    packet::{
        Connect, Frame, Packet, Subscription, Version, put_ack, put_codes, put_connack,
        put_disconnect, split_frame,
    },
};
use bytes::BytesMut;
use std::{collections::HashSet, io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, tcp::OwnedReadHalf},
    sync::mpsc,
    time::{Instant, timeout, timeout_at},
};

/// From accept to CONNECT.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Written at once, at most; then the client has to take it before it is given more.
const BURST: usize = 64 * 1024;

/// Why a connection ended that should not have.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Serves a client from CONNECT to its end, which may be one for its will.
pub(super) async fn serve(stream: TcpStream, hub: &Hub) -> Result<(), Error> {
    let (reader, mut writer) = stream.into_split();
    let mut frames = Frames::new(reader);

    let Ok(first) = timeout(HANDSHAKE, frames.next()).await else {
        return Ok(());
    };
    let Some(frame) = first? else {
        return Ok(());
    };
    let mut connect = Connect::read(frame)?;
    let will = connect.will.take();
    let named = !connect.client_id.is_empty();
    let (place, mut inbox) = hub.attach(std::mem::take(&mut connect.client_id));

    let mut session = Session {
        hub,
        place: &place,
        version: connect.version,
        outgoing: Outgoing::new(&connect),
        half_received: HashSet::new(),
        keep_alive: keep_alive(&connect),
        last_packet: Instant::now(),
        out: BytesMut::new(),
    };
    let assigned = (!named).then_some(&*place.client_id);
    put_connack(&mut session.out, connect.version, assigned);

    let ended = loop {
        if let Err(error) = writer.write_all(&session.out).await {
            break Err(error.into());
        }
        session.out.clear();
        match session.turn(&mut frames, &mut inbox).await {
            Ok(None) => {}
            Ok(Some(ending)) => break Ok(ending),
            Err(error) => break Err(error),
        }
    };
    // What was still to be said, such as DISCONNECT, if anyone listens.
    let _ = writer.write_all(&session.out).await;

    let lost = !matches!(ended, Ok(Ending::Disconnected));
    if let Some(will) = will.filter(|_| lost) {
        hub.publish(&place, will);
    }
    hub.detach(&place);
    match ended {
        // To be cut off is nothing special, for a client.
        Err(Error::Io(_)) | Ok(_) => Ok(()),
        Err(error) => Err(error),
    }
}

/// How long a client may say nothing [MQTT-3.1.2-22].
fn keep_alive(connect: &Connect) -> Duration {
    match connect.keep_alive {
        0 => Duration::from_secs(u32::MAX.into()),
        seconds => Duration::from_secs(seconds.into()) * 3 / 2,
    }
}

/// How a connection ends.
enum Ending {
    /// The client said so, and that its will is void.
    Disconnected,
    /// Any other way.
    Lost,
}

/// What a client is in the middle of.
struct Session<'a> {
    hub: &'a Hub,
    place: &'a Place,
    version: Version,
    outgoing: Outgoing,
    /// Packet ids of messages with QoS 2 that were handed on, but not released yet.
    half_received: HashSet<u16>,
    keep_alive: Duration,
    last_packet: Instant,
    out: BytesMut,
}

impl Session<'_> {
    /// Waits for something to do and does it, with all else that needs no waiting.
    async fn turn(
        &mut self,
        frames: &mut Frames,
        inbox: &mut mpsc::Receiver<Delivery>,
    ) -> Result<Option<Ending>, Error> {
        let patience = self.last_packet + self.keep_alive;
        tokio::select! {
            frame = timeout_at(patience, frames.next()) => match frame {
                Ok(frame) => match frame? {
                    Some(frame) => self.take(frame, frames),
                    None => Ok(Some(Ending::Lost)),
                },
                Err(_) => Ok(Some(self.expel(0x8D))),
            },
            delivery = inbox.recv(), if self.outgoing.has_room() => match delivery {
                Some(delivery) => {
                    self.give(delivery, inbox);
                    Ok(None)
                }
                // Somebody else connected with this client's id.
                None => Ok(Some(self.expel(0x8E))),
            },
        }
    }

    /// Handles a packet, and those that have arrived behind it.
    fn take(&mut self, first: Frame, frames: &mut Frames) -> Result<Option<Ending>, Error> {
        self.last_packet = Instant::now();
        let mut next = Some(first);
        while let Some(frame) = next {
            let ending = self.handle(Packet::read(frame, self.version)?);
            if ending.is_some() {
                return Ok(ending);
            }
            next = if self.out.len() < BURST {
                split_frame(&mut frames.arrived)?
            } else {
                None
            };
        }
        Ok(None)
    }

    /// Writes a message, and those that are ready behind it.
    fn give(&mut self, first: Delivery, inbox: &mut mpsc::Receiver<Delivery>) {
        self.outgoing.deliver(&mut self.out, first);
        while self.outgoing.has_room() && self.out.len() < BURST {
            let Ok(delivery) = inbox.try_recv() else {
                break;
            };
            self.outgoing.deliver(&mut self.out, delivery);
        }
    }

    fn expel(&mut self, reason: u8) -> Ending {
        put_disconnect(&mut self.out, self.version, reason);
        Ending::Lost
    }

    fn handle(&mut self, packet: Packet) -> Option<Ending> {
        let out = &mut self.out;
        match packet {
            Packet::Publish { id, message } => {
                let qos = message.qos;
                // A message that was handed on already came a second time [MQTT-4.3.3-10].
                if qos < 2 || self.half_received.insert(id) {
                    self.hub.publish(self.place, message);
                }
                match qos {
                    0 => {}
                    1 => put_ack(out, 0x40, id),
                    _ => put_ack(out, 0x50, id),
                }
            }
            Packet::PubRel { id } => {
                self.half_received.remove(&id);
                put_ack(out, 0x70, id);
            }
            Packet::PubRec { id, refused: false } => put_ack(out, 0x62, id),
            Packet::PubAck { id } | Packet::PubComp { id } | Packet::PubRec { id, .. } => {
                self.outgoing.done(out, id);
            }
            Packet::Subscribe { id, subscriptions } => self.subscribe(id, subscriptions),
            Packet::Unsubscribe { id, filters } => {
                let filters = filters.iter();
                let ended = filters.map(|filter| self.hub.unsubscribe(self.place, filter));
                let codes: Vec<u8> = ended.map(|was| if was { 0x00 } else { 0x11 }).collect();
                match self.version {
                    Version::V3 => put_codes(out, 0xB0, self.version, id, &[]),
                    Version::V5 => put_codes(out, 0xB0, self.version, id, &codes),
                }
            }
            Packet::PingReq => out.extend_from_slice(&[0xD0, 0]),
            Packet::Disconnect { with_will: true } => return Some(Ending::Lost),
            Packet::Disconnect { with_will: false } => return Some(Ending::Disconnected),
        }
        None
    }

    fn subscribe(&mut self, id: u16, subscriptions: Vec<Subscription>) {
        let mut retained = Vec::new();
        let codes = subscriptions.into_iter().map(|subscription| {
            if subscription.filter.starts_with("$share/") {
                return match self.version {
                    Version::V3 => 0x80,
                    Version::V5 => 0x9E,
                };
            }
            let granted = subscription.qos;
            retained.extend(self.hub.subscribe(self.place, subscription));
            granted
        });
        let codes: Vec<u8> = codes.collect();
        put_codes(&mut self.out, 0x90, self.version, id, &codes);
        for delivery in retained {
            self.outgoing.deliver(&mut self.out, delivery);
        }
    }
}

/// The client's packets.
struct Frames {
    reader: OwnedReadHalf,
    arrived: BytesMut,
}

impl Frames {
    fn new(reader: OwnedReadHalf) -> Self {
        Self {
            reader,
            arrived: BytesMut::new(),
        }
    }

    /// The next packet, or `None` at the end. Nothing is lost if the caller stops waiting.
    async fn next(&mut self) -> Result<Option<Frame>, Error> {
        loop {
            if let Some(frame) = split_frame(&mut self.arrived)? {
                return Ok(Some(frame));
            }
            if self.reader.read_buf(&mut self.arrived).await? == 0 {
                return Ok(None);
            }
        }
    }
}
