//! A small HTTP/1.1 server for those who run the gate: one request a connection, few at once, none for long.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixStream},
    task::{AbortHandle, JoinHandle},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::error;

/// For one request, from accept to the last byte of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections at once. Scrapers and administrators come one at a time.
const MAX_REQUESTS: usize = 32;

/// Largest body of a request in bytes.
const MAX_BODY: usize = 4096;

/// Largest head of a request in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The wait after a failed accept.
const BACK_OFF: Duration = Duration::from_millis(500);

/// What answers requests.
pub(crate) trait Handler: Send + Sync + 'static {
    /// The answer.
    fn answer(&self, request: &Request<String>) -> Response<String>;
}

/// Where requests come in.
#[derive(Debug)]
pub(crate) enum Socket {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix domain socket, and the file to remove at the end, if it is ours.
    Unix(
        UnixListener,
        #[allow(dead_code, reason = "removes the file when it is dropped")] Option<SocketFile>,
    ),
}

/// The file of a socket; it goes with it.
#[derive(Debug)]
pub(crate) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = fs::remove_file(&self.0);
    }
}

impl Socket {
    pub(crate) async fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// A socket that only the user of this process may open. One that was left behind is replaced.
    pub(crate) async fn unix(path: &Path) -> io::Result<Self> {
        remove_left_behind(path).await?;
        let socket = UnixListener::bind(path)?;
        let file = SocketFile(path.to_owned());
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        Ok(Self::Unix(socket, Some(file)))
    }

    /// The address, for the log.
    pub(crate) fn address(&self) -> String {
        match self {
            Self::Tcp(socket) => socket
                .local_addr()
                .map_or_else(|_| String::new(), |address| address.to_string()),
            Self::Unix(socket, _) => {
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                path.map_or_else(String::new, |path| format!("unix:{}", path.display()))
            }
        }
    }

    /// The address, if it has one with a port.
    pub(crate) fn tcp_address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(socket) => socket.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        Ok(match self {
            Self::Tcp(socket) => Box::new(socket.accept().await?.0),
            Self::Unix(socket, _) => Box::new(socket.accept().await?.0),
        })
    }
}

/// A file that nobody listens on is of a process that was killed.
async fn remove_left_behind(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket && UnixStream::connect(path).await.is_err() {
        fs::remove_file(path)?;
    }
    Ok(())
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Answers until it is stopped.
pub(crate) async fn serve<H: Handler>(socket: Socket, handler: Arc<H>, stop: CancellationToken) {
    let mut open = Open::default();
    while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
        match accepted {
            Ok(stream) => {
                let handler = Arc::clone(&handler);
                open.add(tokio::spawn(async move {
                    // Late or broken: the loss of who asked.
                    let _ = timeout(PATIENCE, converse(stream, &*handler)).await;
                }));
            }
            Err(error) => {
                error!(%error, "cannot accept an HTTP connection");
                let _ = stop.run_until_cancelled(sleep(BACK_OFF)).await;
            }
        }
    }
}

/// The connections that are open, the oldest first.
///
/// Beyond the bound the oldest is closed and not the new one: else whoever opens some and says nothing would keep
/// out a kubelet, which then restarts a gate that is well.
#[derive(Debug, Default)]
struct Open(VecDeque<AbortHandle>);

impl Open {
    fn add(&mut self, connection: JoinHandle<()>) {
        self.0.retain(|open| !open.is_finished());
        if self.0.len() >= MAX_REQUESTS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(connection.abort_handle());
    }
}

async fn converse<H: Handler>(stream: Box<dyn Stream>, handler: &H) -> hyper::Result<()> {
    let service = service_fn(|request: Request<Incoming>| async {
        let is_head = request.method() == Method::HEAD;
        let mut response = match read(request).await {
            Ok(request) => handler.answer(&request),
            Err(status) => plain(status, "the request cannot be read\n"),
        };
        if is_head {
            response.body_mut().clear();
        }
        Ok::<_, Infallible>(response)
    });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn read(request: Request<Incoming>) -> Result<Request<String>, StatusCode> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, MAX_BODY).collect().await;
    let body = body.map_err(|_| StatusCode::PAYLOAD_TOO_LARGE)?.to_bytes();
    let body = String::from_utf8(body.into()).map_err(|_| StatusCode::BAD_REQUEST)?;
    Ok(Request::from_parts(head, body))
}

/// A text with a status.
pub(crate) fn plain(status: StatusCode, text: impl Into<String>) -> Response<String> {
    typed(status, "text/plain; charset=utf-8", text.into())
}

/// A body of a type with a status.
pub(crate) fn typed(
    status: StatusCode,
    media_type: &'static str,
    body: String,
) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    response
}

/// The refusal of a method, with those that are possible.
pub(crate) fn method_not_allowed(allowed: &'static str) -> Response<String> {
    let mut response = plain(
        StatusCode::METHOD_NOT_ALLOWED,
        format!("only {allowed} here\n"),
    );
    let allowed = HeaderValue::from_static(allowed);
    response.headers_mut().insert(header::ALLOW, allowed);
    response
}

/// Whether something is only to be read.
pub(crate) fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
