//! What comes over a WebSocket: frames are taken off their payload where they landed.

use std::io::Cursor;

use thiserror::Error;
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

use super::code;

/// Longest header of a frame.
const MAX_HEADER: usize = 14;

/// Longest payload of a frame of control (RFC 6455, 5.5).
const MAX_CONTROL: u64 = 125;

/// Where the reading of frames stands. What is kept is never more than a header, or a frame of control.
#[derive(Debug)]
pub(super) struct Decoder {
    /// The part of a header that is there.
    header: [u8; MAX_HEADER],
    header_length: u8,
    frame: Option<Frame>,
    /// Payload of a frame of control.
    control: Vec<u8>,
    /// Bytes of the message so far, if it is not at its end.
    message: Option<usize>,
    max_message_size: usize,
    /// The peer has sent Close: what comes behind it is not looked at.
    closed: bool,
}

/// The frame whose payload is coming.
#[derive(Debug)]
struct Frame {
    /// `None`: data.
    control: Option<Control>,
    mask: [u8; 4],
    /// Bytes of it that are there.
    done: u64,
    length: u64,
}

/// What frames of control say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Received {
    /// The payload of the last Ping.
    pub(super) ping: Option<Vec<u8>>,
    /// The code of a Close, if it has one.
    pub(super) close: Option<Option<u16>>,
}

/// What ends a WebSocket at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(in crate::transport) enum Violation {
    /// A breach of RFC 6455.
    #[error("protocol error: {0}")]
    Protocol(&'static str),
    /// MQTT is binary [MQTT-6.0.0-1].
    #[error("a text frame")]
    Text,
    /// A message over the limit.
    #[error("a message that is too large")]
    TooBig,
}

impl Violation {
    /// The code of the Close that says so.
    pub(in crate::transport) fn code(self) -> u16 {
        match self {
            Self::Protocol(_) => code::PROTOCOL_ERROR,
            Self::Text => code::UNSUPPORTED,
            Self::TooBig => code::TOO_BIG,
        }
    }
}

impl Decoder {
    pub(super) fn new(max_message_size: usize) -> Self {
        Self {
            header: [0; MAX_HEADER],
            header_length: 0,
            frame: None,
            control: Vec::new(),
            message: None,
            max_message_size,
            closed: false,
        }
    }

    /// Takes what came, and leaves the payload of data, unmasked, at its front. Yields its length.
    ///
    /// # Errors
    ///
    /// A violation: the payload in front of it is lost, for the connection is, too.
    pub(super) fn decode(
        &mut self,
        raw: &mut [u8],
        received: &mut Received,
    ) -> Result<usize, Violation> {
        let (mut taken, mut length) = (0, 0);
        while taken < raw.len() && !self.closed {
            let Some(frame) = &mut self.frame else {
                taken += self.take_header(&raw[taken..])?;
                self.end_frame(received)?;
                continue;
            };
            let left = usize::try_from(frame.length - frame.done).unwrap_or(usize::MAX);
            let end = raw.len().min(taken.saturating_add(left));
            let piece = &mut raw[taken..end];
            unmask(piece, frame.mask, frame.done);
            frame.done += piece.len() as u64;
            if frame.control.is_some() {
                self.control.extend_from_slice(piece);
            } else {
                raw.copy_within(taken..end, length);
                length += end - taken;
            }
            taken = end;
            self.end_frame(received)?;
        }
        Ok(length)
    }

