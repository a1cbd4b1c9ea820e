//! Room 3: one side's bytes. What has come in and is not cut into packets yet, and what has to go
//! out, both bounded.

use std::{
    cell::RefCell,
    collections::VecDeque,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use gatekeeper::{
    Frame, Side, Violation,
    frame::{self, Scan},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use tokio_util::io::{poll_read_buf, poll_write_buf};

use crate::transport;

/// Room for one read. It belongs to the worker thread: an idle connection keeps none.
const READ_SIZE: usize = 16 * 1024;

/// Packets up to this size are copied into one block with their neighbours; larger ones are written from
/// where they are.
const SMALL: usize = 1024;

thread_local! {
    /// Where a read puts its bytes, before it is known how many they are.
    static LANDING: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_SIZE]);
}

/// Bytes that may be read ahead of the packets that are taken: enough to see that a peer has left.
const READ_AHEAD: usize = 16 * 1024;

/// Bytes that wait for a peer to take them, before nothing more is made for it.
const WRITE_HIGH: usize = 256 * 1024;

/// More than a stream keeps for itself of what it was given: twice what TLS may.
const HOARD: usize = 2 * TLS_BUFFER;

/// Bytes that TLS may keep of what it was given, before it takes no more.
pub(crate) const TLS_BUFFER: usize = 16 * 1024;

/// One side of a session: a stream, what came from it, and what goes to it.
#[derive(Debug)]
pub(crate) struct Leg<S> {
    side: Side,
    stream: S,
    input: BytesMut,
    /// Bytes that the packet at the head of the input needs.
    needed: usize,
    /// Since when a part of the packet at the head of the input is there.
    begun_at: Option<Instant>,
    ended: bool,
    end_told: bool,
    /// The code of the Close that the peer got for breaking the rules of WebSocket.
    close_code: Option<u16>,
    /// The peer can't be written to any more.
    broken: bool,
    output: Output,
    /// Since when the peer has taken nothing of the output.
    stalled_since: Option<Instant>,
    /// Bytes that the stream has taken since then. TLS takes some before the peer does.
    taken: usize,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Leg<S> {
    pub(crate) fn new(side: Side, stream: S) -> Self {
        Self {
            side,
            stream,
            input: BytesMut::new(),
            needed: 0,
            begun_at: None,
            ended: false,
            end_told: false,
            close_code: None,
            broken: false,
            output: Output::default(),
            stalled_since: None,
            taken: 0,
        }
    }

    /// Cuts the next packet off the input. `None`: more bytes have to come.
    pub(crate) fn next_frame(&mut self, max_size: usize) -> Result<Option<Frame>, Violation> {
        if self.input.len() >= self.needed {
            match frame::scan(&mut self.input, self.side, max_size)? {
                Scan::Frame(frame) => {
                    self.needed = 0;
                    self.begun_at = None;
                    return Ok(Some(frame));
                }
                Scan::Incomplete { needed } => self.needed = needed,
            }
        }
        if !self.input.is_empty() {
            self.begun_at.get_or_insert_with(Instant::now);
        }
        Ok(None)
    }

    /// The packet that the peer has begun to send and not ended: since when it is asked for, and how
    /// many bytes it has, as far as that is known. One that waits here as a whole, because nobody takes
    /// it, is not the peer's fault: the rest of a packet is read in any case.
    pub(crate) fn unfinished(&self) -> Option<(Instant, usize)> {
        let is_unfinished = !self.ended && self.input.len() < self.needed;
        self.begun_at
            .filter(|_| is_unfinished)
            .map(|begun_at| (begun_at, self.needed))
    }

    /// Reads, unless enough is there that nobody takes. Yields the number of bytes; 0 is the end,
    /// and comes once.
    ///
    /// The input never holds more than one packet of the size that the gatekeeper allows, plus what
    /// one read brings: its announced length makes room only as its bytes arrive.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.ended || self.input.len() >= self.needed.max(READ_AHEAD) {
            return Poll::Pending;
        }
        let missing = self.needed.saturating_sub(self.input.len());
        let read = if missing > READ_SIZE {
            self.input.reserve(READ_SIZE);
            poll_read_buf(Pin::new(&mut self.stream), cx, &mut self.input)
        } else {
            self.poll_land(cx)
        };
        let read = ready!(read);
        self.ended = !matches!(read, Ok(1..));
        self.close_code = read.as_ref().err().and_then(transport::close_code);
        Poll::Ready(read)
    }

    /// Gives back buffers that are empty: an idle connection keeps none.
    pub(crate) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if !self.output.has_remaining() {
            self.output = Output::default();
        }
    }

    /// Reads by way of the thread's own memory, so that the input takes no more room than what came.
    fn poll_land(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        LANDING.with_borrow_mut(|landing| {
            let mut landed = ReadBuf::new(landing);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut landed))?;
            self.input.extend_from_slice(landed.filled());
            Poll::Ready(Ok(landed.filled().len()))
        })
    }

    /// Writes until nothing is left or the peer takes no more. Ready if that changes what can be
    /// done, or has to be: there is room again, the peer has gone, or it begins to stall, which needs a
    /// timer.
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.broken {
            return Poll::Pending;
        }
        let was_full = !self.takes_more();
        let was_stalled = self.stalled_since.is_some();
        self.write_out(cx);
        let stalls = !was_stalled && self.stalled_since.is_some();
        if self.broken || stalls || (was_full && self.takes_more()) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    fn write_out(&mut self, cx: &mut Context<'_>) {
        let mut written = 0;
        while self.output.has_remaining() {
            match poll_write_buf(Pin::new(&mut self.stream), cx, &mut self.output) {
                Poll::Ready(Ok(0) | Err(_)) => return self.give_up(),
                Poll::Ready(Ok(count)) => written += count,
                Poll::Pending => break,
            }
        }
        // TLS takes bytes before the peer does. They have gone when it says that they are flushed, or when there
        // are more of them than it can keep.
        self.taken = self.taken.saturating_add(written);
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) if written > 0 || !self.output.has_remaining() => {
                self.stalled_since = None;
                self.taken = 0;
            }
            Poll::Pending if self.taken > HOARD => {
                self.stalled_since = Some(Instant::now());
                self.taken = 0;
            }
            Poll::Ready(Ok(())) | Poll::Pending => {
                if self.stalled_since.is_none() {
                    self.stalled_since = Some(Instant::now());
                    self.taken = 0;
                }
            }
            Poll::Ready(Err(_)) => self.give_up(),
        }
    }

    /// The peer can't be written to any more, and will not be heard any more either.
    fn give_up(&mut self) {
        self.broken = true;
        self.ended = true;
        self.output = Output::default();
        self.stalled_since = None;
    }

    pub(crate) fn push(&mut self, bytes: Bytes) {
        if !self.broken {
            self.output.push(bytes);
        }
    }

    /// Whether nothing more will come of this side: it has ended, and what it sent is taken. A rest
    /// that `wanted` says is still going to be taken counts as long as it may be a whole packet. Says
    /// so once.
    pub(crate) fn take_end(&mut self, wanted: bool) -> bool {
        let is_over =
            self.ended && (self.input.is_empty() || (wanted && self.input.len() < self.needed));
        is_over && !std::mem::replace(&mut self.end_told, true)
    }

    /// The code of the Close that the peer got, if it ended because the peer broke the rules of WebSocket.
    pub(crate) fn close_code(&self) -> Option<u16> {
        self.close_code
    }

    /// Whether the peer has left, though what it sent may not be taken yet.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Whether more may be made for the peer.
    pub(crate) fn takes_more(&self) -> bool {
        self.output.remaining() < WRITE_HIGH
    }

    /// Since when the peer has taken nothing of what is there for it.
    pub(crate) fn stalled_since(&self) -> Option<Instant> {
        self.stalled_since
    }

    /// Writes what is left, says that nothing more comes, and reads on until the peer has closed too:
    /// a socket that is closed with unread input resets the connection, and the peer may lose what
    /// was just written to it. To be bounded in time by the caller.
    pub(crate) async fn finish(mut self) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};

        let mut output = std::mem::take(&mut self.output);
        if self.broken
            || self.stream.write_all_buf(&mut output).await.is_err()
            || self.stream.shutdown().await.is_err()
            || (self.ended && self.close_code.is_none())
        {
            return;
        }
        self.input.clear();
        while let Ok(1..) = self.stream.read_buf(&mut self.input).await {
            self.input.clear();
        }
    }
}

