//! What is counted for each endpoint of the service. Their addresses are the operator's, or what the
//! operator's names lead to: a bounded number at a time, and those that are gone are forgotten.

use std::{fmt, sync::Arc};

use prometheus_client::{encoding::DescriptorEncoder, registry::Unit};

use crate::authz::EndpointCounters;

use super::encode::{Measured, gauge, histogram};

/// Writes them all.
pub(super) fn encode(
    encoder: &mut DescriptorEncoder<'_>,
    endpoints: &[Arc<EndpointCounters>],
) -> fmt::Result {
    let mut by_endpoint = |name, help, read: fn(&EndpointCounters) -> bool| {
        let samples = endpoints.iter().map(|endpoint| {
            let labels = [
                ("hook", endpoint.hook.as_str()),
                ("server_address", endpoint.address.as_str()),
            ];
            (labels, u64::from(read(endpoint)))
        });
        gauge(encoder, name, help, samples.collect())
    };
    by_endpoint(
        "authz_endpoint_healthy",
        "1: connected, and does not say that it is unwell.",
        EndpointCounters::is_healthy,
    )?;
    by_endpoint(
        "authz_endpoint_ejected",
        "1: left alone for having failed call after call.",
        EndpointCounters::is_ejected,
    )?;

    let mut samples = Vec::new();
    for endpoint in endpoints {
        for (hook, status, took) in endpoint.calls() {
            let labels = [
                ("hook", hook),
                ("status", status),
                ("server_address", endpoint.address.as_str()),
            ];
            samples.push((labels, Measured::from(&*took)));
        }
    }
    histogram(
        encoder,
        "authz_call_duration",
        "Calls to the service, by gRPC status, or what stood in its place.",
        Some(Unit::Seconds),
        samples,
    )
}
