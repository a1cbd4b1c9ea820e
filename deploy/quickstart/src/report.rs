//! What a child of the quick start's own tells its parent: lines like those that `tidegate` and
//! `tidegate-authz` log.

use serde_json::json;
use std::net::SocketAddr;

/// The child is ready, and here.
pub(crate) fn listening(address: SocketAddr) {
    line(&json!({ "level": "INFO", "message": "listening", "address": address.to_string() }));
}

/// Something that the user should see.
pub(crate) fn warning(message: &str) {
    line(&json!({ "level": "WARN", "message": message }));
}

fn line(line: &serde_json::Value) {
    eprintln!("{line}");
}
