//! What the quick start's own children tell it: lines like those that `tidegate` and
//! `tidegate-authz` log.

use serde_json::{Value, json};
use std::net::SocketAddr;

/// The child is ready, and here.
pub(crate) fn listening(address: SocketAddr) {
    let address = address.to_string();
    line(&json!({ "level": "INFO", "message": "listening", "address": address }));
}

/// Something that the user should see.
pub(crate) fn warning(message: &str) {
    line(&json!({ "level": "WARN", "message": message }));
}

/// What a child fails of.
pub(crate) fn error(message: &str) {
    line(&json!({ "level": "ERROR", "message": message }));
}

fn line(line: &Value) {
    eprintln!("{line}");
}
