//! The stream of directives, for ever: opened again from where it broke.

use std::{convert::Infallible, time::Duration};

use tidegate_proto::v1::{self, control_service_client::ControlServiceClient};
use tokio::time::{sleep, timeout};
use tonic::{Code, Request};
use tracing::{debug, error, info, warn};

use crate::{
    authz::{Backoff, Contact, jittered, readable},
    session::Selector,
};

use super::{Directive, Orders};

/// Pauses before the stream is opened again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Between attempts at a service that has no ControlService.
const RARELY: Duration = Duration::from_secs(300);

/// Largest directive in bytes. It holds a few names and a text.
const MAX_DIRECTIVE: usize = 1024 * 1024;

/// Longest resume token that is kept, in bytes.
const MAX_TOKEN: usize = 64 * 1024;

/// A watch.
#[derive(Debug)]
pub(super) struct Watch {
    contact: Contact,
    data_plane: v1::DataPlane,
    silence: Duration,
    orders: Orders,
    position: Position,
    is_absence_told: bool,
}

/// How much of the directives is known to have come.
#[derive(Debug, Default)]
struct Position {
    /// The last one. Empty: none is known.
    resume_token: String,
    /// Whether there was a stream before.
    was_open: bool,
}

/// What is known of a stream.
#[derive(Debug)]
struct Opening {
    /// Whether it goes on from a position.
    resumes: bool,
    /// Whether there was one before it, and no position is known.
    has_gap: bool,
    is_heard: bool,
    /// Whether more may follow by which the service says that the position is lost.
    is_beginning: bool,
    everything_is_invalid: bool,
    everything_is_rechecked: bool,
}

/// Why a stream has ended.
enum End {
    /// There is no ControlService.
    Unknown,
    /// Nothing was heard for too long.
    Silent,
    /// The peer closed it in good order.
    Closed,
    /// Anything else.
    Broken(String),
}

impl Watch {
    pub(super) fn new(
        contact: Contact,
        data_plane: v1::DataPlane,
        silence: Duration,
        orders: Orders,
    ) -> Self {
        Self {
            contact,
            data_plane,
            silence,
            orders,
            position: Position::default(),
            is_absence_told: false,
        }
    }

    /// Watches, for ever.
    pub(super) async fn run(mut self) -> Infallible {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let end = self.follow(&mut backoff).await;
            self.orders.metrics().connected(false);
            let pause = match end {
                End::Unknown => {
                    self.orders.registry().epochs().lost();
                    if !std::mem::replace(&mut self.is_absence_told, true) {
                        error!(
                            "there is no ControlService at the endpoint: nothing can be revoked"
                        );
                    }
                    jittered(RARELY)
                }
                End::Silent => {
                    warn!(silence = ?self.silence, "nothing was heard of the ControlService");
                    backoff.pause()
                }
                End::Closed => {
                    debug!("the ControlService has closed the watch");
                    backoff.pause()
                }
                End::Broken(why) => {
                    warn!(why, "the watch of directives broke");
                    backoff.pause()
                }
            };
            sleep(pause).await;
        }
    }

    /// Opens a stream, and follows it to its end.
    async fn follow(&mut self, backoff: &mut Backoff) -> End {
        let reached = match timeout(self.silence, self.contact.reach()).await {
            Ok(Ok(reached)) => reached,
            Ok(Err(why)) => return End::Broken(why),
            Err(_) => return End::Silent,
        };
        let mut client = ControlServiceClient::new(reached.connection())
            .max_decoding_message_size(MAX_DIRECTIVE);
        let request = Request::new(v1::WatchDirectivesRequest {
            data_plane: Some(self.data_plane.clone()),
            resume_token: self.position.resume_token.clone(),
        });
        // Some services send no headers before the first message.
        let mut stream = match timeout(self.silence, client.watch_directives(request)).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => return End::from(&status),
            Err(_) => {
                reached.silent(self.silence);
                return End::Silent;
            }
        };
        let mut opening = self.position.opening();
        loop {
            let message = match timeout(self.silence, stream.message()).await {
                Ok(Ok(Some(message))) => message,
                Ok(Ok(None)) => return End::Closed,
                Ok(Err(status)) => return End::from(&status),
                Err(_) => {
                    reached.silent(self.silence);
                    return End::Silent;
                }
            };
            reached.heard();
            backoff.reset();
            self.take(message, &mut opening);
        }
    }

    fn take(&mut self, message: v1::WatchDirectivesResponse, opening: &mut Opening) {
        if !std::mem::replace(&mut opening.is_heard, true) {
            info!(resumed = opening.resumes, "watching for directives");
            self.is_absence_told = false;
            self.orders.metrics().connected(true);
            if opening.has_gap {
                self.orders.doubt_everything();
            }
        }
        let directive = Directive::from(message.directive);
        let is_lost = opening.is_lost(&directive);
        self.orders.carry_out(directive, &message.resume_token);
        if is_lost {
            self.orders.reconnect_everybody();
        }
        // Only now: what is about to be carried out is not yet behind us.
        self.position.reached(message.resume_token);
        self.orders.registry().epochs().heard();
    }
}

