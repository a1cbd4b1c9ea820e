//! An HTTP client that fails closed: bounded in time, number and size, and never led elsewhere.

use std::{error::Error as _, fmt, net::IpAddr, num::NonZeroUsize, time::Duration};

use reqwest::{
    Request, RequestBuilder, Response, StatusCode, Url,
    header::{ETAG, HeaderValue},
    redirect::Policy,
};
use serde::Serialize;
use thiserror::Error;
use tidegate_telemetry::{TRACE_TARGET, traceparent};
use tokio::{sync::Semaphore, time::timeout};
use tracing::{Instrument, Span, field, info_span, warn};

use super::tls;
use crate::{
    config::http::{BodyFormat, ClientTls, Method},
    deadline::Deadline,
    users::source::SourceError,
};

/// Connections are given up before the other side does: Node.js closes idle ones after 5 s, and a request that
/// meets the end of its connection is lost.
const IDLE: Duration = Duration::from_secs(4);

/// Why there can be no client: the configuration is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{key}: {problem}")]
pub struct OpenError {
    /// The key of the configuration.
    pub key: String,
    /// What was expected and what was found, with the file.
    pub problem: String,
}

impl OpenError {
    pub(in crate::users) fn new(key: impl Into<String>, problem: impl fmt::Display) -> Self {
        Self {
            key: key.into(),
            problem: problem.to_string(),
        }
    }
}

/// The bounds of a [`Client`].
#[derive(Debug, Clone, Copy)]
pub(in crate::users) struct Limits {
    /// For a whole request and its answer.
    pub(in crate::users) timeout: Duration,
    pub(in crate::users) connect_timeout: Duration,
    /// Requests at the same time.
    pub(in crate::users) concurrent: NonZeroUsize,
    /// Requests that wait for their turn.
    pub(in crate::users) queue: usize,
    /// The longest body of an answer, in bytes.
    pub(in crate::users) body: usize,
}

/// A client of one service.
#[derive(Debug)]
pub(in crate::users) struct Client {
    source: &'static str,
    http: reqwest::Client,
    base: String,
    address: String,
    port: u16,
    limits: Limits,
    /// One permit for each request that runs or waits.
    places: Semaphore,
    /// One permit for each request that runs. First come, first served.
    running: Semaphore,
}

/// An answer, whole.
#[derive(Debug)]
pub(in crate::users) struct Answer {
    pub(in crate::users) status: StatusCode,
    pub(in crate::users) etag: Option<HeaderValue>,
    pub(in crate::users) body: Vec<u8>,
}

