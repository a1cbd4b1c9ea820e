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
            let connection = reached.connection();
            let reached = silent.insert(reached);
            let mut client =
                tonic::client::Grpc::new(connection).max_decoding_message_size(MAX_ANSWER);
            client
                .ready()
                .await
                .map_err(|error| Status::unavailable(error.to_string()))?;
            let mut request = Request::new(request);
            request.set_timeout(within);
            let path = PathAndQuery::from_static(path);
            let answer = client.unary(request, path, Raw(R::decode)).await;
            reached.heard();
            answer
        };
        match timeout(within, calling).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(readable(&status)),
            Err(_) => {
                if let Some(reached) = silent {
                    reached.silent(within);
                }
                Err(Status::deadline_exceeded("no answer"))
            }
        }
    }
}

/// An endpoint that a call goes to, for as long as the call lasts.
pub(crate) struct Reached(Picked);

impl Reached {
    pub(crate) fn connection(&self) -> Connection {
        self.0.connection()
    }

    /// It has said something.
    pub(crate) fn heard(&self) {
        self.ended(
            Ending::Heard(super::endpoints::Sign::None),
            "OK",
            Duration::ZERO,
        );
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

/// A connection that breaks is Unknown to tonic.
pub(crate) fn readable(status: &Status) -> Status {
    let is_transport = std::error::Error::source(status).is_some();
    let code = match status.code() {
        Code::Unknown | Code::Internal if is_transport => Code::Unavailable,
        code => code,
    };
    Status::new(code, shortened(status.message()))
}
