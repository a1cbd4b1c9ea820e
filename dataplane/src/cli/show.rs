//! `config`: what can be set, and what is.

use std::fmt::Write as _;

use serde_json::{Map, Value};
use tidegate_settings::Tree;

use crate::config::Config;

/// The longest line of a comment.
const WIDTH: usize = 110;

/// What is in force, a key a line.
pub(super) fn in_force(tree: &Tree) -> String {
    tree.entries().fold(String::new(), |mut text, entry| {
        // A String takes whatever is written.
        let _ = writeln!(text, "{entry}");
        text
    })
}

/// The JSON Schema of the configuration file.
pub(super) fn schema() -> String {
    format!("{:#}\n", Config::schema())
}

/// Every key with its default and what it is for, as a configuration file.
pub(super) fn defaults() -> String {
    let schema = Config::schema();
    let value = serde_json::to_value(Config::default()).unwrap_or_default();
    let mut page = Page {
        schema: &schema,
        text: "# Every key of Tidegate with its default. A key that is commented out is unset.\n"
            .to_owned(),
    };
    if let Value::Object(sections) = &value {
        page.table("", sections, &schema);
    }
    page.text
}

/// What is written, and the schema that explains it.
struct Page<'a> {
    schema: &'a Value,
    text: String,
}

impl Page<'_> {
    /// The keys of a table, and then the tables in it.
    fn table(&mut self, path: &str, table: &Map<String, Value>, schema: &Value) {
        let mut tables = Vec::new();
        for (name, value) in table {
            let own = self.property(schema, name);
            let below = match path {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            match value {
                Value::Object(table) => tables.push((format!("[{below}]"), below, table, own)),
                Value::Array(elements) if elements.iter().any(Value::is_object) => {
                    let items = self.resolve(own.get("items").unwrap_or(&Value::Null));
                    for element in elements.iter().filter_map(Value::as_object) {
                        tables.push((
                            format!("[[{below}]]"),
                            below.clone(),
                            element,
                            items.clone(),
                        ));
                    }
                }
                Value::Null => {
                    self.comment(&own);
                    let _ = writeln!(self.text, "# {name} =");
                }
                value => {
                    self.comment(&own);
                    let _ = writeln!(self.text, "{name} = {value}");
                }
            }
        }
        for (head, path, table, schema) in tables {
            self.text.push('\n');
            self.comment(&schema);
            let _ = writeln!(self.text, "{head}");
            self.table(&path, table, &schema);
        }
    }

    /// The schema of a key, with the description that stands beside a reference.
    fn property(&self, schema: &Value, name: &str) -> Value {
        let Some(found) = schema.get("properties").and_then(|all| all.get(name)) else {
            return Value::Null;
        };
        let mut resolved = self.resolve(found);
        if let (Some(own), Some(resolved)) = (found.get("description"), resolved.as_object_mut()) {
            resolved.insert("description".to_owned(), own.clone());
        }
        resolved
    }

    /// What a reference refers to.
    fn resolve(&self, schema: &Value) -> Value {
        let reference = schema.get("$ref").and_then(Value::as_str);
        let pointer = reference.and_then(|reference| reference.strip_prefix('#'));
        let found = pointer.and_then(|pointer| self.schema.pointer(pointer));
        let found = found.unwrap_or(schema);
        match found.get("$ref") {
            Some(_) if found != schema => self.resolve(found),
            _ => found.clone(),
        }
    }

    fn comment(&mut self, schema: &Value) {
        let description = schema.get("description").and_then(Value::as_str);
        for paragraph in description.unwrap_or_default().split("\n\n") {
            let mut line = String::new();
            for word in paragraph.split_whitespace() {
                if !line.is_empty() && line.len() + word.len() + 3 > WIDTH {
                    let _ = writeln!(self.text, "# {line}");
                    line.clear();
                }
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            if !line.is_empty() {
                let _ = writeln!(self.text, "# {line}");
            }
        }
    }
}
