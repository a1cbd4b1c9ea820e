use std::{
    io::{Read as _, Write as _},
    os::unix::net::{UnixDatagram, UnixListener as StdUnixListener},
    thread,
};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

use super::*;

/// Answers much, and ends the server by it.
struct Last(CancellationToken);

/// More than the kernel takes at once.
const MUCH: usize = 8 << 20;

impl Handler for Last {
    fn answer(&self, _: &Request<String>) -> Response<String> {
        self.0.cancel();
        plain(StatusCode::OK, "x".repeat(MUCH))
    }
}

#[test]
fn who_asked_last_is_answered_to_the_end() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let socket = runtime.block_on(Socket::tcp(([127, 0, 0, 1], 0).into()));
    let socket = socket.unwrap();
    let address = socket.tcp_address().unwrap();
    let asking = thread::spawn(move || {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map(|_| answer.len())
    });
    let stop = CancellationToken::new();
    runtime.block_on(serve(socket, Arc::new(Last(stop.clone())), stop));
    // As at the end of the process.
    drop(runtime);
    let length = asking.join().unwrap().unwrap();
    assert!(length > MUCH, "{length} bytes came");
}

#[tokio::test(start_paused = true)]
async fn a_head_that_drips_has_ten_seconds() {
    let (mut asking, answering) = duplex(64);
    let handler = Last(CancellationToken::new());
    let dripping = async {
        for byte in b"GET / HTTP/1.1\r\n".iter().cycle() {
            sleep(Duration::from_secs(1)).await;
            if asking.write_all(&[*byte]).await.is_err() {
                return asking.read(&mut [0]).await;
            }
        }
        Ok(0)
    };
    let answered = timeout(PATIENCE, converse(Box::new(answering), &handler));
    let (answered, _) = tokio::join!(answered, timeout(Duration::from_secs(60), dripping));
    assert!(answered.is_err(), "it was waited for");
}

#[tokio::test]
async fn only_a_socket_that_nobody_listens_on_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    drop(StdUnixListener::bind(&path).unwrap());
    let own = Socket::unix(&path).await.unwrap();
    assert_eq!(own.exposed(), None);
    // One that lives is left alone, and so is one of another kind.
    Socket::unix(&path).await.unwrap_err();
    drop(own);
    assert!(!path.exists(), "the file goes with the socket");
    let _datagrams = UnixDatagram::bind(&path).unwrap();
    Socket::unix(&path).await.unwrap_err();
    assert!(path.exists());
}

#[tokio::test]
async fn the_file_of_a_successor_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let own = Socket::unix(&path).await.unwrap();
    fs::rename(&path, folder.path().join("old")).unwrap();
    let _next = StdUnixListener::bind(&path).unwrap();
    drop(own);
    assert!(path.exists());
}

#[tokio::test]
async fn a_socket_says_whether_others_reach_it() {
    let local = Socket::tcp(([127, 0, 0, 1], 0).into()).await.unwrap();
    assert_eq!(local.exposed(), None);
    let anywhere = Socket::tcp(([0, 0, 0, 0], 0).into()).await.unwrap();
    assert!(anywhere.exposed().unwrap().starts_with("0.0.0.0:"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("socket");
    let handed_over = Socket::Unix(UnixListener::bind(&path).unwrap(), None);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
    assert!(handed_over.exposed().unwrap().starts_with("unix:/"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(handed_over.exposed(), None);
}
