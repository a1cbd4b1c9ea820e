//! What a measurement yields.

use serde::Serialize;

/// Figures of one measurement, or the medians of several.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Figures {
    /// PUBLISH packets that arrived, per second.
    pub(crate) per_second: f64,
    /// CPU time of the proxy per PUBLISH, in microseconds, user and system.
    pub(crate) proxy_us: Option<f64>,
    /// The part of it that was spent in the system.
    pub(crate) proxy_system_us: Option<f64>,
    /// CPU time of the service per PUBLISH.
    pub(crate) service_us: Option<f64>,
    /// CPU time of the sink per PUBLISH.
    pub(crate) sink_us: f64,
    /// CPU time of the load per PUBLISH.
    pub(crate) load_us: f64,
    /// Mean size of a batch.
    pub(crate) checks_per_call: Option<f64>,
    /// One-way latency from load to sink in microseconds, special clients excepted.
    pub(crate) p50_us: Option<f64>,
    /// See `p50_us`.
    pub(crate) p99_us: Option<f64>,
    /// That of the special client.
    pub(crate) special_p50_us: Option<f64>,
    /// PUBLISH packets that were sent and never arrived.
    pub(crate) lost: u64,
    /// Those of them that were not the special client's.
    pub(crate) lost_others: u64,
    /// PUBLISH packets that the load did not make, being late itself.
    pub(crate) skipped: u64,
    /// Connections that ended, and acknowledgements out of order.
    pub(crate) broken: u64,
    /// Cores that processes of others kept busy meanwhile.
    pub(crate) strangers: f64,
}

impl Figures {
    /// The median of each figure; of counts of what went wrong, the sum.
    pub(crate) fn median(of: &[Self]) -> Self {
        let some =
            |figure: fn(&Self) -> Option<f64>| middle(of.iter().filter_map(figure).collect());
        let sum = |count: fn(&Self) -> u64| of.iter().map(count).sum();
        Self {
            per_second: some(|f| Some(f.per_second)).unwrap_or(0.0),
            proxy_us: some(|f| f.proxy_us),
            proxy_system_us: some(|f| f.proxy_system_us),
            service_us: some(|f| f.service_us),
            sink_us: some(|f| Some(f.sink_us)).unwrap_or(0.0),
            load_us: some(|f| Some(f.load_us)).unwrap_or(0.0),
            checks_per_call: some(|f| f.checks_per_call),
            p50_us: some(|f| f.p50_us),
            p99_us: some(|f| f.p99_us),
            special_p50_us: some(|f| f.special_p50_us),
            lost: sum(|f| f.lost),
            lost_others: sum(|f| f.lost_others),
            skipped: sum(|f| f.skipped),
            broken: sum(|f| f.broken),
            strangers: some(|f| Some(f.strangers)).unwrap_or(0.0),
        }
    }
}

/// The middle of some figures; `None` of none.
pub(crate) fn middle(mut of: Vec<f64>) -> Option<f64> {
    of.sort_by(f64::total_cmp);
    let upper = *of.get(of.len() / 2)?;
    let lower = *of.get(of.len().saturating_sub(1) / 2)?;
    Some((lower + upper) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_of_rounds_counts_and_what_went_wrong_adds_up() {
        let round = |p50_us, lost| Figures {
            p50_us,
            lost,
            ..Figures::default()
        };
        let rounds = [
            round(Some(9.0), 1),
            round(Some(1.0), 0),
            round(Some(2.0), 2),
        ];
        let median = Figures::median(&rounds);
        assert_eq!((median.p50_us, median.lost), (Some(2.0), 3));
        assert_eq!(Figures::median(&rounds[..2]).p50_us, Some(5.0));
        assert_eq!(Figures::median(&[round(None, 0)]).p50_us, None);
    }
}
