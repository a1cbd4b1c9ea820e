//! A small HTTP/1.1 server for those who run the gate: one request a connection, few at once, none for long.

use std::{
    collections::VecDeque,
    convert::Infallible,
    fs, io,
    net::SocketAddr,
    os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use socket2::{Domain, SockAddr, Type};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, UnixListener, UnixStream},
    task::{AbortHandle, JoinHandle},
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::error;

use crate::log_limit::LogLimit;

/// For one request, from accept to the last byte of its answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections at once. Scrapers and administrators come one at a time.
const MAX_REQUESTS: usize = 32;

/// Largest body of a request in bytes.
const MAX_BODY: usize = 4096;

/// Largest head of a request in bytes.
const MAX_HEAD: usize = 16 * 1024;

/// The wait after a failed accept, the first and the longest: a kubelet has a second of patience.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_millis(250));

/// Log lines about failed accepts.
const COMPLAINTS_PER_SECOND: u32 = 1;

/// For the last answers to be sent.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Connections that wait for the accept.
const BACKLOG: i32 = 128;

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
pub(crate) struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl SocketFile {
    fn of(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: identity(path)?,
        })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // By now it may be gone, or the file of a successor.
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Device and inode.
fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let file = fs::symlink_metadata(path)?;
    Ok((file.dev(), file.ino()))
}

impl Socket {
    pub(crate) async fn tcp(address: SocketAddr) -> io::Result<Self> {
        TcpListener::bind(address).await.map(Self::Tcp)
    }

    /// A socket that only the user of this process may open. One that was left behind is replaced.
    pub(crate) async fn unix(path: &Path) -> io::Result<Self> {
        remove_left_behind(path).await?;
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.bind(&SockAddr::unix(path)?)?;
        let file = SocketFile::of(path)?;
        // Before it listens: nobody has got in meanwhile.
        fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        let socket = UnixListener::from_std(socket.into())?;
        Ok(Self::Unix(socket, Some(file)))
    }

    /// Whether others than this user on this machine can reach it, and where it is, if so. A socket that was
    /// handed over is where the manager wants it, whatever the configuration says.
    pub(crate) fn exposed(&self) -> Option<String> {
        let is_private = match self {
            Self::Tcp(socket) => socket
                .local_addr()
                .is_ok_and(|at| at.ip().to_canonical().is_loopback()),
            Self::Unix(socket, _) => {
                let address = socket.local_addr().ok();
                let path = address.as_ref().and_then(|address| address.as_pathname());
                // An abstract one has no file, and so no owner.
                let file = path.and_then(|path| fs::metadata(path).ok());
                file.is_some_and(|file| file.permissions().mode() & 0o077 == 0)
            }
        };
        (!is_private).then(|| self.address())
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

/// A file that nobody listens on is of a process that was killed. Any other failure to connect says nothing of
/// the kind: its queue may be full, it may be of somebody else, or no stream.
async fn remove_left_behind(path: &Path) -> io::Result<()> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        _ => Ok(()),
    }
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Answers until it is stopped.
pub(crate) async fn serve<H: Handler>(socket: Socket, handler: Arc<H>, stop: CancellationToken) {
    let mut open = Open::default();
    let answering = TaskTracker::new();
    let complaints = LogLimit::new(COMPLAINTS_PER_SECOND);
    let mut back_off = BACK_OFF.0;
    while let Some(accepted) = stop.run_until_cancelled(socket.accept()).await {
        match accepted {
            Ok(stream) => {
                back_off = BACK_OFF.0;
                let handler = Arc::clone(&handler);
                open.add(answering.spawn(async move {
                    // Late or broken: the loss of who asked.
                    let _ = timeout(PATIENCE, converse(stream, &*handler)).await;
                }));
            }
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                if let Some(suppressed) = complaints.permit() {
                    error!(%error, suppressed, "cannot accept an HTTP connection");
                }
                let _ = stop.run_until_cancelled(sleep(back_off)).await;
                back_off = (back_off * 2).min(BACK_OFF.1);
            }
        }
    }
    // Nobody new; whoever has asked is answered, such as the one who asked for the end.
    drop(socket);
    answering.close();
    let _ = timeout(LAST_ANSWERS, answering.wait()).await;
}

/// Whether it was gone before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
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

#[cfg(test)]
mod tests;
