//! MQTT over WebSocket (RFC 6455, MQTT 5 §6), as a server: the payloads of all binary messages are one stream
//! of bytes.
//!
//! Nothing is gathered: what comes is unmasked where it landed, and what goes is written from where it is, with
//! the header of a frame in front. So a connection that is idle holds no buffer, and no frame makes room for
//! what it announces.

mod decode;
mod upgrade;

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use self::decode::{Decoder, Received};

pub(crate) use self::upgrade::is_origin;
pub(super) use self::{decode::Violation, upgrade::Upgrade};

/// Slices that are written at once, beside the header.
const MAX_SLICES: usize = 32;

/// Bytes that one read takes at most: room is cleared before it is read into, however little comes.
const READ_SIZE: usize = 16 * 1024;

/// Codes of Close frames (RFC 6455, 7.4.1).
mod code {
    pub(super) const NORMAL: u16 = 1000;
    pub(super) const PROTOCOL_ERROR: u16 = 1002;
    pub(super) const UNSUPPORTED: u16 = 1003;
    pub(super) const TOO_BIG: u16 = 1009;
}

/// A WebSocket as a stream of bytes.
#[derive(Debug)]
pub(crate) struct WebSocket<S> {
    inner: S,
    decoder: Decoder,
    /// Bytes that have to go out before anything else: the header of the frame that is being written, or a frame
    /// of control.
    ahead: Ahead,
    /// Bytes of payload that the last header has announced and that are not written yet.
    announced: usize,
    /// A Pong that waits for the end of the frame that is being written. The last Ping counts (5.5.3).
    pong: Option<Vec<u8>>,
    /// The code of the Close that is to be sent.
    close: Option<u16>,
    close_sent: bool,
    /// The peer has sent Close, or broken the protocol.
    ended: bool,
    /// What the peer has broken means that nothing it still sends is looked at.
    violated: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    fn new(inner: S, max_message_size: usize) -> Self {
        Self {
            inner,
            decoder: Decoder::new(max_message_size),
            ahead: Ahead::default(),
            announced: 0,
            pong: None,
            close: None,
            close_sent: false,
            ended: false,
            violated: false,
        }
    }

