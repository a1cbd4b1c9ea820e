//! What a client of HTTP/2 says first (RFC 9113, 3.4). Whoever doesn't is of no use, and hyper waits for it for ever.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection whose preface has been read, and is read once more.
#[derive(Debug)]
pub(super) struct Prefaced<T> {
    io: T,
    /// What came first, and how much of it has been handed on.
    first: Vec<u8>,
    handed_on: usize,
}

impl<T: AsyncRead + Unpin> Prefaced<T> {
    /// Waits for the preface. Something else is let through as soon as it is one: it is for hyper to refuse.
    ///
    /// # Errors
    /// If the connection ends before, or breaks.
    pub(super) async fn read(mut io: T) -> io::Result<Self> {
        let mut first = Vec::with_capacity(PREFACE.len());
        while first.len() < PREFACE.len() && PREFACE.starts_with(&first) {
            let mut rest = (&mut io).take((PREFACE.len() - first.len()) as u64);
            if rest.read_buf(&mut first).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(Self {
            io,
            first,
            handed_on: 0,
        })
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Prefaced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.first.get(self.handed_on..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut self.io).poll_read(cx, buf);
        }
        let fitting = left.len().min(buf.remaining());
        buf.put_slice(&left[..fitting]);
        self.handed_on += fitting;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Prefaced<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn is_read_twice_and_the_rest_once() {
        let sent = [PREFACE, b"frames"].concat();
        for cut in [PREFACE.len(), 5] {
            let (mut client, server) = duplex(4);
            let (first, rest) = sent.split_at(cut);
            let parts = [first.to_vec(), rest.to_vec()];
            tokio::spawn(async move {
                for part in parts {
                    client.write_all(&part).await.unwrap();
                }
            });
            let mut all = Vec::new();
            let mut prefaced = Prefaced::read(server).await.unwrap();
            prefaced.read_to_end(&mut all).await.unwrap();
            assert_eq!(all, sent);
        }
    }

    #[tokio::test]
    async fn something_else_is_not_waited_for() {
        let (mut client, server) = duplex(64);
        client.write_all(b"PRI /").await.unwrap();
        let mut prefaced = Prefaced::read(server).await.unwrap();
        drop(client);
        let mut all = Vec::new();
        prefaced.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, b"PRI /");
    }

    #[tokio::test]
    async fn half_of_it_is_none() {
        let (mut client, server) = duplex(64);
        client.write_all(&PREFACE[..9]).await.unwrap();
        let mut reading = Box::pin(Prefaced::read(server));
        assert!(so_far(&mut reading).await.is_none());
        drop(client);
        let ended = reading.await.unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::UnexpectedEof);
    }

    /// What a future has come to by now.
    async fn so_far<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        tokio::select! {
            biased;
            output = future => Some(output),
            () = std::future::ready(()) => None,
        }
    }
}
