//! The manager that started the program, if it is systemd, hears when it serves, that it lives, and when it ends
//! (`sd_notify(3)`).

use std::{
    env,
    ffi::OsStr,
    io,
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

/// Tells it, if there is one. One that does not listen is not told.
pub(super) fn tell(state: &str) {
    if let Some(socket) = env::var_os("NOTIFY_SOCKET") {
        send(&socket, state).ok();
    }
}

/// Tells it that the end has begun, and may take this long.
pub(super) fn stopping(within: Duration) {
    let micros = within.as_micros();
    tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={micros}"));
}

/// Tells it for ever that the program lives, if it wants to hear that: a runtime that is stuck does not.
pub(super) async fn keep_alive() {
    let micros = env::var("WATCHDOG_USEC").ok();
    let pid = env::var("WATCHDOG_PID").ok();
    let Some(every) = watchdog(micros.as_deref(), pid.as_deref()) else {
        return std::future::pending().await;
    };
    // Half of it, as the manual advises.
    let mut ticks = tokio::time::interval(every / 2);
    loop {
        ticks.tick().await;
        tell("WATCHDOG=1");
    }
}

/// How often it wants to hear of this process.
fn watchdog(micros: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let micros = micros.filter(|_| is_ours)?.parse().ok()?;
    (micros >= 1000).then(|| Duration::from_micros(micros))
}

fn send(socket: &OsStr, state: &str) -> io::Result<usize> {
    let address = match socket.as_encoded_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        _ => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    // The manager's slowness must not be ours.
    sender.set_nonblocking(true)?;
    sender.send_to_addr(state.as_bytes(), &address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manager_hears_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), "READY=1").unwrap();
        let mut heard = [0; 16];
        let count = manager.recv(&mut heard).unwrap();
        assert_eq!(&heard[..count], b"READY=1");
        drop(manager);
        assert!(send(path.as_os_str(), "READY=1").is_err());
    }

    #[test]
    fn the_watchdog_is_for_the_process_that_it_names() {
        let own = std::process::id().to_string();
        let second = Some(Duration::from_secs(1));
        assert_eq!(watchdog(Some("1000000"), None), second);
        assert_eq!(watchdog(Some("1000000"), Some(&own)), second);
        assert_eq!(watchdog(Some("1000000"), Some("1")), None);
        assert_eq!(watchdog(Some("0"), None), None);
        assert_eq!(watchdog(Some("soon"), None), None);
        assert_eq!(watchdog(None, None), None);
    }
}
