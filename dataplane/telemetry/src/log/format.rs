//! Which event is written in which style.

use super::{json, record::Record, text};
use crate::DECISION_TARGET;
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::{
    fmt::{
        FmtContext, FormatEvent, FormatFields,
        format::Writer,
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// How the lines of a stream look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Text { colour: bool },
    Json,
}

/// One line an event, in the style of the stream that it goes to.
pub(super) struct Lines {
    pub(super) decisions: Style,
    pub(super) others: Style,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let record = Record::new(event);
        let decision = record.target == DECISION_TARGET;
        let style = if decision {
            self.decisions
        } else {
            self.others
        };

        let mut time = String::with_capacity(32);
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let line = match style {
            Style::Json => json::line(&time, &record).map_err(|_| fmt::Error)?,
            Style::Text { colour } if decision => text::decision(&time, &record, colour),
            Style::Text { colour } => text::line(&time, &record, colour),
        };
        writeln!(writer, "{line}")
    }
}
