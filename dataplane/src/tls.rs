//! What the TLS of all sides shares: reading files, and being the side that connects.

pub(crate) mod client;
pub(crate) mod expiry;
pub(crate) mod pem;
pub(crate) mod stamp;
