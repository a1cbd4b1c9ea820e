//! What the services want to be spared. It only ever narrows the configuration.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tidegate_proto::v1::{self, authorization_service_client::AuthorizationServiceClient};
use tokio::time::timeout;
use tonic::{Code, Request};
use tracing::{debug, info, warn};

use super::connection::Connection;
use crate::authz::{classify::Classify, contact::Line, failure::shortened};

/// Time for the answer; without one, the configuration stands.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// Largest check that is sent whatever an endpoint says, in bytes: what all but few packets fit into. By less, one
/// endpoint could refuse everybody.
const MIN_REQUEST: usize = 64 * 1024;

/// The narrowest of what the endpoints of a lane want: of those in use, if there is one. Reading costs an atomic load.
#[derive(Debug)]
pub struct Capabilities {
    max_batch_size: AtomicUsize,
    max_request_bytes: AtomicUsize,
    max_concurrent_calls: AtomicUsize,
    told: Mutex<HashMap<String, Told>>,
}

/// An endpoint.
#[derive(Debug)]
struct Told {
    wish: Wish,
    /// Connected, and it serves.
    is_in_use: bool,
}

/// What one endpoint wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Wish {
    max_batch_size: usize,
    max_request_bytes: usize,
    max_concurrent_calls: usize,
}

impl Default for Capabilities {
    fn default() -> Self {
        Self {
            max_batch_size: usize::MAX.into(),
            max_request_bytes: usize::MAX.into(),
            max_concurrent_calls: usize::MAX.into(),
            told: Mutex::default(),
        }
    }
}

impl Capabilities {
    /// Most checks in one call, at least 1: the configured number, or fewer.
    #[must_use]
    pub fn max_batch_size(&self, configured: usize) -> usize {
        configured.min(self.max_batch_size.load(Ordering::Relaxed))
    }

    /// Most bytes of one request: the configured number, or fewer.
    #[must_use]
    pub fn max_request_bytes(&self, configured: usize) -> usize {
        configured.min(self.max_request_bytes.load(Ordering::Relaxed))
    }

    /// Most bytes of a check that travels alone: the configured number, or fewer.
    #[must_use]
    pub fn max_check_bytes(&self, configured: usize) -> usize {
        let wish = self.max_request_bytes.load(Ordering::Relaxed);
        configured.min(wish.max(MIN_REQUEST))
    }

    /// Most calls in flight, at least 1: the configured number, or fewer.
    #[must_use]
    pub fn max_concurrent_calls(&self, configured: usize) -> usize {
        configured.min(self.max_concurrent_calls.load(Ordering::Relaxed))
    }

    /// As if the service had said so. Zero: no opinion.
    #[cfg(test)]
    pub(in crate::authz) fn set(&self, batch_size: u32, request_bytes: u32, concurrent_calls: u32) {
        let answer = v1::GetCapabilitiesResponse {
            max_batch_size: batch_size,
            max_request_bytes: request_bytes,
            max_concurrent_calls: concurrent_calls,
            ..v1::GetCapabilitiesResponse::default()
        };
        self.note("", Some(Wish::from(&answer)));
    }

    fn note(&self, address: &str, wish: Option<Wish>) {
        self.change(|told| match wish {
            Some(wish) => {
                let is_in_use = true;
                told.insert(address.to_owned(), Told { wish, is_in_use });
            }
            None => {
                told.remove(address);
            }
        });
    }

    /// Forgets an endpoint that is gone for good.
    pub(super) fn forget(&self, address: &str) {
        self.note(address, None);
    }

    /// Whether calls go to this endpoint. If they go to others, its wishes are not theirs.
    pub(super) fn use_of(&self, address: &str, is_in_use: bool) {
        self.change(|told| {
            if let Some(told) = told.get_mut(address) {
                told.is_in_use = is_in_use;
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<String, Told>)) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut told);
        let is_any_in_use = told.values().any(|one| one.is_in_use);
        let least = |of: fn(&Wish) -> usize| {
            let used = told.values().filter(|one| one.is_in_use || !is_any_in_use);
            used.map(|one| of(&one.wish)).min().unwrap_or(usize::MAX)
        };
        let set = |at: &AtomicUsize, value| at.store(value, Ordering::Relaxed);
        set(&self.max_batch_size, least(|wish| wish.max_batch_size));
        set(
            &self.max_request_bytes,
            least(|wish| wish.max_request_bytes),
        );
        set(
            &self.max_concurrent_calls,
            least(|wish| wish.max_concurrent_calls),
        );
    }

