//! The stream of directives, for ever: opened again from where it broke.

#[cfg(test)]
mod tests;

use std::{convert::Infallible, time::Duration};

use tidegate_proto::v1::{self, control_service_client::ControlServiceClient};
use tokio::time::{sleep, timeout};
use tonic::{Code, Request};
use tracing::{debug, error, info, warn};

use crate::{
    authz::{Backoff, Contact, jittered},
    session::Selector,
};

use super::{Directive, Orders};

/// Pauses before the stream is opened again.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Between attempts at a service that has said that it has no ControlService, and never had one.
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
    was_heard: bool,
    is_absence_told: bool,
}

/// How much of the directives is known to have come.
#[derive(Debug, Default)]
struct Position {
    /// The last one. Empty: none is known.
    resume_token: String,
}

/// What is known of a stream.
#[derive(Debug)]
struct Opening {
    /// Whether it goes on from a position.
    resumes: bool,
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
            was_heard: false,
            is_absence_told: false,
        }
    }

    /// Watches, for ever.
    pub(super) async fn run(mut self) -> Infallible {
        let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
        loop {
            let end = self.follow(&mut backoff).await;
            self.orders.metrics().connected(false);
            self.orders.registry().epochs().lost();
            let pause = match end {
                End::Unknown => {
                    if !std::mem::replace(&mut self.is_absence_told, true) {
                        error!(
                            "there is no ControlService at the endpoint: nothing can be revoked"
                        );
                    }
                    // One that was there is on its way back, or only a replica is of another kind.
                    match self.was_heard {
                        true => backoff.pause(),
                        false => jittered(RARELY),
                    }
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
        let (connection, line) = reached.connection();
        let mut client =
            ControlServiceClient::new(connection).max_decoding_message_size(MAX_DIRECTIVE);
        let mut request = Request::new(v1::WatchDirectivesRequest {
            data_plane: Some(self.data_plane.clone()),
            resume_token: self.position.resume_token.clone(),
        });
        line.listen(&mut request);
        // Some services send no headers before the first message.
        let mut stream = match timeout(self.silence, client.watch_directives(request)).await {
            Ok(Ok(response)) => response.into_inner(),
            Ok(Err(status)) => {
                reached.heard(&line);
                return End::from(&line.status(&status));
            }
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
                Ok(Err(status)) => return End::from(&line.status(&status)),
                Err(_) => {
                    reached.silent(self.silence);
                    return End::Silent;
                }
            };
            reached.heard(&line);
            backoff.reset();
            self.take(message, &mut opening);
        }
    }

    fn take(&mut self, message: v1::WatchDirectivesResponse, opening: &mut Opening) {
        if !std::mem::replace(&mut opening.is_heard, true) {
            info!(resumed = opening.resumes, "watching for directives");
            self.is_absence_told = false;
            self.was_heard = true;
            self.orders.metrics().connected(true);
            if !opening.resumes {
                // "From now", and there are sessions of before: even the first stream is not the beginning.
                self.orders.doubt_everything();
            }
        }
        let directive = Directive::from(message.directive);
        let is_lost = opening.is_lost(&directive);
        // One that is not kept as a position is not kept as one to be told either.
        let token = Some(&*message.resume_token).filter(|token| token.len() <= MAX_TOKEN);
        self.orders.carry_out(directive, token.unwrap_or_default());
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
    fn opening(&self) -> Opening {
        Opening {
            resumes: !self.resume_token.is_empty(),
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
        match status.code() {
            Code::Unimplemented => Self::Unknown,
            code => Self::Broken(format!("{code:?}: {}", status.message())),
        }
    }
}
