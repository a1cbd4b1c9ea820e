//! The JSON Schema of the configuration file: what serde reads by functions of its own has to be described here.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, generate::SchemaSettings, json_schema};
use serde_json::Value;

use super::{AdminAddress, Config, OnFailure};
use crate::authz::{Step, Target};

/// The schema of the whole file.
pub(super) fn of_file() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema: Value = generator.into_root_schema_for::<Config>().into();
    if let Some(root) = schema.as_object_mut() {
        root.insert("title".to_owned(), "tidegate.toml".into());
    }
    schema
}

/// Describes a type by the schema of its text.
macro_rules! described {
    ($type:ty, $name:literal, $schema:tt) => {
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    };
}

/// `tidegate_settings::text::duration`.
pub(super) struct Duration;
described!(Duration, "Duration", {
    "type": "string",
    "description": "A duration with units, such as \"200ms\", \"5s\" or \"1m30s\"",
    "pattern": "^([0-9]+[a-zµ]+)+$",
});

/// `tidegate_settings::text::duration::or_none`.
pub(super) struct DurationOrNone;
described!(DurationOrNone, "DurationOrNone", {
    "type": "string",
    "description": "A duration with units, such as \"5s\", or \"none\"",
    "pattern": "^(none|([0-9]+[a-zµ]+)+)$",
});

/// `tidegate_settings::text::size`.
pub(super) struct Size;
described!(Size, "Size", {
    "description": "A size, such as \"64KiB\" or \"1MiB\", or a number of bytes",
    "anyOf": [
        { "type": "string" },
        { "type": "integer", "minimum": 0 },
    ],
});

/// `super::address`.
pub(super) struct Address;
described!(Address, "Address", {
    "type": "string",
    "description": "An address with a port, such as \"127.0.0.1:1883\" or \"[::]:1883\"",
    "pattern": ":[0-9]+$",
});

described!(Target, "Target", {
    "type": "string",
    "description": "Where the service is: http://host:port, https://host:port, dns:host:port, dns:host:port?tls or unix:/path",
    "pattern": "^(https?://|dns:|unix:)",
});

described!(AdminAddress, "AdminAddress", {
    "type": "string",
    "description": "An address with a port, such as \"127.0.0.1:9901\", or unix:/path",
    "pattern": "^unix:/|:[0-9]+$",
});

impl JsonSchema for OnFailure {
    fn schema_name() -> Cow<'static, str> {
        "OnFailure".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let steps = Step::ALL.map(Step::as_str);
        json_schema!({
            "description": "One step, several with commas between them, or a list",
            "anyOf": [
                { "type": "string" },
                { "type": "array", "items": { "enum": steps }, "minItems": 1, "uniqueItems": true },
            ],
        })
    }
}
