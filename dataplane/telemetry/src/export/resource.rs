//! Who the spans are from.

use crate::Options;
use opentelemetry::KeyValue;
use opentelemetry_sdk::{
    Resource,
    resource::{EnvResourceDetector, TelemetryResourceDetector},
};

/// The service's name and version, then `OTEL_RESOURCE_ATTRIBUTES`, then `OTEL_SERVICE_NAME`; later
/// ones win. (The SDK's own builder would let our name win over the environment's.)
pub(super) fn detect(options: &Options, environment: impl Fn(&str) -> Option<String>) -> Resource {
    let resource = Resource::builder_empty()
        .with_detector(Box::new(TelemetryResourceDetector))
        .with_service_name(options.service_name)
        .with_attribute(KeyValue::new("service.version", options.service_version))
        .with_detector(Box::new(EnvResourceDetector::new()));
    match environment("OTEL_SERVICE_NAME").filter(|name| !name.is_empty()) {
        Some(name) => resource.with_service_name(name).build(),
        None => resource.build(),
    }
}
