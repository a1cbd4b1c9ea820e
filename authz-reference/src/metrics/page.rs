//! `/metrics`, in the format of OpenMetrics.

use prometheus_client::{encoding::text, registry::Registry};

/// The format.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics.
///
/// # Errors
/// If a collector fails, which none of ours does.
pub(crate) fn page(registry: &Registry) -> Result<String, std::fmt::Error> {
    let mut body = String::new();
    text::encode(&mut body, registry)?;
    Ok(body)
}
