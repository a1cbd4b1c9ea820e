//! Lines for people.
//!
//! Names and topics come from clients, so nothing is printed as it came: what holds spaces, quotes
//! or control characters is quoted and escaped. A client can neither forge a line nor send escape
//! sequences to the operator's terminal.

use super::record::Record;
use serde_json::Value;
use std::borrow::Cow;
use tracing::Level;

const DIM: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";
const BLUE: &str = "34";
const MAGENTA: &str = "35";

/// These stand first in a decision, in this order and without their names.
const LEADING: [&str; 4] = ["outcome", "action", "user", "topic"];

/// `2026-01-01T00:00:00.000000Z  INFO tidegate::listener: listening bind=127.0.0.1:1883`
pub(super) fn line(time: &str, record: &Record, colour: bool) -> String {
    let paint = Paint(colour);
    let level_colour = match record.level {
        Level::ERROR => RED,
        Level::WARN => YELLOW,
        Level::INFO => GREEN,
        Level::DEBUG => BLUE,
        Level::TRACE => MAGENTA,
    };

    let mut line = paint.with(DIM, time);
    line.push(' ');
    line += &paint.with(level_colour, &format!("{:>5}", record.level.as_str()));
    line.push(' ');
    line += &paint.with(DIM, &format!("{}:", record.target));
    if !record.message.is_empty() {
        line.push(' ');
        line += &escaped(&record.message);
    }
    push_fields(&mut line, paint, record.fields.iter());
    line
}

/// `00:00:00.000 deny publish alice bob/x reason=acl latency_ms=1.2 trace_id=…`
pub(super) fn decision(time: &str, record: &Record, colour: bool) -> String {
    let paint = Paint(colour);
    let mut line = paint.with(DIM, time_of_day(time));

    for name in LEADING {
        let Some(value) = record.field(name) else {
            continue;
        };
        let value = shown(value);
        line.push(' ');
        line += &match (name, &*value) {
            ("outcome", "allow") => paint.with(GREEN, &value),
            ("outcome", "deny") => paint.with(RED, &value),
            ("outcome", _) => paint.with(YELLOW, &value),
            _ => value.into_owned(),
        };
    }
    if !record.message.is_empty() {
        line.push(' ');
        line += &escaped(&record.message);
    }
    let others = record.fields.iter();
    let others = others.filter(|(name, _)| !LEADING.contains(name));
    push_fields(&mut line, paint, others);
    line
}

fn push_fields<'a>(
    line: &mut String,
    paint: Paint,
    fields: impl Iterator<Item = &'a (&'static str, Value)>,
) {
    for (name, value) in fields {
        line.push(' ');
        line.push_str(&paint.with(DIM, &format!("{name}=")));
        line.push_str(&shown(value));
    }
}

/// `2026-01-01T12:34:56.789012Z` → `12:34:56.789`. A decision is read as it falls; the date is in
/// the JSON.
fn time_of_day(time: &str) -> &str {
    time.get(11..23).unwrap_or(time)
}

/// A field's value as one word.
fn shown(value: &Value) -> Cow<'_, str> {
    let Value::String(text) = value else {
        return value.to_string().into();
    };
    let is_word = |c: char| !c.is_whitespace() && c != '"' && c != '\\' && is_harmless(c);
    if !text.is_empty() && text.chars().all(is_word) {
        text.into()
    } else {
        format!("{text:?}").into()
    }
}

/// A message: prose, with the dangerous characters escaped.
fn escaped(text: &str) -> Cow<'_, str> {
    if text.chars().all(is_harmless) {
        return text.into();
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_harmless(c) {
            clean.push(c);
        } else {
            clean.extend(c.escape_debug());
        }
    }
    clean.into()
}

/// Whether a character prints as itself: neither a control character nor one of the invisible ones
/// that reorder a line. Quotes and backslashes do.
fn is_harmless(c: char) -> bool {
    matches!(c, '"' | '\'' | '\\') || c.escape_debug().len() == 1
}

/// ANSI colours, or none.
#[derive(Clone, Copy)]
struct Paint(bool);

impl Paint {
    fn with(self, code: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: &str = "2026-01-02T12:34:56.789012Z";

    fn record(message: &str, fields: Vec<(&'static str, Value)>) -> Record {
        Record {
            level: Level::INFO,
            target: "tidegate",
            message: message.to_owned(),
            fields,
        }
    }

    #[test]
    fn a_line_reads_from_left_to_right() {
        let record = record("listening", vec![("bind", "[::1]:1883".into())]);
        assert_eq!(
            line(TIME, &record, false),
            "2026-01-02T12:34:56.789012Z  INFO tidegate: listening bind=[::1]:1883"
        );
    }

    #[test]
    fn a_decision_begins_with_what_matters() {
        let record = record(
            "",
            vec![
                ("topic", "bob/x".into()),
                ("reason", "not yours".into()),
                ("user", "alice".into()),
                ("latency_ms", 1.2.into()),
                ("action", "publish".into()),
                ("outcome", "deny".into()),
            ],
        );
        assert_eq!(
            decision(TIME, &record, false),
            r#"12:34:56.789 deny publish alice bob/x reason="not yours" latency_ms=1.2"#
        );
        let coloured = decision(TIME, &record, true);
        assert!(coloured.contains("\x1b[31mdeny\x1b[0m"), "{coloured:?}");
    }

    #[test]
    fn clients_can_neither_forge_lines_nor_drive_the_terminal() {
        let evil = "x\n12:00:00.000 allow\x1b[2J\u{202e}\u{9b}";
        let record = record(evil, vec![("user", evil.into()), ("empty", "".into())]);
        for line in [line(TIME, &record, false), decision(TIME, &record, false)] {
            let harmless = |c: char| is_harmless(c) && !c.is_control();
            assert!(line.chars().all(harmless), "{line:?}");
            assert!(line.contains(r#"empty="""#), "{line}");
        }
    }

    #[test]
    fn words_of_any_language_stay_as_they_are() {
        for word in ["büro/é", "温度", "a+b/#", "$SYS/x", "it's"] {
            assert_eq!(shown(&word.into()), word);
        }
    }
}
