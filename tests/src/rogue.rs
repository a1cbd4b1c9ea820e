//! Things that listen where the authorization service should be, and are none.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use crate::background::{self, Task};

/// How it behaves once a connection is accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// Reads a little, then resets the connection.
    Reset,
    /// Closes at once.
    Close,
    /// Answers something that is not HTTP/2.
    Garbage,
    /// Answers as an HTTP/1.1 server would.
    OldHttp,
    /// Reads everything and never answers.
    Silence,
}

impl Manner {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Reset,
        Self::Close,
        Self::Garbage,
        Self::OldHttp,
        Self::Silence,
    ];
}

/// A listener with bad manners on a port of its own.
#[derive(Debug)]
pub struct Rogue {
    address: SocketAddr,
    visits: Arc<AtomicUsize>,
    _task: Task,
}

impl Rogue {
    /// Starts it.
    #[must_use]
    pub fn start(manner: Manner) -> Self {
        Self::start_at(([127, 0, 0, 1], 0).into(), manner)
    }

    /// Starts it where something else was before.
    #[must_use]
    pub fn start_at(address: SocketAddr, manner: Manner) -> Self {
        let listener = background::block_on(TcpListener::bind(address)).expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        let visits = Arc::<AtomicUsize>::default();
        let counter = Arc::clone(&visits);
        let task = background::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::Relaxed);
                tokio::spawn(async move {
                    // Whatever fails here fails for the visitor, as intended.
                    let _ = misbehave(stream, manner).await;
                });
            }
        });
        Self {
            address,
            visits,
            _task: task,
        }
    }

    /// The endpoint, as if it were a service.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections there were.
    #[must_use]
    pub fn visits(&self) -> usize {
        self.visits.load(Ordering::Relaxed)
    }
}

async fn misbehave(mut stream: TcpStream, manner: Manner) -> std::io::Result<()> {
    let mut unread = [0; 1024];
    match manner {
        Manner::Close => {}
        Manner::Reset => {
            stream.readable().await?;
            stream.set_zero_linger()?;
        }
        Manner::Garbage => {
            stream.readable().await?;
            stream.write_all(&[0xA5; 4096]).await?;
        }
        Manner::OldHttp => {
            stream.readable().await?;
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nyes\n")
                .await?;
        }
        Manner::Silence => while stream.read(&mut unread).await? > 0 {},
    }
    Ok(())
}
