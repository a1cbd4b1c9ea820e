//! One JSON object a line, for machines.

use super::record::Record;
use serde::ser::{SerializeMap, Serializer};

/// `{"timestamp":…,"level":…,"target":…,"message":…}` and the event's fields beside them.
///
/// JSON strings escape control characters, so an event can neither forge a line nor drive a
/// terminal.
pub(super) fn line(time: &str, record: &Record) -> Result<String, serde_json::Error> {
    let mut line = Vec::with_capacity(256);
    let mut serializer = serde_json::Serializer::new(&mut line);
    let mut object = serializer.serialize_map(None)?;
    object.serialize_entry("timestamp", time)?;
    object.serialize_entry("level", record.level.as_str())?;
    object.serialize_entry("target", record.target)?;
    if !record.message.is_empty() {
        object.serialize_entry("message", &record.message)?;
    }
    for (name, value) in &record.fields {
        object.serialize_entry(name, value)?;
    }
    object.end()?;
    String::from_utf8(line).map_err(serde::ser::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use tracing::Level;

    #[test]
    fn a_line_is_one_object_with_the_fields_at_its_top() {
        let record = Record {
            level: Level::WARN,
            target: "tidegate::listener",
            message: "refused\n{\"forged\":true}".to_owned(),
            fields: vec![("peer", "10.0.0.1".into()), ("attempt", 3.into())],
        };
        let line = line("2026-01-01T00:00:00Z", &record).unwrap();
        assert!(!line.contains('\n'), "{line}");
        assert_eq!(
            serde_json::from_str::<Value>(&line).unwrap(),
            json!({
                "timestamp": "2026-01-01T00:00:00Z",
                "level": "WARN",
                "target": "tidegate::listener",
                "message": "refused\n{\"forged\":true}",
                "peer": "10.0.0.1",
                "attempt": 3,
            })
        );
    }
}