/// A queue of packets to write, in as few system calls as the socket allows.
#[derive(Debug, Default)]
struct Output {
    packets: VecDeque<Bytes>,
    /// Small packets behind all of them, in one block.
    tail: BytesMut,
    remaining: usize,
}

impl Output {
    fn push(&mut self, bytes: Bytes) {
        self.remaining += bytes.len();
        if bytes.len() <= SMALL {
            self.tail.extend_from_slice(&bytes);
            return;
        }
        if !self.tail.is_empty() {
            self.packets.push_back(self.tail.split().freeze());
        }
        self.packets.push_back(bytes);
    }
}

impl Buf for Output {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn chunk(&self) -> &[u8] {
        self.packets.front().map_or(&self.tail, |bytes| bytes)
    }

    fn chunks_vectored<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let packets = self.packets.iter().map(|packet| &packet[..]);
        let parts = packets.chain([&self.tail[..]]);
        let mut filled = 0;
        for (slice, part) in slices.iter_mut().zip(parts.filter(|part| !part.is_empty())) {
            *slice = IoSlice::new(part);
            filled += 1;
        }
        filled
    }

    fn advance(&mut self, mut count: usize) {
        self.remaining -= count;
        while let Some(front) = self.packets.front_mut() {
            if count < front.len() {
                front.advance(count);
                return;
            }
            count -= front.len();
            self.packets.pop_front();
        }
        self.tail.advance(count);
    }
}

#[cfg(test)]
mod tests;