impl Position {
    /// A stream has been opened from here.
    fn opening(&mut self) -> Opening {
        let resumes = !self.resume_token.is_empty();
        Opening {
            resumes,
            has_gap: std::mem::replace(&mut self.was_open, true) && !resumes,
            is_heard: false,
            is_beginning: true,
            everything_is_invalid: false,
            everything_is_rechecked: false,
        }
    }

    /// A service that names no position does not take the last one back: to hear something twice does no
    /// harm. One that can't be kept is none.
    fn reached(&mut self, resume_token: String) {
        if resume_token.len() > MAX_TOKEN {
            self.resume_token.clear();
        } else if !resume_token.is_empty() {
            self.resume_token = resume_token;
        }
    }
}

impl Opening {
    /// Whether this is the last word of what a service sends first that can't go on from the position.
    fn is_lost(&mut self, directive: &Directive) -> bool {
        match directive {
            Directive::Heartbeat => return false,
            Directive::Invalidate(Selector::All) => self.everything_is_invalid = true,
            Directive::Recheck(Selector::All) => self.everything_is_rechecked = true,
            _ => self.is_beginning = false,
        }
        let is_all = self.everything_is_invalid && self.everything_is_rechecked;
        let is_lost = self.resumes && self.is_beginning && is_all;
        self.is_beginning &= !is_all;
        is_lost
    }
}

impl From<&tonic::Status> for End {
    fn from(status: &tonic::Status) -> Self {
        let status = readable(status);
        match status.code() {
            Code::Unimplemented => Self::Unknown,
            code => Self::Broken(format!("{code:?}: {}", status.message())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invalidate() -> Directive {
        Directive::Invalidate(Selector::All)
    }

    fn recheck() -> Directive {
        Directive::Recheck(Selector::All)
    }

    fn opening(resume_token: &str) -> Opening {
        let mut position = Position::default();
        position.reached(resume_token.to_owned());
        position.opening()
    }

    fn is_lost(resume_token: &str, directives: &[Directive]) -> bool {
        let mut opening = opening(resume_token);
        let mut signs = directives
            .iter()
            .map(|directive| opening.is_lost(directive));
        signs.any(|sign| sign)
    }

    #[test]
    fn a_position_is_lost_if_everything_is_taken_back_first() {
        let some = Directive::Recheck(Selector::Client("c".to_owned()));
        assert!(is_lost("7", &[invalidate(), recheck()]));
        assert!(is_lost(
            "7",
            &[Directive::Heartbeat, recheck(), invalidate()]
        ));
        assert!(!is_lost("", &[invalidate(), recheck()]), "there was none");
        assert!(!is_lost("7", &[some, invalidate(), recheck()]), "later");
        assert!(!is_lost(
            "7",
            &[invalidate(), Directive::Unknown, recheck()]
        ));
        assert!(!is_lost("7", &[recheck()]));
    }

    #[test]
    fn a_position_is_told_once() {
        let mut opening = opening("7");
        assert!(!opening.is_lost(&invalidate()));
        assert!(opening.is_lost(&recheck()));
        assert!(!opening.is_lost(&recheck()));
    }

    #[test]
    fn a_watch_after_another_has_a_gap_if_there_is_no_position() {
        let mut position = Position::default();
        assert!(!position.opening().has_gap, "the first");
        assert!(position.opening().has_gap);
        position.reached("7".to_owned());
        assert!(!position.opening().has_gap);
        // A service that names none does not take the last one back.
        position.reached(String::new());
        assert_eq!(position.resume_token, "7");
        position.reached("x".repeat(MAX_TOKEN + 1));
        assert!(position.opening().has_gap);
    }
}
