//! Reading spans back from a Jaeger v2, by its query API `/api/v3`.

use std::{
    collections::{BTreeMap, HashSet},
    net::{SocketAddr, ToSocketAddrs as _},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{
    otlp_json,
    trace::{Span, hex, spans_of},
};
use crate::{http, topology::unique};

/// Resource attribute that tells the spans of one test from all others that this Jaeger has.
const MARK: &str = "tidegate.test";

/// Services whose traces are looked for: whatever crosses into another is part of such a trace.
const SERVICES: [&str; 2] = ["tidegate", "tidegate-authz"];

/// Traces that one search may return. The largest test makes a quarter of it.
const MOST_TRACES: u32 = 1_500;

/// A Jaeger, as one test sees it: with the spans of the programs that had its
/// [`environment`](Self::environment).
#[derive(Debug)]
pub struct Jaeger {
    /// `host:port`
    authority: String,
    /// In front of `/api`, without a `/` at its end.
    base: String,
    mark: String,
    since: SystemTime,
}

impl Jaeger {
    /// # Panics
    /// If it isn't a URL such as `http://127.0.0.1:16686`. There is no TLS here.
    #[must_use]
    #[track_caller]
    pub fn at(query_url: &str) -> Self {
        let rest = query_url.strip_prefix("http://");
        let rest = rest.unwrap_or_else(|| panic!("no http:// URL: {query_url}"));
        let (authority, base) = rest.split_once('/').unwrap_or((rest, ""));
        let authority = match authority.rsplit_once(':') {
            Some((_, port)) if port.parse::<u16>().is_ok() => authority.to_owned(),
            _ => format!("{authority}:80"),
        };
        let base = base.trim_end_matches('/');
        Self {
            authority,
            base: match base {
                "" => String::new(),
                base => format!("/{base}"),
            },
            mark: format!("{}-{}", unique("run"), std::process::id()),
            // Its clock may be another one's.
            since: SystemTime::now() - Duration::from_secs(60),
        }
    }

    /// Where it receives OTLP, if nobody says otherwise.
    #[must_use]
    pub fn default_endpoint(&self) -> String {
        let host = self.authority.rsplit_once(':').map(|(host, _)| host);
        format!("http://{}:4317", host.unwrap_or(&self.authority))
    }

    /// What programs need in their environment for their spans to be seen here.
    #[must_use]
    pub fn environment(&self) -> BTreeMap<String, String> {
        let attributes = format!("{MARK}={}", self.mark);
        BTreeMap::from([("OTEL_RESOURCE_ATTRIBUTES".to_owned(), attributes)])
    }

    /// All spans that it has found by now.
    #[must_use]
    #[track_caller]
    pub fn spans(&self) -> Vec<Span> {
        let min = rfc3339(self.since);
        let max = rfc3339(SystemTime::now() + Duration::from_secs(60));
        let mut seen = HashSet::new();
        let mut spans = Vec::new();
        for service in SERVICES {
            // Jaeger 2.20 changed from one way of writing names to the other.
            let query = [
                ("query.serviceName", "query.service_name", service),
                ("query.startTimeMin", "query.start_time_min", &min),
                ("query.startTimeMax", "query.start_time_max", &max),
                (
                    "query.searchDepth",
                    "query.num_traces",
                    &MOST_TRACES.to_string(),
                ),
            ];
            let query = query.map(|(new, old, value)| format!("{new}={value}&{old}={value}"));
            let found = self.get(&format!("traces?{}", query.join("&")));
            spans.extend(found.into_iter().filter(|span| {
                let id = (span.trace_id.clone(), span.span_id.clone());
                span.of_process(MARK) == Some(&self.mark) && seen.insert(id)
            }));
        }
        spans
    }

    /// The spans of a trace by now; none before it was ingested.
    #[must_use]
    #[track_caller]
    pub fn trace(&self, trace_id: &[u8]) -> Vec<Span> {
        self.get(&format!("traces/{}", hex(trace_id)))
    }

    #[track_caller]
    fn get(&self, resource: &str) -> Vec<Span> {
        let path = format!("{}/api/v3/{resource}", self.base);
        let answer = http::get_whole(self.address(), &self.authority, &path);
        match answer.status {
            200 => spans_of(otlp_json::resource_spans(&answer.body)).collect(),
            // Nothing yet.
            404 if answer.body.contains("\"httpCode\"") => Vec::new(),
            _ => panic!("GET {path}: {answer:?}"),
        }
    }

    #[track_caller]
    fn address(&self) -> SocketAddr {
        let mut found = self.authority.to_socket_addrs().expect("a host and a port");
        found.next().expect("a host with an address")
    }
}

/// As RFC 3339, in whole seconds of UTC.
fn rfc3339(time: SystemTime) -> String {
    let seconds = time.duration_since(UNIX_EPOCH).expect("after 1970");
    let (days, second) = (seconds.as_secs() / 86_400, seconds.as_secs() % 86_400);
    let (mut year, mut day) = (1970, days);
    let is_leap = |year: u64| {
        year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
    };
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    let day = day + 1;
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_rfc_3339() {
        // date -u -d @… +%FT%TZ
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_798_761_599, "2026-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn the_url_says_where_spans_go() {
        for (url, authority, base, endpoint) in [
            (
                "http://127.0.0.1:16686",
                "127.0.0.1:16686",
                "",
                "http://127.0.0.1:4317",
            ),
            (
                "http://jaeger:16686/",
                "jaeger:16686",
                "",
                "http://jaeger:4317",
            ),
            (
                "http://[::1]:1/base/",
                "[::1]:1",
                "/base",
                "http://[::1]:4317",
            ),
            ("http://jaeger/ui", "jaeger:80", "/ui", "http://jaeger:4317"),
        ] {
            let jaeger = Jaeger::at(url);
            assert_eq!(jaeger.authority, authority);
            assert_eq!(jaeger.base, base);
            assert_eq!(jaeger.default_endpoint(), endpoint);
        }
    }
}
