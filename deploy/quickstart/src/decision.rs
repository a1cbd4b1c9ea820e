//! How the gate decided, as a line for people.

use crate::screen::{Colour, Paint, plain};
use serde::Deserialize;

/// What stands above the columns of a decision.
pub(crate) const HEADING: &str = "UTC       packet     user     topic or filter       decision        took  why                       trace";

/// A line of the decision log.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Decision {
    timestamp: String,
    action: String,
    outcome: String,
    user: Option<String>,
    topic: Option<String>,
    policy: Option<String>,
    reason: Option<String>,
    latency_ms: Option<f64>,
    trace_id: Option<String>,
}

impl Decision {
    /// `14:02:11  PUBLISH    alice    alice/x               allow         0.6 ms  own-prefix`
    ///
    /// Users and topics come from clients: they are escaped.
    pub(crate) fn line(&self, paint: Paint) -> String {
        let (colour, why) = match &*self.outcome {
            "allow" => (Colour::Green, &self.policy),
            "deny" => (Colour::Red, &self.policy),
            _ => (Colour::Yellow, &self.reason),
        };
        let took = self.latency_ms.map(|ms| format!("{ms:.1} ms"));
        let trace = self.trace_id.as_deref().map(plain).unwrap_or_default();
        let line = format!(
            "{}  {:<9}  {:<7}  {:<20}  {} {:>11}  {:<24}  {}",
            paint.with(Colour::Dim, self.time_of_day()),
            plain(&self.action).to_uppercase(),
            plain(self.user.as_deref().unwrap_or("-")),
            plain(self.topic.as_deref().unwrap_or("")),
            paint.with(colour, &format!("{:<8}", plain(&self.outcome))),
            took.unwrap_or_default(),
            plain(why.as_deref().unwrap_or("")),
            paint.with(Colour::Dim, &trace),
        );
        line.trim_end().to_owned()
    }

    /// `14:02:11` of `2026-11-21T14:02:11.123456Z`.
    fn time_of_day(&self) -> &str {
        let time = self.timestamp.split('T').nth(1);
        time.and_then(|time| time.get(..8)).unwrap_or("        ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn decision(changes: serde_json::Value) -> Decision {
        let mut line = json!({
            "timestamp": "2026-11-21T14:02:11.123456Z",
            "level": "INFO",
            "target": "decision",
            "outcome": "allow",
            "action": "publish",
            "user": "alice",
            "topic": "alice/x",
            "policy": "own-prefix",
            "latency_ms": 0.614,
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736",
        });
        for (key, value) in changes.as_object().unwrap() {
            line[key] = value.clone();
        }
        serde_json::from_value(line).unwrap()
    }

    #[test]
    fn a_decision_fits_a_line() {
        let line = decision(json!({})).line(Paint::None);
        let expected = "14:02:11  PUBLISH    alice    alice/x               allow         0.6 ms  \
                        own-prefix                4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(line, expected);
    }

    #[test]
    fn the_heading_stands_above_its_columns() {
        let line = decision(json!({})).line(Paint::None);
        let columns = [
            ("UTC", "14:02"),
            ("packet", "PUBLISH"),
            ("user", "alice "),
            ("topic", "alice/x"),
            ("decision", "allow"),
            ("why", "own-prefix"),
            ("trace", "4bf9"),
        ];
        for (heading, value) in columns {
            assert_eq!(HEADING.find(heading), line.find(value), "{heading}");
        }
    }

    #[test]
    fn what_is_unknown_is_left_out() {
        let nothing = json!({ "user": null, "topic": null, "policy": null, "trace_id": null,
                              "action": "connect", "outcome": "failure", "reason": "timeout" });
        let line = decision(nothing).line(Paint::None);
        let expected = "14:02:11  CONNECT    -                              failure       0.6 ms  \
                        timeout";
        assert_eq!(line, expected);
    }

    #[test]
    fn a_topic_cannot_drive_the_terminal() {
        let line = decision(json!({ "topic": "a\u{1b}[2J\nb" })).line(Paint::Terminal);
        assert!(!line.contains("\u{1b}[2J"), "{line:?}");
        assert!(!line.contains('\n'), "{line:?}");
    }

    #[test]
    fn on_a_terminal_the_outcome_has_its_colour() {
        let allowed = decision(json!({})).line(Paint::Terminal);
        assert!(allowed.contains("\u{1b}[32mallow"), "{allowed:?}");
        let denied = decision(json!({ "outcome": "deny" })).line(Paint::Terminal);
        assert!(denied.contains("\u{1b}[31mdeny"), "{denied:?}");
    }
}
