//! Why there is no connection to an endpoint: nobody is there, or somebody is and did not do his part.
//!
//! The difference decides whether the operator's step `allow` may be taken. A client can make a service
//! freeze or starve, so that it accepts connections and then says nothing; it can hardly take it off the network.

use std::{error::Error, io, sync::Arc};

use super::dial::chain;
use crate::authz::failure::Cause;

/// An attempt to connect that failed.
#[derive(Debug, Clone)]
pub(super) struct NoConnection {
    /// For the log.
    why: Arc<str>,
    is_nobody_there: bool,
}

impl NoConnection {
    /// The name has no address, or nobody accepted a connection.
    pub(super) fn nobody(why: String) -> Self {
        Self {
            why: why.into(),
            is_nobody_there: true,
        }
    }

    /// Somebody accepted it, or we could not even try.
    pub(super) fn somebody(why: String) -> Self {
        Self {
            why: why.into(),
            is_nobody_there: false,
        }
    }

    /// Of what the network said when a connection was asked for.
    pub(super) fn of(error: &(dyn Error + 'static)) -> Self {
        let why = chain(error);
        match says_nobody(error) {
            true => Self::nobody(why),
            false => Self::somebody(why),
        }
    }

    pub(super) fn why(&self) -> &str {
        &self.why
    }

    /// What it means for a call, if it is so for all endpoints.
    pub(super) fn cause<'a>(all: impl IntoIterator<Item = &'a Self>) -> Option<Cause> {
        let (mut why, mut is_nobody_there) = (None, true);
        for one in all {
            why = Some(&one.why);
            is_nobody_there &= one.is_nobody_there;
        }
        let why = why?.to_string();
        Some(match is_nobody_there {
            true => Cause::Unreachable(why),
            false => Cause::Transport(why),
        })
    }
}

/// Whether it tells about the other side. What this host lacks (descriptors, ports, memory, a permission) says
/// nothing about the service, and clients can use it up.
fn says_nobody(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            use io::ErrorKind as Kind;
            // Without a number it is of a library: a look-up that failed, or its time was over.
            return error.raw_os_error().is_none()
                || matches!(
                    error.kind(),
                    Kind::ConnectionRefused
                        | Kind::ConnectionReset
                        | Kind::ConnectionAborted
                        | Kind::HostUnreachable
                        | Kind::NetworkUnreachable
                        | Kind::NetworkDown
                        | Kind::TimedOut
                        // The path of a Unix domain socket.
                        | Kind::NotFound
                );
        }
        next = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(errno: i32) -> NoConnection {
        NoConnection::of(&io::Error::from_raw_os_error(errno))
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_this_host_lacks_says_nothing_about_the_service() {
        // ENOENT, ENETUNREACH, ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH.
        for errno in [2, 101, 110, 111, 113] {
            assert!(of(errno).is_nobody_there, "{errno}");
        }
        // EPERM, EAGAIN (a Unix domain socket whose owner accepts nothing), ENOMEM, EACCES, ENFILE, EMFILE, EADDRNOTAVAIL.
        for errno in [1, 11, 12, 13, 23, 24, 99] {
            assert!(!of(errno).is_nobody_there, "{errno}");
        }
    }

    #[test]
    fn one_that_is_there_is_enough() {
        let nobody = NoConnection::nobody("refused".to_owned());
        let somebody = NoConnection::somebody("no handshake".to_owned());
        let is_unreachable =
            |all: &[NoConnection]| matches!(NoConnection::cause(all), Some(Cause::Unreachable(_)));
        assert!(is_unreachable(&[nobody.clone(), nobody.clone()]));
        assert!(!is_unreachable(&[nobody.clone(), somebody.clone()]));
        assert!(!is_unreachable(&[somebody, nobody]));
        assert_eq!(NoConnection::cause([]), None);
    }
}
