//! A real Mosquitto behind the gate.
//!
//! Mosquitto knows nothing of the [`leash`], so this child of the quick start holds
//! it and ends Mosquitto when it is let go.

use crate::{leash, report};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    process::Stdio,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStderr, Command},
    time::{sleep, timeout},
};

/// File of the configuration, in the working directory.
const CONFIGURATION: &str = "mosquitto.conf";

/// From the start to the first connection.
const START: Duration = Duration::from_secs(5);

/// Runs Mosquitto on a free port of 127.0.0.1, which it reports, until either of them is to end.
pub(crate) async fn run() -> io::Result<()> {
    let (release, released) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        leash::wait_for_release();
        let _ = release.send(());
    });

    let address = free_address().await?;
    let mut mosquitto = start(address)?;
    if let Some(log) = mosquitto.stderr.take() {
        tokio::spawn(pass_on(log));
    }
    let ending = tokio::select! {
        status = mosquitto.wait() => Err(io::Error::other(format!("ended: {}", status?))),
        ready = wait_until_ready(address) => match ready {
            Ok(()) => {
                report::listening(address);
                Ok(())
            }
            Err(error) => Err(error),
        },
    };
    ending?;
    tokio::select! {
        status = mosquitto.wait() => Err(io::Error::other(format!("ended: {}", status?))),
        _ = released => mosquitto.kill().await,
    }
}

/// Mosquitto cannot choose a port and say which, so one is chosen for it.
async fn free_address() -> io::Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    listener.local_addr()
}

fn start(address: SocketAddr) -> io::Result<Child> {
    let configuration = format!(
        "listener {} {}\nallow_anonymous true\npersistence false\n\
         log_dest stderr\nlog_type error\nlog_type warning\nlog_timestamp false\n",
        address.port(),
        address.ip(),
    );
    std::fs::write(CONFIGURATION, configuration)?;
    // Debian has it where only root looks.
    let path = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/usr/local/sbin";
    let mosquitto = Command::new("mosquitto")
        .args(["-c", CONFIGURATION])
        .env("PATH", path)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    mosquitto.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::new(error.kind(), "there is no mosquitto on the PATH")
        }
        _ => error,
    })
}

async fn wait_until_ready(address: SocketAddr) -> io::Result<()> {
    let connected = timeout(START, async {
        while TcpStream::connect(address).await.is_err() {
            sleep(Duration::from_millis(20)).await;
        }
    });
    connected.await.map_err(io::Error::from)
}

async fn pass_on(log: ChildStderr) {
    let mut lines = BufReader::new(log).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        report::warning(&line);
    }
}
