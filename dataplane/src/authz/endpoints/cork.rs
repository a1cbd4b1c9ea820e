//! Writes of one round of the scheduler, in one.
//!
//! hyper sends the head of a request and its message from different tasks, so each would be a system call of its
//! own, a packet, and a wake-up of the service, which can do nothing with the first. Here the first flush only
//! asks to be polled again, behind all tasks that are ready now; what they have to send goes out with it.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::io::poll_write_buf;

/// With so many bytes there is nothing to wait for.
const ENOUGH: usize = 64 * 1024;

/// A stream whose writes wait for company until the next round.
#[derive(Debug)]
pub(super) struct Cork<S> {
    stream: S,
    held: BytesMut,
    /// Whether the flush that is under way has waited.
    has_waited: bool,
}

impl<S> Cork<S> {
    pub(super) fn new(stream: S) -> Self {
        Self {
            stream,
            held: BytesMut::new(),
            has_waited: false,
        }
    }
}

impl<S: AsyncWrite + Unpin> Cork<S> {
    fn poll_pour(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.held.has_remaining() {
            let stream = Pin::new(&mut self.stream);
            if ready!(poll_write_buf(stream, cx, &mut self.held))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        self.has_waited = false;
        Poll::Ready(Ok(()))
    }

    /// Makes room for more.
    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.held.len() < ENOUGH {
            true => Poll::Ready(Ok(())),
            false => self.poll_pour(cx),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Cork<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        self.held.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_room(cx))?;
        for slice in slices {
            self.held.extend_from_slice(slice);
        }
        Poll::Ready(Ok(slices.iter().map(|slice| slice.len()).sum()))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.held.is_empty() {
            return Pin::new(&mut self.stream).poll_flush(cx);
        }
        if !self.has_waited && self.held.len() < ENOUGH {
            self.has_waited = true;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        ready!(self.poll_pour(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_pour(cx))?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Cork<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::{io::AsyncWriteExt, task::yield_now};
    use tokio_test::io::Builder;

    use super::*;

    #[tokio::test]
    async fn what_is_ready_in_one_round_is_one_write() {
        // It expects exactly these writes.
        let stream = Builder::new().write(b"head body").write(b"next").build();
        let mut cork = Cork::new(stream);
        cork.write_all(b"head ").await.unwrap();
        poll_fn(|cx| {
            assert!(Pin::new(&mut cork).poll_flush(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        yield_now().await;
        cork.write_all(b"body").await.unwrap();
        cork.flush().await.unwrap();
        cork.write_all(b"next").await.unwrap();
        cork.shutdown().await.unwrap();
    }

    #[tokio::test]
    async fn much_waits_for_nothing() {
        let much = vec![7; ENOUGH];
        let stream = Builder::new().write(&much).write(b"more").build();
        let mut cork = Cork::new(stream);
        cork.write_all(&much).await.unwrap();
        cork.write_all(b"more").await.unwrap();
        cork.flush().await.unwrap();
    }

    #[tokio::test]
    async fn what_fails_is_told() {
        let broken = || io::Error::from(io::ErrorKind::BrokenPipe);
        let stream = Builder::new().write_error(broken()).build();
        let mut cork = Cork::new(stream);
        cork.write_all(b"lost").await.unwrap();
        let error = cork.flush().await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
