//! Setting one key of the tree.

use crate::{
    file,
    node::{Node, Value},
    origin::Origin,
};

/// Sets the key that `segments` lead to, and makes the tables and arrays on the way that are not
/// there yet.
///
/// # Errors
///
/// Why there is no such place in the tree.
pub(crate) fn set(
    root: &mut Node,
    segments: &[String],
    text: &str,
    origin: &Origin,
) -> Result<(), String> {
    if segments.iter().any(String::is_empty) {
        return Err("the key has an empty segment".to_owned());
    }

    let mut node = root;
    for (depth, segment) in segments.iter().enumerate() {
        let here = || segments[..depth].join(".");
        // A table that came as text, for instance from `TIDEGATE__LISTENERS=[…]`.
        if let Value::Loose(text) = &node.value {
            *node = file::parse_value(text, &node.origin)
                .map_err(|reason| format!("`{}` is no TOML value: {reason}", here()))?;
        }
        let next = segments.get(depth + 1);
        let fresh = || Node {
            value: container_for(next),
            origin: origin.clone(),
        };
        node = match &mut node.value {
            Value::Table(table) => table.entry(segment.clone()).or_insert_with(fresh),
            Value::Array(elements) => element(elements, segment, fresh)
                .map_err(|reason| format!("`{}` {reason}", here()))?,
            _ => return Err(format!("`{}` is a single value, not a table", here())),
        };
    }
    *node = Node {
        value: Value::Loose(text.to_owned()),
        origin: origin.clone(),
    };
    Ok(())
}

/// What has to be there for `next` to be a key of it.
fn container_for(next: Option<&String>) -> Value {
    match next {
        Some(segment) if index(segment).is_some() => Value::Array(Vec::new()),
        _ => Value::Table(Default::default()),
    }
}

/// The element that a segment names; the one past the end is made.
fn element<'a>(
    elements: &'a mut Vec<Node>,
    segment: &str,
    fresh: impl FnOnce() -> Node,
) -> Result<&'a mut Node, String> {
    let len = elements.len();
    let index = index(segment)
        .ok_or_else(|| format!("is an array: expected an index, found `{segment}`"))?;
    if index > len {
        return Err(format!(
            "has {len} elements: expected an index up to {len}, which appends, found {index}"
        ));
    }
    if index == len {
        elements.push(fresh());
    }
    Ok(&mut elements[index])
}

/// Plain digits only: `usize::from_str` would take a sign.
fn index(segment: &str) -> Option<usize> {
    let digits = segment.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| segment.parse().ok()).flatten()
}
