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
use tonic::Code;
use tracing::{debug, info};

use super::connection::Connection;
use crate::authz::failure::shortened;

/// Time for the answer; without one, the configuration stands.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longest answer in bytes.
const MAX_ANSWER: usize = 16 * 1024;

/// The narrowest of what the endpoints of a lane want. Reading costs an atomic load.
#[derive(Debug)]
pub struct Capabilities {
    max_batch_size: AtomicUsize,
    max_request_bytes: AtomicUsize,
    max_concurrent_calls: AtomicUsize,
    told: Mutex<HashMap<String, Wish>>,
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
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        match wish {
            Some(wish) => told.insert(address.to_owned(), wish),
            None => told.remove(address),
        };
        let least = |of: fn(&Wish) -> usize| told.values().map(of).min().unwrap_or(usize::MAX);
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

    /// Forgets an endpoint that is gone for good.
    pub(super) fn forget(&self, address: &str) {
        self.note(address, None);
    }

    /// Asks an endpoint, once. Whoever does not implement it has no wishes. `false`: nobody answered.
    pub(super) async fn ask(
        &self,
        address: &str,
        connection: Connection,
        data_plane: v1::DataPlane,
    ) -> bool {
        let mut client =
            AuthorizationServiceClient::new(connection).max_decoding_message_size(MAX_ANSWER);
        let request = v1::GetCapabilitiesRequest {
            data_plane: Some(data_plane),
            api_revision: tidegate_proto::API_REVISION,
        };
        let answer = match timeout(PATIENCE, client.get_capabilities(request)).await {
            Ok(Ok(answer)) => answer.into_inner(),
            Ok(Err(status)) => {
                debug!(address, code = ?status.code(), "the service tells no capabilities");
                self.note(address, None);
                return is_said(status.code());
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
        self.note(address, Some(wish));
        true
    }
}

/// Whether a service says so, and not only something on the way to it.
fn is_said(code: Code) -> bool {
    !matches!(
        code,
        Code::Cancelled
            | Code::Unknown
            | Code::DeadlineExceeded
            | Code::Internal
            | Code::Unavailable
    )
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
}
