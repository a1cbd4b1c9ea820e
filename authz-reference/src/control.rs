//! The contract's `ControlService`: what data planes are told about sessions that are open already.
//!
//! ```text
//!   user sources ─► changes ─► feed ─► (what is known of the user) ─► hub ─► each watch
//!   reload ───────────────────────────────────────────────────────────┘
//! ```
//!
//! * [`feed`] makes directives of changes, after checks are answered by what is known now,
//! * [`hub`] numbers them and keeps the last ones, so that a watch that broke goes on where it was.

use std::pin::Pin;

use futures_util::{Stream, stream};
use tidegate_proto::v1::{
    WatchDirectivesRequest, WatchDirectivesResponse, control_service_server::ControlService,
};
use tonic::{Request, Response, Status};
use tracing::{debug, info, warn};

use self::hub::{Hub, Watcher};
use crate::server::{Lifetime, OpenWatch};

pub mod feed;
pub mod hub;

/// The service. Cheap to clone: all clones tell the same.
#[derive(Debug, Clone)]
pub struct Control(Hub);

impl Control {
    /// Lets data planes watch `hub`.
    #[must_use]
    pub fn new(hub: Hub) -> Self {
        Self(hub)
    }
}

#[tonic::async_trait]
impl ControlService for Control {
    type WatchDirectivesStream =
        Pin<Box<dyn Stream<Item = Result<WatchDirectivesResponse, Status>> + Send>>;

    async fn watch_directives(
        &self,
        request: Request<WatchDirectivesRequest>,
    ) -> Result<Response<Self::WatchDirectivesStream>, Status> {
        let lifetime = request.extensions().get::<Lifetime>().cloned();
        let lifetime = lifetime.unwrap_or_default();
        let request = request.into_inner();
        let Some(watcher) = self.0.watch(&request.resume_token) else {
            warn!("too many watches of directives; refusing one more");
            return Err(Status::resource_exhausted("too many watches"));
        };
        let data_plane = request.data_plane.unwrap_or_default();
        info!(
            instance = crate::telemetry::clip(&data_plane.instance_id),
            resumed = watcher.is_resumed(),
            "a data plane watches for directives"
        );
        let watch = Watch {
            watcher,
            open: lifetime.open_watch(),
            lifetime,
            is_over: false,
        };
        Ok(Response::new(Box::pin(stream::unfold(watch, Watch::next))))
    }
}

/// One stream.
struct Watch {
    watcher: Watcher,
    #[allow(dead_code, reason = "counts while it is there")]
    open: OpenWatch,
    lifetime: Lifetime,
    is_over: bool,
}

impl Watch {
    /// Pulled by the transport: what a peer does not read costs nothing but its place.
    async fn next(mut self) -> Option<(Result<WatchDirectivesResponse, Status>, Self)> {
        if self.is_over {
            return None;
        }
        let told = tokio::select! {
            told = self.watcher.next() => told,
            // In good order: the data plane watches another replica.
            () = self.lifetime.ended() => return None,
        };
        let told = told.map_err(|_| {
            debug!("a watch of directives is too far behind");
            self.is_over = true;
            Status::data_loss("directives have been missed; watch again")
        });
        Some((told, self))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt as _;
    use tidegate_proto::v1::watch_directives_response::Directive;
    use tonic::Code;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_in_time_has_to_begin_again() {
        let hub = Hub::new("p".to_owned());
        let control = Control::new(hub.clone());
        let request = || Request::new(WatchDirectivesRequest::default());
        let response = control.watch_directives(request()).await.unwrap();
        let mut stream = response.into_inner();
        let first = stream.next().await.unwrap().unwrap();
        assert!(matches!(first.directive, Some(Directive::Heartbeat(_))));
        for _ in 0..2_000 {
            hub.terminate("alice", "");
        }
        let end = stream.next().await.unwrap().unwrap_err();
        assert_eq!(end.code(), Code::DataLoss);
        assert!(stream.next().await.is_none());
        drop(stream);
        assert_eq!(hub.watches(), 0);

        let request = Request::new(WatchDirectivesRequest {
            resume_token: first.resume_token,
            ..WatchDirectivesRequest::default()
        });
        let response = control.watch_directives(request).await.unwrap();
        let first = response.into_inner().next().await.unwrap().unwrap();
        assert!(matches!(first.directive, Some(Directive::Invalidate(_))));
    }
}
