//! What a PromQL expression speaks of: enough of the language for what is in `deploy/observability`.

use std::collections::BTreeSet;

/// Words of the language, and functions, that our expressions use.
const WORDS: [&str; 20] = [
    "and",
    "by",
    "histogram_quantile",
    "ignoring",
    "increase",
    "label_values",
    "max",
    "min",
    "offset",
    "on",
    "or",
    "rate",
    "sum",
    "time",
    "topk",
    "unless",
    "without",
    "count",
    "avg",
    "clamp_max",
];
/// What a list of labels stands behind.
const BEFORE_LABELS: [&str; 4] = ["by", "without", "on", "ignoring"];

/// Series that are chosen, and labels by which they are put together.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Query {
    pub(super) selectors: Vec<Selector>,
    pub(super) groupings: BTreeSet<String>,
}

/// A name, and what its labels have to be.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    pub(super) name: String,
    pub(super) matchers: Vec<(String, String)>,
}

/// Reads an expression, or a query of a dashboard's variable.
///
/// # Panics
/// If it ends too early.
pub(super) fn read(text: &str) -> Query {
    let mut query = Query::default();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        if first == '[' {
            // A range.
            rest = rest.split_once(']').expect("an end of the range").1;
        } else if first.is_ascii_digit() {
            rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.');
        } else if is_of_name(first) {
            let (name, after) = name(rest);
            rest = after;
            if BEFORE_LABELS.contains(&name) {
                let list = between(&mut rest, '(', ')').expect("labels");
                let labels = list.split(',').map(|label| label.trim().to_owned());
                query.groupings.extend(labels);
            } else if !WORDS.contains(&name) {
                let list = between(&mut rest, '{', '}').unwrap_or_default();
                query.selectors.push(Selector {
                    name: name.to_owned(),
                    matchers: matchers(list),
                });
                // The other argument of `label_values`.
                if text.starts_with("label_values(") {
                    return query;
                }
            }
        } else {
            assert!(first != '"', "a text where none is understood: {text}");
            rest = &rest[first.len_utf8()..];
        }
    }
    query
}

fn is_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn name(text: &str) -> (&str, &str) {
    let end = text.find(|c| !is_of_name(c)).unwrap_or(text.len());
    text.split_at(end)
}

/// What is in the brackets that come next, if they do.
fn between<'a>(rest: &mut &'a str, open: char, close: char) -> Option<&'a str> {
    let inside = rest.trim_start().strip_prefix(open)?;
    let (inside, after) = inside.split_once(close).expect("an end of the list");
    *rest = after;
    Some(inside)
}

/// Labels and the texts that they are compared with.
fn matchers(list: &str) -> Vec<(String, String)> {
    let mut parts = list.split('"');
    let mut matchers = Vec::new();
    while let (Some(label), Some(value)) = (parts.next(), parts.next()) {
        let label = label.trim_matches([',', ' ', '=', '!', '~', '\n']);
        matchers.push((label.to_owned(), value.to_owned()));
    }
    matchers
}

#[test]
fn expressions_are_understood() {
    let query = read(
        r#"histogram_quantile(0.99, sum by (job, le) (rate(a_bucket{x=~"b|c", y!="d"}[5m]))) > on (job) 0.8 * b:c / 1e3"#,
    );
    let matcher = |label: &str, value: &str| (label.to_owned(), value.to_owned());
    let selector = |name: &str, matchers| Selector {
        name: name.to_owned(),
        matchers,
    };
    let expected = Query {
        selectors: vec![
            selector("a_bucket", vec![matcher("x", "b|c"), matcher("y", "d")]),
            selector("b:c", vec![]),
        ],
        groupings: ["job", "le"].map(str::to_owned).into(),
    };
    assert_eq!(query, expected);
    let query = read(r#"label_values(a{job=~"$job"}, instance)"#);
    assert_eq!(
        query.selectors,
        [selector("a", vec![matcher("job", "$job")])]
    );
    assert_eq!(
        read("sums(a)").selectors[0].name,
        "sums",
        "a function that is not known"
    );
}
