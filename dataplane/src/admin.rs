//! The administrator's listener: what the gate is, has and does, and the ways to end it.
//!
//! It asks nobody who they are, so it is for this machine alone (`config::Admin`), and `guard` keeps out what a
//! browser on this machine may be told to send. Nothing here shows a secret.

mod guard;
mod page;
mod sessions;

use std::{sync::Arc, time::SystemTime};

use http::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};
use tidegate_settings::{Entry, Tree};
use tidegate_telemetry::LogFilter;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;
use tracing::{info, warn};

use crate::{
    authz::Counters,
    drain::{Ending, Stop},
    live::Live,
    probes::Readiness,
    session,
    web::{Handler, is_read, method_not_allowed, plain, typed},
};

/// What is here, for who asks for something else.
const PATHS: &str = "here are /, /config_dump, /sessions, /logging, /drain and /quitquitquit\n";

/// The configuration in force, for those who want to see it.
#[derive(Debug)]
pub(crate) struct Dump {
    pub(crate) tree: Tree,
    pub(crate) since: SystemTime,
}

/// What is served.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) readiness: Readiness,
    pub(crate) stop: Stop,
    pub(crate) registry: Arc<session::Registry>,
    pub(crate) sessions: TaskTracker,
    pub(crate) counters: Arc<Counters>,
    pub(crate) dump: Live<Dump>,
    /// None: this process logs in its own way.
    pub(crate) log: Option<LogFilter>,
    /// Names and addresses of the listeners.
    pub(crate) listeners: Vec<(String, String)>,
    pub(crate) started_at: Instant,
    /// Whether only those who may open a file reach it: no browser does.
    pub(crate) is_file: bool,
}

impl Handler for Admin {
    fn answer(&self, request: &Request<String>) -> Response<String> {
        if !self.is_file
            && let Err(why) = guard::check(request)
        {
            return plain(StatusCode::FORBIDDEN, format!("{why}\n"));
        }
        match request.uri().path() {
            "/" => get(request, || {
                typed(StatusCode::OK, page::HTML, page::status(self))
            }),
            "/config_dump" => get(request, || json(&self.config_dump())),
            "/sessions" => get(request, || sessions::page(&self.registry, request)),
            "/logging" => self.logging(request),
            "/drain" => self.end(request, Ending::Drain),
            "/quitquitquit" => self.end(request, Ending::Quit),
            _ => plain(StatusCode::NOT_FOUND, PATHS),
        }
    }
}

impl Admin {
    fn config_dump(&self) -> Value {
        let dump = self.dump.get();
        let since = dump.since.duration_since(SystemTime::UNIX_EPOCH);
        let entries: Vec<_> = dump.tree.entries().map(|entry| shown(&entry)).collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "in_force_since_unix_seconds": since.map_or(0, |since| since.as_secs()),
            "entries": entries,
        })
    }

    fn logging(&self, request: &Request<String>) -> Response<String> {
        let Some(log) = &self.log else {
            return plain(StatusCode::NOT_FOUND, "there is no filter here\n");
        };
        match *request.method() {
            Method::GET | Method::HEAD => {
                let origin = match log.is_from_environment() {
                    true => "RUST_LOG",
                    false => "configuration",
                };
                json(&json!({ "filter": log.text(), "at_start_from": origin }))
            }
            Method::POST => match log.set(request.body().trim()) {
                Ok(()) => {
                    info!(filter = log.text(), "the log filter was changed by request");
                    json(&json!({ "filter": log.text() }))
                }
                Err(error) => plain(StatusCode::BAD_REQUEST, format!("{error}\n")),
            },
            _ => method_not_allowed("GET, HEAD, POST"),
        }
    }

    fn end(&self, request: &Request<String>, ending: Ending) -> Response<String> {
        if request.method() != Method::POST {
            return method_not_allowed("POST");
        }
        warn!(path = request.uri().path(), "told to end by request");
        self.stop.ask(ending);
        plain(StatusCode::ACCEPTED, "draining\n")
    }
}

/// What can only be read.
fn get(request: &Request<String>, answer: impl FnOnce() -> Response<String>) -> Response<String> {
    match is_read(request.method()) {
        true => answer(),
        false => method_not_allowed("GET, HEAD"),
    }
}

fn json(value: &Value) -> Response<String> {
    typed(StatusCode::OK, "application/json", format!("{value:#}\n"))
}

/// The entry as it is told; secrets are masked already.
fn shown(entry: &Entry<'_>) -> Value {
    let value = match entry.value {
        "(unset)" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
    };
    json!({ "key": entry.key, "value": value, "origin": entry.origin.to_string() })
}
