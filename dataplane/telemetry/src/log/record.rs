//! An event, taken out of `tracing`'s visitors.

use opentelemetry::trace::TraceContextExt;
use serde_json::Value;
use std::fmt;
use tracing::{
    Event, Level,
    field::{Field, Visit},
};

/// What an event says, in the order in which it says it.
pub(super) struct Record {
    pub(super) level: Level,
    pub(super) target: &'static str,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

impl Record {
    /// Reads an event. If it happened in an exported span, the span's ids are its last fields.
    pub(super) fn new(event: &Event<'_>) -> Self {
        let mut record = Self {
            level: *event.metadata().level(),
            target: event.metadata().target(),
            message: String::new(),
            fields: Vec::with_capacity(event.fields().count() + 2),
        };
        event.record(&mut record);
        if record.field("trace_id").is_none() {
            record.add_trace(event);
        }
        record
    }

    pub(super) fn field(&self, name: &str) -> Option<&Value> {
        let mut fields = self.fields.iter();
        fields.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    fn add_trace(&mut self, event: &Event<'_>) {
        let explicit = event.parent().cloned();
        let Some(id) = explicit.or_else(|| {
            let contextual = event.is_contextual();
            contextual.then(|| tracing::Span::current().id()).flatten()
        }) else {
            return;
        };
        let context = tracing::dispatcher::get_default(|dispatch| {
            tracing_opentelemetry::get_otel_context(&id, dispatch)
        });
        let Some(context) = context else {
            return;
        };
        let span = context.span();
        let span = span.span_context();
        // Ids that lead nowhere would only mislead.
        if span.is_valid() && span.is_sampled() {
            self.fields.extend([
                ("trace_id", span.trace_id().to_string().into()),
                ("span_id", span.span_id().to_string().into()),
            ]);
        }
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // `%value` and format strings arrive here too; their Debug is Display.
        let text = format!("{value:?}");
        if field.name() == "message" {
            self.message = text;
        } else {
            self.fields.push((field.name(), text.into()));
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.message = value.to_owned();
        } else {
            self.fields.push((field.name(), value.into()));
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.fields.push((field.name(), value.to_string().into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), value.into()));
    }
}
