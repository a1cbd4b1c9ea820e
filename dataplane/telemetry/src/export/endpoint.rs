//! Where the collector is, if anywhere.

use crate::Error;
use http::Uri;

/// Checks the form of an OTLP endpoint, so that a configuration can be refused before it is used.
///
/// # Errors
///
/// [`Error::Endpoint`] for anything but `http://host:port`. (OTLP over TLS is not built in: send to
/// a collector or an agent nearby.)
pub fn check_endpoint(endpoint: &str) -> Result<(), Error> {
    let refuse = |reason| {
        Err(Error::Endpoint {
            endpoint: endpoint.to_owned(),
            reason,
        })
    };
    let Ok(uri) = endpoint.parse::<Uri>() else {
        return refuse("is not a URL");
    };
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return refuse("asks for TLS, which is not supported"),
        Some(_) => return refuse("has an unknown scheme"),
        None => return refuse("lacks the scheme"),
    }
    if uri.host().is_none_or(str::is_empty) {
        return refuse("lacks the host");
    }
    Ok(())
}

/// The endpoint to use: the configured one, or what the standard variables say. An explicit
/// configuration wins, as OpenTelemetry wants it.
pub(super) fn resolve(
    configured: Option<&str>,
    environment: impl Fn(&str) -> Option<String>,
) -> Result<Option<String>, Error> {
    // The specification: an empty variable counts as unset.
    let variable = |name| environment(name).filter(|value| !value.is_empty());
    let says =
        |name, text: &str| variable(name).is_some_and(|value| value.eq_ignore_ascii_case(text));
    if says("OTEL_SDK_DISABLED", "true") || says("OTEL_TRACES_EXPORTER", "none") {
        return Ok(None);
    }

    let endpoint = configured
        .map(str::to_owned)
        .or_else(|| variable("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))
        .or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT"));
    if let Some(endpoint) = &endpoint {
        check_endpoint(endpoint)?;
    }
    Ok(endpoint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve_with(configured: Option<&str>, variables: &[(&str, &str)]) -> Option<String> {
        let lookup = |name: &str| {
            let (_, value) = variables.iter().find(|(key, _)| *key == name)?;
            Some((*value).to_owned())
        };
        resolve(configured, lookup).unwrap()
    }

    const GENERAL: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4317");
    const TRACES: (&str, &str) = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317");

    #[test]
    fn the_more_explicit_wins() {
        assert_eq!(resolve_with(None, &[]), None);
        assert_eq!(resolve_with(None, &[GENERAL]).unwrap(), GENERAL.1);
        assert_eq!(resolve_with(None, &[GENERAL, TRACES]).unwrap(), TRACES.1);
        let configured = Some("http://configured:4317");
        assert_eq!(resolve_with(configured, &[TRACES]).as_deref(), configured);
    }

    #[test]
    fn the_standard_switches_turn_it_off() {
        let configured = Some("http://configured:4317");
        assert_eq!(
            resolve_with(configured, &[("OTEL_SDK_DISABLED", "TRUE")]),
            None
        );
        assert_eq!(
            resolve_with(configured, &[("OTEL_TRACES_EXPORTER", "none")]),
            None
        );
        assert!(resolve_with(configured, &[("OTEL_SDK_DISABLED", "false")]).is_some());
        assert_eq!(
            resolve_with(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "")]),
            None
        );
    }

    #[test]
    fn what_is_no_endpoint_is_refused_with_the_reason() {
        for (endpoint, reason) in [
            ("collector:4317", "scheme"),
            ("collector", "scheme"),
            ("", "not a URL"),
            ("http://", "not a URL"),
            ("grpc://collector:4317", "scheme"),
            ("https://collector:4317", "TLS"),
            ("http://a b", "not a URL"),
        ] {
            let error = check_endpoint(endpoint).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
            assert!(error.contains("expected http://host:port"), "{error}");
        }
    }
}