    /// Writes what has to go out first. Between frames, these are frames of control.
    fn poll_ahead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while !self.ahead.is_empty() {
                let ahead = self.ahead.as_slice();
                let written = ready!(Pin::new(&mut self.inner).poll_write(cx, ahead))?;
                if written == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.ahead.advance(written);
            }
            if self.announced > 0 || self.close_sent {
                return Poll::Ready(Ok(()));
            }
            if let Some(payload) = self.pong.take() {
                self.ahead = Ahead::control(Control::Pong, &payload);
            } else if let Some(code) = self.close.take() {
                self.ahead = Ahead::control(Control::Close, &code.to_be_bytes());
                self.close_sent = true;
            } else {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Does what the peer's frames of control want.
    fn note(&mut self, received: Received) {
        if let Some(payload) = received.ping {
            self.pong = Some(payload);
        }
        if let Some(code) = received.close {
            self.close.get_or_insert(code.unwrap_or(code::NORMAL));
            self.ended = true;
        }
    }

    /// Takes from the peer what it still sends, until it has closed too: a socket that is closed with unread
    /// input resets the connection, and the peer may never see the code of the Close.
    fn poll_discard(
        &mut self,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            self.poll_goodbye(cx);
            let room = buf.remaining().min(READ_SIZE);
            let mut raw = ReadBuf::new(buf.initialize_unfilled_to(room));
            ready!(Pin::new(&mut self.inner).poll_read(cx, &mut raw))?;
            if raw.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Says goodbye, as far as it can be said at once. Whoever shuts down says the rest.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Ok(())) = self.poll_ahead(cx) {
            let _ = match self.ended && self.close_sent {
                true => Pin::new(&mut self.inner).poll_shutdown(cx),
                false => Pin::new(&mut self.inner).poll_flush(cx),
            };
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.violated {
            return this.poll_discard(cx, buf);
        }
        while !this.ended && buf.remaining() > 0 {
            let room = buf.remaining().min(READ_SIZE);
            let mut raw = ReadBuf::new(buf.initialize_unfilled_to(room));
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut raw))?;
            if raw.filled().is_empty() {
                this.ended = true;
                break;
            }
            let mut received = Received::default();
            let decoded = this.decoder.decode(raw.filled_mut(), &mut received);
            this.note(received);
            match decoded {
                Ok(0) => {}
                Ok(length) => {
                    buf.advance(length);
                    this.poll_goodbye(cx);
                    return Poll::Ready(Ok(()));
                }
                Err(violation) => {
                    tracing::debug!(%violation, "a WebSocket is closed");
                    this.close = Some(violation.code());
                    this.ended = true;
                    this.violated = true;
                    this.poll_goodbye(cx);
                    let error = io::Error::new(io::ErrorKind::InvalidData, violation);
                    return Poll::Ready(Err(error));
                }
            }
            this.poll_goodbye(cx);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(buf)])
    }

    /// Writes one frame, or goes on with the one that is begun: what it announced is the length of bytes that
    /// were there to be written, and they still are.
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let bufs = &bufs[..bufs.len().min(MAX_SLICES)];
        let offered: usize = bufs.iter().map(|buf| buf.len()).sum();
        if offered == 0 {
            return Poll::Ready(Ok(0));
        }
        if this.announced == 0 {
            ready!(this.poll_ahead(cx))?;
            if this.close_sent {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            this.ahead = Ahead::header(OpCode::Data(Data::Binary), offered);
            this.announced = offered;
        }
        loop {
            let ahead = this.ahead.as_slice();
            let mut slices = [IoSlice::new(&[]); MAX_SLICES + 1];
            slices[0] = IoSlice::new(ahead);
            let mut left = this.announced;
            for (slice, buf) in slices[1..].iter_mut().zip(bufs) {
                let taken = buf.len().min(left);
                *slice = IoSlice::new(&buf[..taken]);
                left -= taken;
            }
            let slices = &slices[usize::from(ahead.is_empty())..=bufs.len()];
            let written = ready!(Pin::new(&mut this.inner).poll_write_vectored(cx, slices))?;
            let payload = written.saturating_sub(ahead.len());
            this.ahead.advance(written - payload);
            // A part of the header alone is nothing to the caller.
            if payload > 0 || written == 0 {
                this.announced -= payload;
                return Poll::Ready(Ok(payload));
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.announced == 0 {
            ready!(this.poll_ahead(cx))?;
        }
        Pin::new(&mut this.inner).poll_flush(cx)
    }

    /// Sends Close. The connection itself is closed when the peer has answered it, or within a frame that will
    /// not be written to its end.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.announced == 0 {
            if !this.close_sent {
                this.close.get_or_insert(code::NORMAL);
            }
            ready!(this.poll_ahead(cx))?;
            ready!(Pin::new(&mut this.inner).poll_flush(cx))?;
            if !this.ended {
                return Poll::Ready(Ok(()));
            }
        }
        Pin::new(&mut this.inner).poll_shutdown(cx)
    }
}

/// The header of a frame, or a whole frame of control.
#[derive(Debug)]
struct Ahead {
    bytes: [u8; 127],
    begin: u8,
    end: u8,
}

impl Default for Ahead {
    fn default() -> Self {
        Self {
            bytes: [0; 127],
            begin: 0,
            end: 0,
        }
    }
}

impl Ahead {
    /// The header of a frame that is a message of its own.
    fn header(opcode: OpCode, length: usize) -> Self {
        let header = FrameHeader {
            opcode,
            ..FrameHeader::default()
        };
        let length = length as u64;
        let mut ahead = Self::default();
        // There is room for the longest header: 10 bytes, since it has no mask.
        let _ = header.format(length, &mut &mut ahead.bytes[..]);
        ahead.end = header.len(length) as u8;
        ahead
    }

    /// A frame of control: its payload has at most 125 bytes.
    fn control(kind: Control, payload: &[u8]) -> Self {
        let payload = &payload[..payload.len().min(125)];
        let mut ahead = Self::header(OpCode::Control(kind), payload.len());
        ahead.bytes[2..2 + payload.len()].copy_from_slice(payload);
        ahead.end += payload.len() as u8;
        ahead
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[usize::from(self.begin)..usize::from(self.end)]
    }

    fn is_empty(&self) -> bool {
        self.begin == self.end
    }

    /// `count` bytes of it are written.
    fn advance(&mut self, count: usize) {
        self.begin += count as u8;
    }
}

#[cfg(test)]
mod tests;
