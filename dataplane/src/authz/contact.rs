//! A way to the companions of the authorization service, ControlService and EventService: connections of
//! their own, so that neither is in the way of a decision.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::uri::PathAndQuery;
use tidegate_proto::v1;
use tokio::time::timeout;
use tonic::{Code, Request, Status};

use super::{
    AuthzOptions, Counters,
    classify::{Classify, Heard, Probe},
    codec::Raw,
    endpoints::{Connection, Ending, Endpoints, Picked},
    failure::shortened,
    hook::HookKind,
};

/// Largest answer in bytes.
const MAX_ANSWER: usize = 256 * 1024;

/// The endpoints of a companion. Nothing is dialled before it is asked for.
#[derive(Debug)]
pub struct Contact(Endpoints);

impl Contact {
    /// For the endpoints of these options.
    #[must_use]
    pub fn new(options: &AuthzOptions, data_plane: v1::DataPlane) -> Self {
        let options = AuthzOptions {
            // It says how the decisions are, and there are none here.
            health_check: false,
            ..options.clone()
        };
        // Counts of endpoints are about decisions, too: these are nobody's.
        let counters = Arc::<Counters>::default();
        Self(Endpoints::new(
            &options,
            data_plane,
            HookKind::Connect,
            counters,
        ))
    }

    /// One of the endpoints.
    ///
    /// # Errors
    ///
    /// None can be reached, in words for the log.
    pub(crate) async fn reach(&self) -> Result<Reached, String> {
        match self.0.pick(None).await {
            Ok(picked) => Ok(Reached(picked)),
            Err(cause) => Err(cause.to_string()),
        }
    }

    /// Makes one call with an encoded request.
    ///
    /// # Errors
    ///
    /// The service's status, or UNAVAILABLE or DEADLINE_EXCEEDED of our own; its text is fit for the log.
    /// UNIMPLEMENTED is the service's word: what a proxy answers is none.
    pub(crate) async fn call<R>(
        &self,
        path: &'static str,
        request: Bytes,
        within: Duration,
    ) -> Result<R, Status>
    where
        R: prost::Message + Default + 'static,
    {
        let mut silent = None;
        let calling = async {
            let reached = self.reach().await.map_err(Status::unavailable)?;
            let (connection, line) = reached.connection();
            let reached = silent.insert(reached);
            let mut client =
                tonic::client::Grpc::new(connection).max_decoding_message_size(MAX_ANSWER);
            client
                .ready()
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            let mut request = Request::new(request);
            request.set_timeout(within);
            line.listen(&mut request);
            let path = PathAndQuery::from_static(path);
            let answer = client.unary(request, path, Raw(R::decode)).await;
            reached.heard(&line);
            line.judge(answer)
        };
        match timeout(within, calling).await {
            Ok(answer) => answer.map(tonic::Response::into_inner),
            Err(_) => {
                if let Some(reached) = silent {
                    reached.silent(within);
                }
                Err(Status::deadline_exceeded("no answer"))
            }
        }
    }
}

/// What is heard of the peer in one call. To be put into the extensions of its request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Line(Probe);

impl Line {
    /// Into the extensions of a request.
    pub(crate) fn listen<T>(&self, request: &mut Request<T>) {
        request.extensions_mut().insert(self.0.clone());
    }

    /// An answer is one only if the service has said so: tonic takes an end without a status for OK.
    pub(crate) fn judge<R>(&self, answer: Result<R, Status>) -> Result<R, Status> {
        match (answer, self.0.heard()) {
            (Ok(answer), Heard::Status(Code::Ok)) => Ok(answer),
            (Ok(_), _) => Err(self.status(&Status::unavailable("no status"))),
            (Err(status), _) => Err(self.status(&status)),
        }
    }

    /// What the status of the call means, with a text fit for the log. What the service has not said itself is
    /// UNAVAILABLE: tonic makes a status of a broken connection, and of the answers of proxies.
    pub(crate) fn status(&self, status: &Status) -> Status {
        let message = shortened(status.message());
        match self.0.heard() {
            // Our own limit on what we read is told as a status, too.
            Heard::Status(Code::Ok) | Heard::Head => Status::new(status.code(), message),
            Heard::Status(code) => Status::new(code, message),
            Heard::NotGrpc(http) => Status::unavailable(format!(
                "no gRPC, but HTTP status {}: {message}",
                http.as_u16()
            )),
            Heard::Nothing | Heard::Broken | Heard::NoStatus => Status::unavailable(message),
        }
    }
}

/// An endpoint that a call goes to, for as long as the call lasts.
pub(crate) struct Reached(Picked);

impl Reached {
    /// The connection, for a call that is listened to.
    pub(crate) fn connection(&self) -> (Classify<Connection>, Line) {
        (Classify::new(self.0.connection()), Line::default())
    }

    /// The call has come to something: it has said something, or the connection broke before.
    pub(crate) fn heard(&self, line: &Line) {
        let (ending, status) = match line.0.heard() {
            Heard::Nothing => (Ending::Broken, "transport"),
            _ => (Ending::Heard(super::endpoints::Sign::None), "OK"),
        };
        self.ended(ending, status, Duration::ZERO);
    }

    /// It has said nothing for this long.
    pub(crate) fn silent(&self, took: Duration) {
        self.ended(
            Ending::Silent(super::endpoints::Sign::Bad),
            "DEADLINE_EXCEEDED",
            took,
        );
    }

    fn ended(&self, ending: Ending, status: &'static str, took: Duration) {
        self.0.ended(ending, status, HookKind::Connect, took);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authz::testing::{
        self,
        service::{ANY, Play, Scripted},
    };

    /// The code of a call that this is done with.
    async fn code(play: Play) -> Code {
        let service = Scripted::every(ANY, move |seen| {
            match seen.path.ends_with("/ReportEvents") {
                true => play.clone(),
                false => Play::OnlyStatus(12),
            }
        });
        let service = service.await;
        let contact = Contact::new(
            &testing::options([service.address]),
            v1::DataPlane::default(),
        );
        let path = "/tidegate.authz.v1.EventService/ReportEvents";
        let within = Duration::from_secs(20);
        let called = contact.call::<v1::ReportEventsResponse>(path, Bytes::new(), within);
        called.await.unwrap_err().code()
    }

    #[tokio::test]
    async fn only_the_service_can_say_that_it_has_no_such_method() {
        assert_eq!(code(Play::OnlyStatus(12)).await, Code::Unimplemented);
        assert_eq!(code(Play::OnlyStatus(2)).await, Code::Unknown);
        for play in [
            // A proxy whose route is not ready.
            Play::Http(404, "text/html"),
            Play::Http(404, "application/grpc"),
            Play::Http(502, "text/html"),
            Play::GoAway,
            Play::BreakMidway,
            Play::Reset(h2::Reason::INTERNAL_ERROR),
        ] {
            assert_eq!(code(play.clone()).await, Code::Unavailable, "{play:?}");
        }
    }
}
