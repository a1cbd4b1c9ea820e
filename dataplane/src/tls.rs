//! What the TLS of all sides shares: reading files.

pub(crate) mod pem;
