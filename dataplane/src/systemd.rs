//! The manager that started the process, if it is systemd: it is told how the gate is, and may hand sockets
//! over (`sd_notify(3)`, `sd_listen_fds(3)`).

use std::{
    env, io,
    net::{SocketAddr, TcpListener},
    os::{
        linux::net::SocketAddrExt as _,
        unix::net::{SocketAddr as UnixAddr, UnixDatagram, UnixListener},
    },
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use listenfd::ListenFd;
use rustix::time::{ClockId, clock_gettime};
use thiserror::Error;
use tracing::warn;

/// Tells the manager; clones tell the same one. The default tells nobody.
#[derive(Debug, Clone, Default)]
pub struct Notifier(Option<Arc<Inner>>);

#[derive(Debug)]
struct Inner {
    /// For what is said once: it waits for its turn, a moment.
    patient: UnixDatagram,
    /// For what is said again and again: it must not be held up.
    hasty: UnixDatagram,
    /// Whether the end was told. Nothing but it counts from then on.
    has_ended: Mutex<bool>,
    /// How often it wants to hear that the gate is alive.
    watchdog: Option<Duration>,
}

/// The wait for a place in the manager's queue.
const SEND: Duration = Duration::from_secs(1);

impl Notifier {
    /// What the environment says: `NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`.
    ///
    /// # Errors
    ///
    /// The socket that it names is none.
    pub fn from_env() -> io::Result<Self> {
        let Some(path) = env::var_os("NOTIFY_SOCKET") else {
            return Ok(Self(None));
        };
        let address = match path.as_encoded_bytes() {
            [b'@', name @ ..] => UnixAddr::from_abstract_name(name)?,
            _ => UnixAddr::from_pathname(&path)?,
        };
        let watchdog = watchdog(
            env::var("WATCHDOG_USEC").ok().as_deref(),
            env::var("WATCHDOG_PID").ok().as_deref(),
        );
        Self::to(&address, watchdog)
    }

    fn to(address: &UnixAddr, watchdog: Option<Duration>) -> io::Result<Self> {
        let connected = || {
            let socket = UnixDatagram::unbound()?;
            socket.connect_addr(address).map(|()| socket)
        };
        let (patient, hasty) = (connected()?, connected()?);
        // The manager's slowness must not be ours.
        patient.set_write_timeout(Some(SEND))?;
        hasty.set_nonblocking(true)?;
        Ok(Self(Some(Arc::new(Inner {
            patient,
            hasty,
            has_ended: Mutex::new(false),
            watchdog,
        }))))
    }

    /// The listeners are open, or the configuration has been read again.
    pub(crate) fn ready(&self, status: &str) {
        let status = status.replace('\n', " ");
        self.tell(&format!("READY=1\nSTATUS={status}"), false);
    }

    /// The configuration is read again; [`ready`](Self::ready) is to follow, whatever comes of it.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let micros = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1000;
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={micros}"), false);
    }

    /// The end has begun. It may take this long.
    pub(crate) fn stopping(&self, within: Duration) {
        let micros = within.as_micros();
        let state = format!("STOPPING=1\nSTATUS=draining\nEXTEND_TIMEOUT_USEC={micros}");
        self.tell(&state, true);
    }

    /// Tells for ever that the gate is alive, if the manager wants to hear it: a runtime that is stuck does not.
    pub(crate) async fn keep_alive(self) {
        let watchdog = self.0.as_ref().and_then(|inner| inner.watchdog);
        let Some(every) = watchdog else {
            return std::future::pending().await;
        };
        // Half of it, as the manual advises.
        let mut ticks = tokio::time::interval(every / 2);
        loop {
            ticks.tick().await;
            if let Some(inner) = &self.0
                && let Err(error) = inner.hasty.send(b"WATCHDOG=1")
            {
                warn!(%error, "the manager was not told that the gate is alive");
            }
        }
    }

    /// Waits for a moment, if the manager is busy: without a READY it ends the process.
    fn tell(&self, state: &str, is_end: bool) {
        let Some(inner) = &self.0 else {
            return;
        };
        let has_ended = inner.has_ended.lock();
        let mut has_ended = has_ended.unwrap_or_else(PoisonError::into_inner);
        if *has_ended && !is_end {
            return;
        }
        *has_ended |= is_end;
        if let Err(error) = inner.patient.send(state.as_bytes()) {
            let state = state.lines().next();
            warn!(%error, state, "the manager was not told");
        }
    }
}

/// How often the manager wants to hear of this process.
fn watchdog(micros: Option<&str>, pid: Option<&str>) -> Option<Duration> {
    let is_ours = pid.is_none_or(|pid| pid.parse() == Ok(std::process::id()));
    let micros = micros.filter(|_| is_ours)?.parse().ok()?;
    (micros >= 1000).then(|| Duration::from_micros(micros))
}

/// Why sockets of the manager cannot be used.
#[derive(Debug, Error)]
pub enum SocketError {
    /// One is neither TCP nor a Unix stream socket that listens.
    #[error("the socket {name:?} that was handed over cannot be used")]
    Kind {
        /// Its name (`FileDescriptorName=`).
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// One is for nobody.
    #[error(
        "the socket {name:?} that was handed over is for no listener: its name has to be that of a \
         listener, `probes` or `admin`, or its address the one in the configuration"
    )]
    Unused {
        /// Its name.
        name: String,
    },
}

/// Sockets that the manager has opened, until they are taken.
#[derive(Debug, Default)]
pub struct Sockets(Vec<(String, Inherited)>);

