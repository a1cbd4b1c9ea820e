//! A small MQTT 5 client.

use anyhow::{bail, ensure};
use bytes::BytesMut;
use mqttbytes::{
    Error, QoS, v5,
    v5::{Connect, Disconnect, Packet, Publish, Subscribe, SubscribeFilter},
};
use std::{collections::VecDeque, fmt, net::SocketAddr};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// Largest packet that the client reads.
const LARGEST: usize = 64 * 1024;

/// One connection.
pub(super) struct Client {
    stream: TcpStream,
    arrived: BytesMut,
    messages: VecDeque<Publish>,
    last_id: u16,
}

/// What the client saw.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// An acknowledgement with its reason codes.
    Codes(&'static str, Vec<u8>),
    /// A message: its topic and payload.
    Message(String),
}

impl Client {
    pub(super) async fn new(gate: SocketAddr) -> std::io::Result<Self> {
        Ok(Self {
            stream: TcpStream::connect(gate).await?,
            arrived: BytesMut::new(),
            messages: VecDeque::new(),
            last_id: 0,
        })
    }

    pub(super) async fn connect(&mut self, user: &str, password: &str) -> anyhow::Result<Answer> {
        let mut connect = Connect::new("quickstart-demo");
        connect.set_login(user, password);
        self.send(|out| connect.write(out)).await?;
        match self.receive().await? {
            Packet::ConnAck(connack) => Ok(Answer::codes("CONNACK", &[connack.code as u8])),
            other => bail!("expected CONNACK, got {other:?}"),
        }
    }

    /// Subscribes to these filters in one packet.
    pub(super) async fn subscribe(&mut self, filters: &[&str]) -> anyhow::Result<Answer> {
        let filters = filters.iter();
        let filters = filters.map(|it| SubscribeFilter::new((*it).to_owned(), QoS::AtLeastOnce));
        let mut subscribe = Subscribe::new_many(filters);
        subscribe.pkid = self.next_id();
        self.send(|out| subscribe.write(out)).await?;
        match self.receive_answer().await? {
            Packet::SubAck(suback) if suback.pkid == subscribe.pkid => {
                let codes = suback.return_codes.into_iter();
                Ok(Answer::Codes(
                    "SUBACK",
                    codes.map(|code| code as u8).collect(),
                ))
            }
            other => bail!("expected SUBACK, got {other:?}"),
        }
    }

    /// Publishes at QoS 1.
    pub(super) async fn publish(&mut self, topic: &str, payload: &str) -> anyhow::Result<Answer> {
        let mut publish = Publish::new(topic, QoS::AtLeastOnce, payload);
        publish.pkid = self.next_id();
        self.send(|out| publish.write(out)).await?;
        match self.receive_answer().await? {
            Packet::PubAck(puback) if puback.pkid == publish.pkid => {
                Ok(Answer::codes("PUBACK", &[puback.reason as u8]))
            }
            other => bail!("expected PUBACK, got {other:?}"),
        }
    }

    /// The next message.
    pub(super) async fn message(&mut self) -> anyhow::Result<Answer> {
        let message = match self.messages.pop_front() {
            Some(message) => message,
            None => match self.receive().await? {
                Packet::Publish(message) => message,
                other => bail!("expected a message, got {other:?}"),
            },
        };
        let payload = String::from_utf8_lossy(&message.payload);
        Ok(Answer::Message(format!("{} {payload}", message.topic)))
    }

    pub(super) async fn disconnect(&mut self) -> anyhow::Result<()> {
        self.send(|out| Disconnect::new().write(out)).await
    }

    /// The next packet that is no message. Messages may come before it.
    async fn receive_answer(&mut self) -> anyhow::Result<Packet> {
        loop {
            match self.receive().await? {
                Packet::Publish(message) => self.messages.push_back(message),
                other => return Ok(other),
            }
        }
    }

    async fn receive(&mut self) -> anyhow::Result<Packet> {
        loop {
            match v5::read(&mut self.arrived, LARGEST) {
                Ok(packet) => return Ok(packet),
                Err(Error::InsufficientBytes(_)) => {}
                Err(error) => bail!("cannot read a packet: {error}"),
            }
            let read = self.stream.read_buf(&mut self.arrived).await?;
            ensure!(read > 0, "the gate closed the connection");
        }
    }

    async fn send(
        &mut self,
        write: impl FnOnce(&mut BytesMut) -> Result<usize, Error>,
    ) -> anyhow::Result<()> {
        let mut out = BytesMut::new();
        if let Err(error) = write(&mut out) {
            bail!("cannot write a packet: {error}");
        }
        self.stream.write_all(&out).await?;
        Ok(())
    }

    fn next_id(&mut self) -> u16 {
        self.last_id += 1;
        self.last_id
    }
}

impl Answer {
    pub(super) fn codes(packet: &'static str, codes: &[u8]) -> Self {
        Self::Codes(packet, codes.to_vec())
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message(message) => write!(f, "{message}"),
            Self::Codes(packet, codes) => {
                let codes = codes.iter();
                let told = codes.map(|code| format!("0x{code:02X} {}", meaning(packet, *code)));
                write!(f, "{packet} {}", told.collect::<Vec<_>>().join(", "))
            }
        }
    }
}

fn meaning(packet: &str, code: u8) -> &'static str {
    match (packet, code) {
        ("SUBACK", 0x00) => "granted QoS 0",
        ("SUBACK", 0x01) => "granted QoS 1",
        ("SUBACK", 0x02) => "granted QoS 2",
        (_, 0x00) => "success",
        (_, 0x83) => "implementation specific error",
        (_, 0x86) => "bad user name or password",
        (_, 0x87) => "not authorized",
        (_, 0x88) => "server unavailable",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_with_code_and_meaning() {
        let suback = Answer::codes("SUBACK", &[0x01, 0x87]);
        let told = "SUBACK 0x01 granted QoS 1, 0x87 not authorized";
        assert_eq!(suback.to_string(), told);
        let puback = Answer::codes("PUBACK", &[0x00]);
        assert_eq!(puback.to_string(), "PUBACK 0x00 success");
    }
}
