//! The older text format, which Prometheus 1 and 2 and most tools read, made of OpenMetrics.

/// The format.
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Rewrites what the registry has encoded. The formats differ in the descriptors only: here a counter's name
/// has its `_total` and an info's its `_info`, and there are neither units nor an end.
pub(super) fn from_open_metrics(text: &str) -> String {
    let mut classic = String::with_capacity(text.len());
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        let is_left_out = line == "# EOF" || line.starts_with("# UNIT ");
        if let Some(help) = line.strip_prefix("# HELP ") {
            // Its type follows.
            let kind = lines.peek().and_then(|next| next.rsplit_once(' '));
            let suffix = suffix(kind.map_or("", |(_, kind)| kind));
            let (name, help) = help.split_once(' ').unwrap_or((help, ""));
            classic += &format!("# HELP {name}{suffix} {help}\n");
        } else if let Some(descriptor) = line.strip_prefix("# TYPE ") {
            let (name, kind) = descriptor.rsplit_once(' ').unwrap_or((descriptor, ""));
            let suffix = suffix(kind);
            let kind = match kind {
                "info" => "gauge",
                "unknown" => "untyped",
                kind => kind,
            };
            classic += &format!("# TYPE {name}{suffix} {kind}\n");
        } else if !is_left_out {
            classic += line;
            classic.push('\n');
        }
    }
    classic
}

fn suffix(kind: &str) -> &'static str {
    match kind {
        "counter" => "_total",
        "info" => "_info",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_rewritten() {
        let open = "\
# HELP a_b Things.
# TYPE a_b counter
a_b_total{x=\"# EOF\"} 1
# HELP c_seconds How long.
# TYPE c_seconds histogram
# UNIT c_seconds seconds
c_seconds_sum 0.5
# HELP d Version.
# TYPE d info
d_info{version=\"1\"} 1
# EOF
";
        let classic = "\
# HELP a_b_total Things.
# TYPE a_b_total counter
a_b_total{x=\"# EOF\"} 1
# HELP c_seconds How long.
# TYPE c_seconds histogram
c_seconds_sum 0.5
# HELP d_info Version.
# TYPE d_info gauge
d_info{version=\"1\"} 1
";
        assert_eq!(from_open_metrics(open), classic);
    }
}