    /// Asks an endpoint, once. Who does not implement it has no wishes. `false`: nobody answered.
    pub(super) async fn ask(
        &self,
        address: &str,
        connection: Connection,
        data_plane: v1::DataPlane,
    ) -> bool {
        let mut client = AuthorizationServiceClient::new(Classify::new(connection))
            .max_decoding_message_size(MAX_ANSWER);
        let line = Line::default();
        let mut request = Request::new(v1::GetCapabilitiesRequest {
            data_plane: Some(data_plane),
            api_revision: tidegate_proto::API_REVISION,
        });
        line.listen(&mut request);
        let asking = async { line.judge(client.get_capabilities(request).await) };
        let answer = match timeout(PATIENCE, asking).await {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => {
                debug!(address, %status, "the service tells no capabilities");
                self.note(address, None);
                // Its own word, not that of a proxy on the way. Who refuses to tell may refuse to decide.
                return status.code() == Code::Unimplemented;
            }
            Err(_) => {
                self.note(address, None);
                return false;
            }
        };
        let wish = Wish::from(&answer);
        info!(
            address,
            implementation = shortened(&answer.implementation),
            api_revision = answer.api_revision,
            max_batch_size = answer.max_batch_size,
            max_request_bytes = answer.max_request_bytes,
            max_concurrent_calls = answer.max_concurrent_calls,
            "connected to the authorization service"
        );
        if wish.max_request_bytes < MIN_REQUEST {
            warn!(
                address,
                max_request_bytes = answer.max_request_bytes,
                "the service accepts very small requests only: a check of up to {MIN_REQUEST} bytes is sent all the same"
            );
        }
        self.note(address, Some(wish));
        true
    }
}

impl From<&v1::GetCapabilitiesResponse> for Wish {
    fn from(answer: &v1::GetCapabilitiesResponse) -> Self {
        // Zero: no opinion.
        let limit = |value: u32| match value {
            0 => usize::MAX,
            value => usize::try_from(value).unwrap_or(usize::MAX),
        };
        Self {
            max_batch_size: limit(answer.max_batch_size),
            max_request_bytes: limit(answer.max_request_bytes),
            max_concurrent_calls: limit(answer.max_concurrent_calls),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(batch: u32) -> Option<Wish> {
        Some(Wish::from(&v1::GetCapabilitiesResponse {
            max_batch_size: batch,
            ..v1::GetCapabilitiesResponse::default()
        }))
    }

    #[test]
    fn the_narrowest_wish_counts_and_nothing_is_widened() {
        let capabilities = Capabilities::default();
        assert_eq!(capabilities.max_batch_size(64), 64);
        capabilities.note("a", wish(16));
        capabilities.note("b", wish(8));
        capabilities.note("c", wish(0));
        assert_eq!(capabilities.max_batch_size(64), 8);
        assert_eq!(capabilities.max_batch_size(4), 4);
        assert_eq!(capabilities.max_request_bytes(1000), 1000);
        capabilities.forget("b");
        assert_eq!(capabilities.max_batch_size(64), 16);
        capabilities.note("a", wish(0));
        assert_eq!(capabilities.max_batch_size(64), 64);
    }

    #[test]
    fn one_that_gets_no_calls_narrows_nothing() {
        let capabilities = Capabilities::default();
        capabilities.note("a", wish(16));
        capabilities.note("b", wish(1));
        capabilities.use_of("b", false);
        assert_eq!(capabilities.max_batch_size(64), 16);
        capabilities.use_of("a", false);
        assert_eq!(capabilities.max_batch_size(64), 1, "they may be next");
        capabilities.use_of("a", true);
        assert_eq!(capabilities.max_batch_size(64), 16);
        // Nobody knows it.
        capabilities.use_of("c", true);
        capabilities.note("b", wish(2));
        assert_eq!(capabilities.max_batch_size(64), 2, "it is back");
    }

    #[test]
    fn an_ordinary_check_is_never_too_large() {
        let capabilities = Capabilities::default();
        assert_eq!(capabilities.max_check_bytes(1 << 20), 1 << 20);
        capabilities.set(0, 1, 0);
        assert_eq!(capabilities.max_request_bytes(1 << 20), 1);
        assert_eq!(capabilities.max_check_bytes(1 << 20), MIN_REQUEST);
        assert_eq!(capabilities.max_check_bytes(1000), 1000);
        capabilities.set(0, 100_000, 0);
        assert_eq!(capabilities.max_check_bytes(1 << 20), 100_000);
    }
}
