//! Rows as text.

use super::Row;

pub(super) const HEAD: &str = "  \
    path                publishes/s  proxy µs (system)  service µs  sink µs  load µs  checks/call   p50 µs   p99 µs  lost";

pub(super) fn line(row: &Row) -> String {
    let figures = &row.figures;
    let or_dash = |figure: Option<f64>, digits: usize| {
        figure.map_or_else(|| "-".to_owned(), |figure| format!("{figure:.digits$}"))
    };
    let system = figures
        .proxy_system_us
        .map_or_else(String::new, |system| format!("({system:.2})"));
    format!(
        "  {:<18} {:>12.0} {:>9} {:>8} {:>11} {:>8.2} {:>8.2} {:>12} {:>8} {:>8} {:>5}",
        row.way,
        figures.per_second,
        or_dash(figures.proxy_us, 2),
        system,
        or_dash(figures.service_us, 2),
        figures.sink_us,
        figures.load_us,
        or_dash(figures.checks_per_call, 1),
        or_dash(figures.p50_us, 0),
        or_dash(figures.p99_us, 0),
        figures.lost,
    )
}
