//! Spans that were received, and finding one's way in them.

use std::{collections::HashSet, ops::Deref};

use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, Span as Proto, span::SpanKind},
};

/// A span, and the service that it is from.
#[derive(Debug, Clone)]
pub struct Span {
    /// `service.name` of the resource.
    pub service: String,
    /// Of the process that it is from.
    resource: Resource,
    proto: Proto,
}

/// A set of spans, to find one's way in.
#[derive(Debug, Clone)]
pub struct Trace(pub(super) Vec<Span>);

impl Trace {
    /// The spans.
    #[must_use]
    pub fn spans(&self) -> &[Span] {
        &self.0
    }

    /// Spans of one service and kind whose name contains a text.
    pub fn find(&self, service: &str, kind: SpanKind, name: &str) -> impl Iterator<Item = &Span> {
        self.0.iter().filter(move |span| {
            span.service == service && span.kind() == kind && span.name.contains(name)
        })
    }

    /// The parent of a span, if it is there.
    #[must_use]
    pub fn parent(&self, child: &Span) -> Option<&Span> {
        self.0
            .iter()
            .find(|span| span.trace_id == child.trace_id && span.span_id == child.parent_span_id)
    }

    /// A span and its ancestors up to the root; `None` while one of them is missing.
    #[must_use]
    pub fn lineage<'a>(&'a self, span: &'a Span) -> Option<Vec<&'a Span>> {
        let mut lineage = vec![span];
        while let Some(last) = lineage.last().filter(|last| !last.is_root()) {
            lineage.push(self.parent(last)?);
        }
        Some(lineage)
    }

    /// The spans of one trace.
    #[must_use]
    pub fn of(&self, trace_id: &[u8]) -> Self {
        Self(
            self.0
                .iter()
                .filter(|span| span.trace_id == trace_id)
                .cloned()
                .collect(),
        )
    }

    /// How many different trace ids there are.
    #[must_use]
    pub fn ids(&self) -> usize {
        self.0
            .iter()
            .map(|span| &span.trace_id)
            .collect::<HashSet<_>>()
            .len()
    }

    /// One line per span.
    #[must_use]
    pub fn outline(&self) -> String {
        let lines = self.0.iter().map(|span| {
            format!(
                "{} {}<-{} {:?} {} {}\n",
                hex(&span.trace_id),
                hex(&span.span_id),
                hex(&span.parent_span_id),
                span.kind(),
                span.service,
                span.name
            )
        });
        lines.collect()
    }
}

impl Span {
    /// Whether it has no parent.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.parent_span_id.iter().all(|&byte| byte == 0)
    }

    /// The text of an attribute, if it has it.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        text(&self.attributes, key)
    }

    /// The whole number of an attribute, if it has it.
    #[must_use]
    pub fn number(&self, key: &str) -> Option<i64> {
        match value(&self.attributes, key)? {
            Value::IntValue(number) => Some(*number),
            _ => None,
        }
    }

    /// The text of an attribute of the process that it is from, if that has it.
    #[must_use]
    pub fn of_process(&self, key: &str) -> Option<&str> {
        text(&self.resource.attributes, key)
    }

    /// Whether it links to another span.
    #[must_use]
    pub fn links_to(&self, other: &Self) -> bool {
        self.links
            .iter()
            .any(|link| link.trace_id == other.trace_id && link.span_id == other.span_id)
    }
}

impl Deref for Span {
    type Target = Proto;

    fn deref(&self) -> &Proto {
        &self.proto
    }
}

/// All spans of an export, each with its service.
pub(super) fn spans_of(exported: Vec<ResourceSpans>) -> impl Iterator<Item = Span> {
    exported.into_iter().flat_map(|of_resource| {
        let resource = of_resource.resource.unwrap_or_default();
        let service = text(&resource.attributes, "service.name")
            .unwrap_or("")
            .to_owned();
        let spans = of_resource
            .scope_spans
            .into_iter()
            .flat_map(|scope| scope.spans);
        spans.map(move |proto| Span {
            service: service.clone(),
            resource: resource.clone(),
            proto,
        })
    })
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match value(attributes, key)? {
        Value::StringValue(text) => Some(text),
        _ => None,
    }
}

fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    let attribute = attributes.iter().find(|attribute| attribute.key == key)?;
    attribute.value.as_ref()?.value.as_ref()
}

/// As Jaeger and logs write ids.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}
