//! `/metrics`: OpenMetrics for those who ask for it, the older text format for others.

use http::{Request, Response, StatusCode, header};
use prometheus_client::{encoding::text, registry::Registry};

use super::classic;
use crate::web;

/// The format that the registry writes.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What is in the `Accept` header of those who read it.
const MEDIA_TYPE: &str = "application/openmetrics-text";

/// All metrics, in the format that the request asks for.
pub(crate) fn page<B>(request: &Request<B>, registry: &Registry) -> Response<String> {
    let mut body = String::new();
    if text::encode(&mut body, registry).is_err() {
        return web::plain(StatusCode::INTERNAL_SERVER_ERROR, "");
    }
    if accepts_open_metrics(request) {
        web::typed(StatusCode::OK, OPEN_METRICS, body)
    } else {
        web::typed(
            StatusCode::OK,
            classic::TEXT,
            classic::from_open_metrics(&body),
        )
    }
}

fn accepts_open_metrics<B>(request: &Request<B>) -> bool {
    let accepted = request.headers().get_all(header::ACCEPT);
    let texts = accepted.iter().filter_map(|value| value.to_str().ok());
    let mut ranges = texts.flat_map(|text| text.split(','));
    ranges.any(|range| {
        let name = range.split(';').next().unwrap_or_default();
        name.trim().eq_ignore_ascii_case(MEDIA_TYPE)
    })
}