/// One of them.
#[derive(Debug)]
enum Inherited {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Sockets {
    /// What the environment says: `LISTEN_FDS`, `LISTEN_FDNAMES`, `LISTEN_PID`. To be called once, before there
    /// are threads.
    ///
    /// # Errors
    ///
    /// Something that is no socket that listens.
    pub fn from_env() -> Result<Self, SocketError> {
        let names = env::var("LISTEN_FDNAMES").unwrap_or_default();
        let mut names = names.split(':');
        let mut descriptors = ListenFd::from_env();
        let mut sockets = Vec::new();
        for index in 0..descriptors.len() {
            let name = names.next().unwrap_or_default().to_owned();
            let socket = match descriptors.take_tcp_listener(index) {
                Ok(socket) => socket.map(Inherited::Tcp),
                Err(_) => {
                    let socket = descriptors.take_unix_listener(index);
                    let socket = socket.map_err(|source| SocketError::Kind {
                        name: name.clone(),
                        source,
                    })?;
                    socket.map(Inherited::Unix)
                }
            };
            sockets.extend(socket.map(|socket| (name, socket)));
        }
        Ok(Self(sockets))
    }

    /// The TCP socket of this name, or else of this address, unless it bears the name of another in `names`.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub(crate) fn take_tcp(
        &mut self,
        name: &str,
        address: SocketAddr,
        names: &[&str],
    ) -> io::Result<Option<tokio::net::TcpListener>> {
        let is_tcp = |socket: &Inherited| match socket {
            Inherited::Tcp(socket) => socket.local_addr().ok(),
            Inherited::Unix(_) => None,
        };
        let by_name = |entry: &(String, Inherited)| entry.0 == name && is_tcp(&entry.1).is_some();
        let by_address = |entry: &(String, Inherited)| {
            is_tcp(&entry.1) == Some(address) && !names.contains(&&*entry.0)
        };
        let mut entries = self.0.iter();
        let index = entries
            .position(by_name)
            .or_else(|| self.0.iter().position(by_address));
        match index.map(|index| self.0.swap_remove(index)) {
            Some((_, Inherited::Tcp(socket))) => {
                socket.set_nonblocking(true)?;
                tokio::net::TcpListener::from_std(socket).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// The Unix socket of this name.
    ///
    /// # Errors
    ///
    /// The system's refusal.
    pub(crate) fn take_unix(&mut self, name: &str) -> io::Result<Option<tokio::net::UnixListener>> {
        let is_it =
            |entry: &(String, Inherited)| entry.0 == name && matches!(entry.1, Inherited::Unix(_));
        let index = self.0.iter().position(is_it);
        match index.map(|index| self.0.swap_remove(index)) {
            Some((_, Inherited::Unix(socket))) => {
                socket.set_nonblocking(true)?;
                tokio::net::UnixListener::from_std(socket).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// That none is left.
    ///
    /// # Errors
    ///
    /// One is: clients would be let in by the kernel, and nobody would ever talk to them.
    pub(crate) fn expect_none(&self) -> Result<(), SocketError> {
        match self.0.first() {
            Some((name, _)) => Err(SocketError::Unused { name: name.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_manager_that_is_busy_hears_of_it_later_and_of_nothing_after_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        let address = UnixAddr::from_pathname(&path).unwrap();
        let notifier = Notifier::to(&address, None).unwrap();
        let other = UnixDatagram::unbound().unwrap();
        other.connect_addr(&address).unwrap();
        other.set_nonblocking(true).unwrap();
        while other.send(b"x").is_ok() {}
        let listening = std::thread::spawn(move || {
            let mut heard = Vec::new();
            let mut buffer = [0; 1024];
            while !heard.iter().any(|text: &String| text == "end") {
                let length = manager.recv(&mut buffer).unwrap();
                heard.push(String::from_utf8_lossy(&buffer[..length]).into_owned());
            }
            heard
        });
        notifier.ready("serving");
        notifier.stopping(SEND);
        notifier.reloading();
        notifier.ready("serving");
        other.set_nonblocking(false).unwrap();
        other.send(b"end").unwrap();
        let mut heard = listening.join().unwrap();
        heard.retain(|text| text != "x");
        let begins: Vec<_> = heard.iter().map(|text| text.lines().next()).collect();
        assert_eq!(begins, [Some("READY=1"), Some("STOPPING=1"), Some("end")]);
    }

    #[tokio::test]
    async fn sockets_go_by_name_and_then_by_address() {
        let socket = || TcpListener::bind("127.0.0.1:0").unwrap();
        let (first, second) = (socket(), socket());
        let addresses = [&first, &second].map(|socket| socket.local_addr().unwrap());
        let mut sockets = Sockets(vec![
            ("mqtt".to_owned(), Inherited::Tcp(first)),
            ("unit.socket".to_owned(), Inherited::Tcp(second)),
        ]);
        let nowhere = ([127, 0, 0, 1], 1).into();
        let names = ["mqtt", "other"];
        let mut take = |name, address| sockets.take_tcp(name, address, &names).unwrap();
        assert!(take("other", nowhere).is_none());
        assert!(take("other", addresses[0]).is_none(), "it is mqtt's");
        let by_address = take("other", addresses[1]).unwrap();
        assert_eq!(by_address.local_addr().unwrap(), addresses[1]);
        assert!(
            matches!(sockets.expect_none(), Err(SocketError::Unused { name }) if name == "mqtt")
        );
        let by_name = sockets.take_tcp("mqtt", nowhere, &names).unwrap().unwrap();
        assert_eq!(by_name.local_addr().unwrap(), addresses[0]);
        sockets.expect_none().unwrap();
    }
}
