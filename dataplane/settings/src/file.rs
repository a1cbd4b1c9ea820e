//! TOML text to a tree that knows its lines.

use crate::{
    error::Error,
    node::{Node, Value},
    origin::Origin,
};
use std::{path::Path, sync::Arc};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

/// Parses a document that stands for the file `path`.
pub(crate) fn parse(path: &Path, text: &str) -> Result<Node, Error> {
    let lines = Lines::new(path, text);
    let table = DeTable::parse(text).map_err(|error| {
        let offset = error.span().map_or(0, |span| span.start);
        // The error's Display would quote the line, and the line may hold a secret.
        let message = error.message();
        Error::Syntax {
            origin: lines.origin(offset),
            message: match key_at(text, offset) {
                Some(key) => format!("`{key}`: {message}"),
                None => message.to_owned(),
            },
        }
    })?;
    let at = |offset| lines.origin(offset);
    table_node(table.get_ref(), at(0), &at).map_err(|OutOfRange(origin)| Error::Syntax {
        origin,
        message: OUT_OF_RANGE.to_owned(),
    })
}

/// The key in the line of an offset, if there is one.
fn key_at(text: &str, offset: usize) -> Option<&str> {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let begin = text[..offset].rfind('\n').map_or(0, |end| end + 1);
    let line = text[begin..].lines().next()?;
    let key = line.split_once('=')?.0.trim();
    // What is no name that a program would have may be a piece of a secret of several lines.
    let is_of_keys = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_-.".contains(c);
    ((1..=40).contains(&key.len()) && key.chars().all(is_of_keys)).then_some(key)
}

/// Parses one value, as it would stand right of a `=`. All of it comes from `origin`.
///
/// # Errors
///
/// What the parser expected.
pub(crate) fn parse_value(text: &str, origin: &Origin) -> Result<Node, String> {
    let value = DeValue::parse(text.trim()).map_err(|error| error.message().to_owned())?;
    node(&value, origin.clone(), &|_| origin.clone())
        .map_err(|OutOfRange(_)| OUT_OF_RANGE.to_owned())
}

/// A number that is valid TOML and too large for us, and where it stands.
struct OutOfRange(Origin);

const OUT_OF_RANGE: &str = "number out of range";

/// `at` gives the origin of what stands at an offset.
fn node(
    value: &Spanned<DeValue<'_>>,
    origin: Origin,
    at: &dyn Fn(usize) -> Origin,
) -> Result<Node, OutOfRange> {
    let value = match value.get_ref() {
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Integer(integer) => {
            let parsed = i64::from_str_radix(integer.as_str(), integer.radix());
            Value::Integer(parsed.map_err(|_| OutOfRange(origin.clone()))?)
        }
        DeValue::Float(float) => {
            let parsed = float.as_str().parse();
            Value::Float(parsed.map_err(|_| OutOfRange(origin.clone()))?)
        }
        DeValue::String(text) => Value::Text(text.to_string()),
        // No key is a date; as text it is refused with a good message.
        DeValue::Datetime(datetime) => Value::Text(datetime.to_string()),
        DeValue::Array(elements) => {
            let element = |value: &Spanned<_>| node(value, at(value.span().start), at);
            Value::Array(elements.iter().map(element).collect::<Result<_, _>>()?)
        }
        DeValue::Table(table) => return table_node(table, origin, at),
    };
    Ok(Node { value, origin })
}

fn table_node(
    table: &DeTable<'_>,
    origin: Origin,
    at: &dyn Fn(usize) -> Origin,
) -> Result<Node, OutOfRange> {
    let entry = |(key, value): (&Spanned<_>, _)| {
        // The key's line, not the value's: that is where one looks for an unknown key.
        let node = node(value, at(key.span().start), at)?;
        Ok((String::from(key.get_ref() as &str), node))
    };
    let entries = table.iter().map(entry).collect::<Result<_, OutOfRange>>()?;
    Ok(Node {
        value: Value::Table(entries),
        origin,
    })
}

/// Finds the line of an offset.
struct Lines {
    path: Arc<Path>,
    /// Offsets of the line breaks.
    breaks: Vec<usize>,
}

impl Lines {
    fn new(path: &Path, text: &str) -> Self {
        Self {
            path: path.into(),
            breaks: text.match_indices('\n').map(|(offset, _)| offset).collect(),
        }
    }

    fn origin(&self, offset: usize) -> Origin {
        Origin::File {
            path: Arc::clone(&self.path),
            line: 1 + self.breaks.partition_point(|end| *end < offset),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(node: &Node) -> usize {
        match node.origin {
            Origin::File { line, .. } => line,
            _ => 0,
        }
    }

    fn child<'a>(node: &'a Node, name: &str) -> &'a Node {
        match &node.value {
            Value::Table(table) => &table[name],
            Value::Array(elements) => &elements[name.parse::<usize>().unwrap()],
            _ => panic!("no children"),
        }
    }

    #[test]
    fn every_key_knows_its_line() {
        let text = "\
a = 1

[[listeners]]
name = \"one\"

[[listeners]]
name = \"two\"
tags = [
  \"x\",
  \"y\",
]
[authz]
connect = { deadline = \"5s\" }
dotted.key = true
";
        let root = parse(Path::new("x.toml"), text).unwrap();
        assert_eq!(line(child(&root, "a")), 1);
        let listeners = child(&root, "listeners");
        assert_eq!(line(listeners), 3);
        assert_eq!(line(child(listeners, "0")), 3);
        assert_eq!(line(child(listeners, "1")), 6);
        let two = child(listeners, "1");
        assert_eq!(line(child(two, "name")), 7);
        assert_eq!(line(child(two, "tags")), 8);
        assert_eq!(line(child(child(two, "tags"), "1")), 10);
        let authz = child(&root, "authz");
        assert_eq!(line(authz), 12);
        assert_eq!(line(child(child(authz, "connect"), "deadline")), 13);
        assert_eq!(line(child(child(authz, "dotted"), "key")), 14);
    }

    #[test]
    fn numbers_of_any_notation() {
        let root = parse(Path::new("x.toml"), "a = 0xff\nb = 1_000\nc = -7\nd = 1e3").unwrap();
        assert!(matches!(child(&root, "a").value, Value::Integer(255)));
        assert!(matches!(child(&root, "b").value, Value::Integer(1000)));
        assert!(matches!(child(&root, "c").value, Value::Integer(-7)));
        assert!(matches!(child(&root, "d").value, Value::Float(1000.0)));
        let error = parse(Path::new("x.toml"), "\na = 9223372036854775808")
            .err()
            .unwrap();
        assert_eq!(error.to_string(), "x.toml:2: number out of range");
    }
}