impl Client {
    /// A client of `base`, whose paths come behind it. `section` is where the configuration has its keys.
    pub(in crate::users) fn new(
        source: &'static str,
        section: &str,
        base: &str,
        limits: Limits,
        files: &ClientTls,
    ) -> Result<Self, OpenError> {
        let url = Url::parse(base).map_err(|_| OpenError::new(section, "expected a URL"))?;
        let address = url.host_str().unwrap_or_default().to_owned();
        if url.scheme() == "http" && !is_loopback(&address) {
            warn!(
                source,
                server.address = address,
                "passwords and tokens go there in the clear: http://, and not this machine"
            );
        }
        let tls = tls::client(section, files, url.scheme() == "https")?;
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("tidegate-authz/", env!("CARGO_PKG_VERSION")))
            // Led elsewhere, a password would be shown to somebody else.
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(limits.connect_timeout)
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(limits.concurrent.get())
            .build()
            .map_err(|error| OpenError::new(section, describe(&error)))?;
        // Semaphores cannot count further than this.
        let most = Semaphore::MAX_PERMITS / 2;
        let concurrent = limits.concurrent.get().min(most);
        Ok(Self {
            source,
            http,
            base: base.to_owned(),
            port: url.port_or_known_default().unwrap_or_default(),
            address,
            limits,
            places: Semaphore::new(concurrent + limits.queue.min(most)),
            running: Semaphore::new(concurrent),
        })
    }

    /// A `GET` of `path`.
    pub(in crate::users) fn get(&self, path: &str) -> RequestBuilder {
        self.http.get(self.url(path))
    }

    /// A request with a body.
    pub(in crate::users) fn request(
        &self,
        method: Method,
        path: &str,
        format: BodyFormat,
        body: &(impl Serialize + Sync),
    ) -> RequestBuilder {
        let url = self.url(path);
        let request = match method {
            Method::Post => self.http.post(url),
            Method::Put => self.http.put(url),
            Method::Get => self.http.get(url),
        };
        match format {
            BodyFormat::Json => request.json(body),
            BodyFormat::Form => request.form(body),
        }
    }

    /// Sends a request, when it is its turn, and reads the whole answer.
    ///
    /// # Errors
    /// If it takes too long, there are too many, the service can't be reached or says too much. Whatever status
    /// it answers with is no error here.
    pub(in crate::users) async fn send(
        &self,
        request: RequestBuilder,
        deadline: Deadline,
    ) -> Result<Answer, SourceError> {
        let Ok(_place) = self.places.try_acquire() else {
            return Err(SourceError::Busy(self.source));
        };
        let Some(Ok(_turn)) = deadline.bound(self.running.acquire()).await else {
            return Err(SourceError::Busy(self.source));
        };
        let mut request = request
            .build()
            .map_err(|error| self.unavailable(describe(&error)))?;
        let span = self.span(&request);
        let parent = traceparent(&span).and_then(|parent| parent.parse().ok());
        if let Some(parent) = parent {
            request.headers_mut().insert("traceparent", parent);
        }
        let answer = async {
            let answer = timeout(self.limits.timeout, self.exchange(request));
            match deadline.bound(answer).await {
                Some(Ok(answer)) => answer,
                Some(Err(_)) => Err(format!("no answer within {:?}", self.limits.timeout)),
                None => Err("no answer in time".to_owned()),
            }
        };
        let answer = answer.instrument(span.clone()).await;
        match answer {
            Ok(answer) => {
                span.record(
                    "http.response.status_code",
                    i64::from(answer.status.as_u16()),
                );
                if answer.status.is_server_error() {
                    span.record("otel.status_code", "ERROR");
                    span.record("error.type", answer.status.as_str());
                }
                Ok(answer)
            }
            Err(problem) => {
                span.record("otel.status_code", "ERROR");
                span.record("error.type", "unavailable");
                Err(self.unavailable(problem))
            }
        }
    }

    /// What the service should not have said.
    pub(in crate::users) fn unavailable(&self, problem: impl fmt::Display) -> SourceError {
        SourceError::Unavailable {
            source_name: self.source,
            problem: format!("{}:{}: {problem}", self.address, self.port),
        }
    }

    /// A status that neither says yes nor no.
    pub(in crate::users) fn unexpected(&self, status: StatusCode) -> SourceError {
        match status {
            StatusCode::TOO_MANY_REQUESTS => SourceError::Busy(self.source),
            status => self.unavailable(format_args!("answered {}", status.as_u16())),
        }
    }

    async fn exchange(&self, request: Request) -> Result<Answer, String> {
        let response = self.http.execute(request).await;
        let response = response.map_err(|error| describe(&error))?;
        let status = response.status();
        let etag = response.headers().get(ETAG).cloned();
        let body = self.body(response).await?;
        Ok(Answer { status, etag, body })
    }

    fn url(&self, path: &str) -> String {
        match path {
            "" => self.base.clone(),
            path => format!("{}{path}", self.base.trim_end_matches('/')),
        }
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, String> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| describe(&error))? {
            if body.len() + chunk.len() > self.limits.body {
                return Err(format!(
                    "the answer is longer than {} bytes",
                    self.limits.body
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    /// Built only within a sampled check.
    fn span(&self, request: &Request) -> Span {
        if Span::current().is_disabled() {
            return Span::none();
        }
        info_span!(
            target: TRACE_TARGET,
            "http request",
            otel.name = request.method().as_str(),
            otel.kind = "client",
            otel.status_code = field::Empty,
            http.request.method = request.method().as_str(),
            server.address = self.address,
            server.port = i64::from(self.port),
            http.response.status_code = field::Empty,
            error.r#type = field::Empty,
        )
    }
}

/// The error with all its causes, and without the URL.
fn describe(error: &reqwest::Error) -> String {
    let mut text = match () {
        () if error.is_connect() => "cannot connect".to_owned(),
        () if error.is_timeout() => "timed out".to_owned(),
        () if error.is_body() || error.is_decode() => "the answer breaks off".to_owned(),
        () => "no answer".to_owned(),
    };
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
