//! Families of metrics whose values are at hand.

use std::fmt;

use prometheus_client::{
    encoding::{DescriptorEncoder, EncodeGaugeValue, EncodeMetric, NoLabelSet},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
    registry::Unit,
};

use crate::authz::{Histogram, Scale};

/// Names of labels and their values.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// A histogram at one moment.
#[derive(Debug)]
pub(super) struct Measured {
    sum: f64,
    buckets: Vec<(f64, u64)>,
}

impl<S: Scale> From<&Histogram<S>> for Measured {
    fn from(histogram: &Histogram<S>) -> Self {
        Self {
            sum: histogram.sum(),
            buckets: histogram.buckets(),
        }
    }
}

/// A family of counters.
pub(super) fn counter<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: Vec<(Labels<'_, N>, u64)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, value) in samples {
        ConstCounter::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A family of gauges.
pub(super) fn gauge<const N: usize, V: EncodeGaugeValue>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    samples: Vec<(Labels<'_, N>, V)>,
) -> fmt::Result {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        ConstGauge::new(value).encode(metric.encode_family(&labels)?)?;
    }
    Ok(())
}

/// A family of histograms. The unit is added to the name.
pub(super) fn histogram<const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    unit: Option<Unit>,
    samples: Vec<(Labels<'_, N>, Measured)>,
) -> fmt::Result {
    let unit = unit.as_ref();
    let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Histogram)?;
    for (labels, Measured { sum, buckets }) in samples {
        // Of these very buckets: more may fall into others meanwhile.
        let count = buckets.iter().map(|(_, count)| count).sum();
        metric
            .encode_family(&labels)?
            .encode_histogram::<NoLabelSet>(sum, count, &buckets, None)?;
    }
    Ok(())
}
