//! Spans out of OTLP's JSON: what the tests look at, and no more.

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value as Typed},
    resource::v1::Resource,
    trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status,
        span::{Link, SpanKind},
        status::StatusCode,
    },
};
use serde_json::Value;

/// The spans of an answer: `{"result":{"resourceSpans":[…]}}`, once or several times in a row.
///
/// # Panics
/// If it is something else.
#[track_caller]
pub(super) fn resource_spans(body: &str) -> Vec<ResourceSpans> {
    let answers = serde_json::Deserializer::from_str(body).into_iter::<Value>();
    let mut all = Vec::new();
    for answer in answers {
        let answer = answer.unwrap_or_else(|error| panic!("no JSON ({error}): {body}"));
        let result = answer.get("result");
        let result = result.unwrap_or_else(|| panic!("no result: {body}"));
        all.extend(list(result, "resourceSpans").map(of_resource));
    }
    all
}

fn of_resource(json: &Value) -> ResourceSpans {
    let resource = json.get("resource").map(|resource| Resource {
        attributes: attributes(resource),
        ..Resource::default()
    });
    let scope_spans = list(json, "scopeSpans").map(|scope| ScopeSpans {
        spans: list(scope, "spans").map(span).collect(),
        ..ScopeSpans::default()
    });
    ResourceSpans {
        resource,
        scope_spans: scope_spans.collect(),
        ..ResourceSpans::default()
    }
}

fn span(json: &Value) -> Span {
    let links = list(json, "links").map(|link| Link {
        trace_id: id(link, "traceId"),
        span_id: id(link, "spanId"),
        attributes: attributes(link),
        ..Link::default()
    });
    Span {
        trace_id: id(json, "traceId"),
        span_id: id(json, "spanId"),
        parent_span_id: id(json, "parentSpanId"),
        name: text(json, "name"),
        kind: kind(json.get("kind")),
        start_time_unix_nano: nanoseconds(json, "startTimeUnixNano"),
        end_time_unix_nano: nanoseconds(json, "endTimeUnixNano"),
        attributes: attributes(json),
        links: links.collect(),
        status: json.get("status").map(|status| Status {
            message: text(status, "message"),
            code: status_code(status.get("code")),
        }),
        ..Span::default()
    }
}

/// By number, as OTLP wants it, or by name, as the JSON of Protocol Buffers has it.
fn kind(json: Option<&Value>) -> i32 {
    let by_name = |name: &str| SpanKind::from_str_name(name).expect("a kind of span") as i32;
    number_or(json, by_name)
}

/// As [`kind`].
fn status_code(json: Option<&Value>) -> i32 {
    let by_name = |name: &str| StatusCode::from_str_name(name).expect("a status") as i32;
    number_or(json, by_name)
}

fn number_or(json: Option<&Value>, by_name: impl Fn(&str) -> i32) -> i32 {
    match json {
        Some(Value::String(name)) => by_name(name),
        Some(number) => {
            let number = number.as_i64().and_then(|number| number.try_into().ok());
            number.expect("a number of 32 bits")
        }
        None => 0,
    }
}

fn attributes(json: &Value) -> Vec<KeyValue> {
    let attributes = list(json, "attributes").map(|attribute| KeyValue {
        key: text(attribute, "key"),
        value: attribute.get("value").map(|value| AnyValue {
            value: typed(value),
        }),
        ..KeyValue::default()
    });
    attributes.collect()
}

/// A value of a simple type; lists and maps are none that our programs send.
fn typed(json: &Value) -> Option<Typed> {
    let (of_type, value) = json.as_object()?.iter().next()?;
    match of_type.as_str() {
        "stringValue" => value
            .as_str()
            .map(|text| Typed::StringValue(text.to_owned())),
        "boolValue" => value.as_bool().map(Typed::BoolValue),
        "doubleValue" => value.as_f64().map(Typed::DoubleValue),
        // 64 bits are text in JSON.
        "intValue" => match value {
            Value::String(text) => text.parse().ok(),
            number => number.as_i64(),
        }
        .map(Typed::IntValue),
        _ => None,
    }
}

fn nanoseconds(json: &Value, key: &str) -> u64 {
    match json.get(key) {
        Some(Value::String(text)) => text.parse().expect("a time in nanoseconds"),
        Some(number) => number.as_u64().expect("a time in nanoseconds"),
        None => 0,
    }
}

/// In hexadecimal; absent or empty is none.
fn id(json: &Value, key: &str) -> Vec<u8> {
    let digits = text(json, key);
    let pairs = digits.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| {
        let pair = std::str::from_utf8(pair).expect("ASCII");
        u8::from_str_radix(pair, 16).unwrap_or_else(|error| panic!("{key} {digits}: {error}"))
    });
    bytes.collect()
}

fn text(json: &Value, key: &str) -> String {
    let text = json.get(key).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

fn list<'a>(json: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    json.get(key)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}
