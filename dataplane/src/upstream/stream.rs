//! A connection to the broker, of any kind.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::client::TlsStream;

use super::websocket::WebSocket;

/// A connection to the broker. No trait object: writes stay vectored, and plain TCP costs one comparison.
/// What is large is boxed, so that a session has no room for what it does not use.
#[derive(Debug)]
pub enum BrokerStream {
    /// `mqtt://`.
    Tcp(TcpStream),
    /// `unix:`.
    Unix(UnixStream),
    /// `mqtts://`.
    Tls(Box<TlsStream<TcpStream>>),
    /// `ws://`.
    Ws(Box<WebSocket<TcpStream>>),
    /// `wss://`.
    Wss(Box<WebSocket<TlsStream<TcpStream>>>),
}

/// Does the same with each kind.
macro_rules! each {
    ($self:ident, $stream:ident => $do:expr) => {
        match $self.get_mut() {
            Self::Tcp($stream) => $do,
            Self::Unix($stream) => $do,
            Self::Tls($stream) => $do,
            Self::Ws($stream) => $do,
            Self::Wss($stream) => $do,
        }
    };
}

impl AsyncRead for BrokerStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_read(cx, room))
    }
}

impl AsyncWrite for BrokerStream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    /// All of them are.
    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self, stream => Pin::new(stream).poll_shutdown(cx))
    }
}

// A session holds one: no more than what plain TCP needs, and the word that says so.
const _: () = assert!(size_of::<BrokerStream>() <= size_of::<TcpStream>() + size_of::<usize>());