    /// Takes as much as belongs to the header. Yields how much that is.
    fn take_header(&mut self, raw: &[u8]) -> Result<usize, Violation> {
        let mut taken = 0;
        loop {
            let have = usize::from(self.header_length);
            let needed = match self.header[..have] {
                [_, second, ..] => {
                    let extended = match second & 0x7F {
                        126 => 2,
                        127 => 8,
                        _ => 0,
                    };
                    2 + extended + if second & 0x80 != 0 { 4 } else { 0 }
                }
                _ => 2,
            };
            if have == needed {
                break;
            }
            let piece = &raw[taken..raw.len().min(taken + needed - have)];
            if piece.is_empty() {
                return Ok(taken);
            }
            self.header[have..have + piece.len()].copy_from_slice(piece);
            self.header_length += piece.len() as u8;
            taken += piece.len();
        }
        let header = &self.header[..usize::from(self.header_length)];
        let parsed = FrameHeader::parse(&mut Cursor::new(header));
        let Ok(Some((parsed, length))) = parsed else {
            return Err(Violation::Protocol("a reserved opcode"));
        };
        if parsed.len(length) != header.len() {
            return Err(Violation::Protocol("a length that is not the shortest"));
        }
        self.header_length = 0;
        self.begin_frame(&parsed, length)?;
        Ok(taken)
    }

    fn begin_frame(&mut self, header: &FrameHeader, length: u64) -> Result<(), Violation> {
        let protocol = |what| Err(Violation::Protocol(what));
        if header.rsv1 || header.rsv2 || header.rsv3 {
            return protocol("an extension that was not agreed upon");
        }
        let Some(mask) = header.mask else {
            return protocol("a frame without mask");
        };
        let control = match header.opcode {
            OpCode::Control(control) => {
                if !header.is_final || length > MAX_CONTROL {
                    return protocol("a frame of control in fragments, or too long");
                }
                Some(control)
            }
            OpCode::Data(Data::Text) => return Err(Violation::Text),
            OpCode::Data(Data::Binary) if self.message.is_some() => {
                return protocol("a message within another");
            }
            OpCode::Data(Data::Continue) if self.message.is_none() => {
                return protocol("a continuation of nothing");
            }
            OpCode::Data(_) => {
                let so_far = self.message.take().unwrap_or(0);
                let size = usize::try_from(length)
                    .ok()
                    .and_then(|length| so_far.checked_add(length))
                    .filter(|size| *size <= self.max_message_size)
                    .ok_or(Violation::TooBig)?;
                self.message = (!header.is_final).then_some(size);
                None
            }
        };
        self.frame = Some(Frame {
            control,
            mask,
            done: 0,
            length,
        });
        Ok(())
    }

    /// Does what the frame says, if it is at its end.
    fn end_frame(&mut self, received: &mut Received) -> Result<(), Violation> {
        let Some(frame) = self.frame.take_if(|frame| frame.done == frame.length) else {
            return Ok(());
        };
        let payload = std::mem::take(&mut self.control);
        match frame.control {
            Some(Control::Ping) => received.ping = Some(payload),
            Some(Control::Close) => {
                received.close = Some(close_code(&payload)?);
                self.closed = true;
            }
            Some(Control::Pong | Control::Reserved(_)) | None => {}
        }
        Ok(())
    }
}

/// The code of a Close (RFC 6455, 5.5.1 and 7.4).
fn close_code(payload: &[u8]) -> Result<Option<u16>, Violation> {
    let (code, reason) = match payload {
        [] => return Ok(None),
        [high, low, reason @ ..] => (u16::from_be_bytes([*high, *low]), reason),
        [_] => return Err(Violation::Protocol("half a close code")),
    };
    let is_known = matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999);
    if !is_known || std::str::from_utf8(reason).is_err() {
        return Err(Violation::Protocol("a close code or reason that can't be"));
    }
    Ok(Some(code))
}

/// Takes the mask off bytes that stand at `offset` of their frame.
fn unmask(bytes: &mut [u8], mask: [u8; 4], offset: u64) {
    let mut turned = mask;
    turned.rotate_left((offset % 4) as usize);
    let mut chunks = bytes.chunks_exact_mut(8);
    let wide = u64::from_ne_bytes([
        turned[0], turned[1], turned[2], turned[3], turned[0], turned[1], turned[2], turned[3],
    ]);
    for chunk in &mut chunks {
        if let Ok(bytes) = <[u8; 8]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u64::from_ne_bytes(bytes) ^ wide).to_ne_bytes());
        }
    }
    for (byte, mask) in chunks
        .into_remainder()
        .iter_mut()
        .zip(turned.into_iter().cycle())
    {
        *byte ^= mask;
    }
}
