//! What a line says that one of the programs logged.

use crate::decision::Decision;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::net::SocketAddr;

/// What matters of a line.
#[derive(Debug, PartialEq)]
pub(crate) enum Said {
    /// The program is ready, and where.
    Listening(SocketAddr),
    /// The gate decided.
    Decision(Decision),
    /// Something that the user should see.
    Notice(String),
    /// Nothing that matters.
    Chatter,
}

#[derive(Deserialize)]
struct Line {
    level: String,
    #[serde(default)]
    target: String,
    #[serde(default)]
    message: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Said {
    /// Reads a line: a JSON object of the log, or whatever else a program says when it is in trouble.
    pub(crate) fn read(text: &str) -> Self {
        let Ok(line) = serde_json::from_str::<Line>(text) else {
            return match text.trim() {
                "" => Self::Chatter,
                text => Self::Notice(text.to_owned()),
            };
        };
        if line.target == "decision" {
            return match serde_json::from_str(text) {
                Ok(decision) => Self::Decision(decision),
                Err(_) => Self::Notice(text.to_owned()),
            };
        }
        match &*line.level {
            "WARN" | "ERROR" => Self::Notice(line.text()),
            _ => line.address().map_or(Self::Chatter, Self::Listening),
        }
    }
}

impl Line {
    /// Where the program is: both programs say `listening address=…`.
    fn address(&self) -> Option<SocketAddr> {
        (self.message == "listening")
            .then(|| self.fields.get("address")?.as_str()?.parse().ok())
            .flatten()
    }

    /// The message and the fields that came with it.
    fn text(&self) -> String {
        let mut text = self.message.clone();
        for (name, value) in &self.fields {
            if name != "timestamp" {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                text += &format!(" {name}={value}");
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_when_it_is_ready() {
        let line = r#"{"timestamp":"2026-11-21T14:02:11Z","level":"INFO","target":"tidegate::app",
                       "message":"listening","listener":"mqtt","address":"127.0.0.1:1883"}"#;
        let address = "127.0.0.1:1883".parse().unwrap();
        assert_eq!(Said::read(line), Said::Listening(address));
    }

    #[test]
    fn decisions_are_decisions_at_any_level() {
        for level in ["INFO", "WARN"] {
            let line = format!(
                r#"{{"timestamp":"2026-11-21T14:02:11Z","level":"{level}","target":"decision",
                     "outcome":"deny","action":"publish","user":"alice","topic":"bob/x"}}"#
            );
            assert!(matches!(Said::read(&line), Said::Decision(_)));
        }
    }

    #[test]
    fn trouble_is_shown_with_its_details_and_the_rest_is_not() {
        let line = r#"{"timestamp":"2026-11-21T14:02:11Z","level":"WARN","target":"tidegate::authz",
                       "message":"no answer","attempt":3,"endpoint":"http://x"}"#;
        let text = "no answer attempt=3 endpoint=http://x".to_owned();
        assert_eq!(Said::read(line), Said::Notice(text));
        assert_eq!(Said::read(&line.replace("WARN", "INFO")), Said::Chatter);
    }

    #[test]
    fn what_is_no_log_line_is_shown_as_it_is() {
        let text = "error: unexpected argument '--x'";
        assert_eq!(Said::read(text), Said::Notice(text.to_owned()));
        assert_eq!(Said::read(" "), Said::Chatter);
    }
}
