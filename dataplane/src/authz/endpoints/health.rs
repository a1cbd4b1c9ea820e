//! `grpc.health.v1`: what an endpoint says about itself. It steers the choice of an endpoint, and
//! nothing else: a service that lies about its health is found out by its calls.

use std::{convert::Infallible, future::pending, time::Duration};

use tokio::time::sleep;
use tonic::{Code, Request, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_client::HealthClient,
};
use tracing::debug;

use super::{backoff::Backoff, connection::Connection};
use crate::authz::{classify::Classify, contact::Line};

/// Pauses between attempts to watch.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// Longest message in bytes.
const MAX_MESSAGE: usize = 1024;

/// Watches for as long as the connection lives, and tells whether the endpoint wants calls. One that
/// does not implement the protocol, or says nothing, does.
pub(super) async fn watch(connection: Connection, mut tell: impl FnMut(bool)) -> Infallible {
    let client =
        HealthClient::new(Classify::new(connection)).max_decoding_message_size(MAX_MESSAGE);
    let mut backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let ended = follow(client.clone(), &mut backoff, &mut tell).await;
        tell(true);
        if ended.code() == Code::Unimplemented {
            return pending().await;
        }
        debug!(code = ?ended.code(), "the health watch ended");
        sleep(backoff.pause()).await;
    }
}

/// Follows one stream to its end.
async fn follow(
    mut client: HealthClient<Classify<Connection>>,
    backoff: &mut Backoff,
    tell: &mut impl FnMut(bool),
) -> Status {
    // The empty name: the server as a whole.
    let line = Line::default();
    let mut request = Request::new(HealthCheckRequest::default());
    line.listen(&mut request);
    let mut stream = match client.watch(request).await {
        Ok(stream) => stream.into_inner(),
        Err(status) => return line.status(&status),
    };
    loop {
        match stream.message().await {
            Ok(Some(message)) => {
                backoff.reset();
                tell(is_serving(&message));
            }
            Ok(None) => return Status::ok(""),
            Err(status) => return line.status(&status),
        }
    }
}

/// Whoever does not know the name of the server as a whole says nothing against it.
fn is_serving(message: &HealthCheckResponse) -> bool {
    message.status() != ServingStatus::NotServing
}
