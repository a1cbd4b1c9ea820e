//! MQTT in the binary messages of a WebSocket, as the side that connects.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Sink, Stream};
use http::{
    HeaderValue, Uri,
    header::{SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL},
};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        error::ProtocolError,
        protocol::{CloseFrame, WebSocketConfig, frame::coding::CloseCode},
    },
};

/// The subprotocol that is offered, and has to be chosen.
const SUBPROTOCOL: HeaderValue = HeaderValue::from_static("mqtt");

/// Kept by every connection for what it reads.
const READ_BUFFER: usize = 4 * 1024;

/// Most bytes in a message of ours. A connection keeps as much once it has sent such a one.
const MESSAGE: usize = 16 * 1024;

/// More than the largest packet that may be in a message of the broker: its neighbours.
const NEIGHBOURS: usize = 64 * 1024;

/// A WebSocket as a stream of bytes: where its messages begin and end means nothing to MQTT.
#[derive(Debug)]
pub struct WebSocket<S> {
    inner: WebSocketStream<S>,
    /// The rest of the last message.
    unread: Bytes,
    /// Whether we have said Close.
    has_closed: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> WebSocket<S> {
    /// Asks the broker for an upgrade. Its packets are at most as large as `max_packet`, in bytes. To be
    /// bounded in time by the caller.
    ///
    /// # Errors
    ///
    /// The broker refuses, or does not choose `mqtt`.
    pub(super) async fn connect(url: Uri, stream: S, max_packet: usize) -> io::Result<Self> {
        let mut request = url.into_client_request().map_err(to_io)?;
        request
            .headers_mut()
            .insert(SEC_WEBSOCKET_PROTOCOL, SUBPROTOCOL);
        let largest = Some(max_packet.saturating_add(NEIGHBOURS));
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(largest)
            .max_frame_size(largest);
        let (inner, response) = client_async_with_config(request, stream, Some(config))
            .await
            .map_err(to_io)?;
        // None was asked for, so none may be in force (RFC 6455, 4.1).
        if response.headers().contains_key(SEC_WEBSOCKET_EXTENSIONS) {
            return Err(broken(
                "the broker chose an extension of WebSocket that was not offered",
            ));
        }
        Ok(Self {
            inner,
            unread: Bytes::new(),
            has_closed: false,
        })
    }

    fn send(&mut self, message: Bytes) -> io::Result<()> {
        Pin::new(&mut self.inner)
            .start_send(Message::Binary(message))
            .map_err(to_io)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for WebSocket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        room: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        while self.unread.is_empty() {
            match ready!(Pin::new(&mut self.inner).poll_next(cx)) {
                None => return Poll::Ready(Ok(())),
                // It answers ours. It has closed when the connection ends.
                Some(Ok(Message::Close(_))) if self.has_closed => {}
                // Nothing follows a close, and the connection need not be waited for. It is answered by
                // the shutdown.
                Some(Ok(Message::Close(frame))) => return Poll::Ready(farewell(frame)),
                Some(Ok(Message::Binary(message))) => self.unread = message,
                Some(Ok(Message::Text(_))) => {
                    return Poll::Ready(Err(broken(
                        "the broker sent a text message over WebSocket",
                    )));
                }
                // Pings are answered below us.
                Some(Ok(_)) => {}
                // The end without a closing handshake is one all the same.
                Some(Err(Error::Protocol(ProtocolError::ResetWithoutClosingHandshake))) => {
                    return Poll::Ready(Ok(()));
                }
                Some(Err(error)) => return Poll::Ready(Err(to_io(error))),
            }
        }
        let count = self.unread.len().min(room.remaining());
        room.put_slice(&self.unread[..count]);
        self.unread.advance(count);
        if self.unread.is_empty() {
            // It shares its memory with what is read next.
            self.unread = Bytes::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for WebSocket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        // At most one message waits below us.
        ready!(Pin::new(&mut self.inner).poll_ready(cx)).map_err(to_io)?;
        let count = bytes.len().min(MESSAGE);
        self.send(Bytes::copy_from_slice(&bytes[..count]))?;
        Poll::Ready(Ok(count))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(Pin::new(&mut self.inner).poll_ready(cx)).map_err(to_io)?;
        let all: usize = slices.iter().map(|slice| slice.len()).sum();
        let count = all.min(MESSAGE);
        let mut message = BytesMut::with_capacity(count);
        for slice in slices {
            let room = count - message.len();
            message.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        self.send(message.freeze())?;
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx).map_err(to_io)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.has_closed {
            ready!(Pin::new(&mut self.inner).poll_close(cx)).map_err(to_io)?;
            self.has_closed = true;
        }
        // TLS has a last word, too.
        Pin::new(self.inner.get_mut()).poll_shutdown(cx)
    }
}

/// What a broker that closes says: nothing, or that something is wrong.
fn farewell(frame: Option<CloseFrame>) -> io::Result<()> {
    match frame {
        Some(CloseFrame { code, reason })
            if !matches!(code, CloseCode::Normal | CloseCode::Away) =>
        {
            let code = u16::from(code);
            let text = format!(
                "the broker closed the WebSocket with {code} {:?}",
                reason.as_str()
            );
            Err(io::Error::new(io::ErrorKind::ConnectionAborted, text))
        }
        _ => Ok(()),
    }
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

fn to_io(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        error => io::Error::other(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
