//! Citations in the sources of the workspace, and the tests that they belong to.
//!
//! Goes by lines, and relies on rustfmt: an item ends with a line that closes it at the indentation
//! at which it began.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

/// Folders of the workspace that are searched; the tests of the others are not about the gate.
const FOLDERS: [(&str, bool); 5] = [
    ("dataplane", true),
    ("tests", true),
    ("proto", false),
    ("authz-reference", false),
    ("deploy", false),
];

/// Not searched: the examples in these files are none of anybody.
const SKIPPED: [&str; 3] = ["target", "fuzz", "statements"];

/// Which standard a citation is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Standard {
    V311,
    V5,
}

impl Standard {
    pub(crate) const ALL: [Self; 2] = [Self::V311, Self::V5];
}

impl fmt::Debug for Standard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V311 => "MQTT 3.1.1",
            Self::V5 => "MQTT 5.0",
        })
    }
}

/// A number somewhere in a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Citation {
    pub(crate) standard: Standard,
    /// As in `3.1.0-2`, or what else stands there.
    pub(crate) number: String,
    /// Below the root of the workspace.
    pub(crate) path: String,
    pub(crate) line: usize,
    /// The test in whose comments it stands.
    pub(crate) test: Option<String>,
}

/// All citations of the workspace.
pub(crate) fn citations() -> Vec<Citation> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut citations = Vec::new();
    for (folder, about_the_gate) in FOLDERS {
        let mut files = Vec::new();
        collect(&root.join(folder), &mut files);
        assert!(!files.is_empty(), "nothing in {folder}");
        for file in files {
            let text = fs::read_to_string(&file).expect("a source");
            let path = file.strip_prefix(&root).expect("below the root");
            let path = path.to_string_lossy().replace('\\', "/");
            let mut found = scan(&path, &text);
            if !about_the_gate {
                found.iter_mut().for_each(|citation| citation.test = None);
            }
            citations.extend(found);
        }
    }
    citations
}

/// The Rust files below a folder.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of the workspace") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if !SKIPPED.contains(&&*name) {
                collect(&path, files);
            }
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
}

/// What the lines so far say about the next one.
#[derive(Debug, Default)]
struct Scanner {
    found: Vec<Citation>,
    /// How many of the last citations stand in comments right above the next item.
    above: usize,
    /// The next item is a test.
    is_test: bool,
    /// An attribute that goes on in the next line.
    attribute: bool,
    /// Name and closing line of the test that the next line is in.
    inside: Option<(String, String)>,
}

fn scan(path: &str, text: &str) -> Vec<Citation> {
    let mut scanner = Scanner::default();
    for (index, line) in text.lines().enumerate() {
        scanner.line(path, index + 1, line);
    }
    scanner.found
}

impl Scanner {
    fn line(&mut self, path: &str, number: usize, line: &str) {
        let content = line.trim_start();
        let indentation = &line[..line.len() - content.len()];
        let before = self.found.len();
        for (at, standard, cited) in numbers(line) {
            let is_comment = line[..at].contains("//");
            let inside = self.inside.as_ref().filter(|_| is_comment);
            self.found.push(Citation {
                standard,
                number: cited.to_owned(),
                path: path.to_owned(),
                line: number,
                test: inside.map(|(name, _)| name.clone()),
            });
        }
        if let Some((_, end)) = &self.inside {
            if line.starts_with(end.as_str()) {
                self.inside = None;
            }
        } else if self.attribute {
            self.attribute = !content.ends_with(']');
        } else if content.starts_with("#[") {
            self.is_test |= content.starts_with("#[test]") || content.starts_with("#[tokio::test");
            self.attribute = !content.ends_with(']');
        } else if content.starts_with("//") && !content.starts_with("//!") {
            self.above += self.found.len() - before;
        } else {
            if let Some(name) = self.name_of_test(content) {
                let above = before - self.above;
                for citation in self.found.get_mut(above..before).into_iter().flatten() {
                    citation.test = Some(name.to_owned());
                }
                if !content.ends_with(['}', ';']) {
                    self.inside = Some((name.to_owned(), format!("{indentation}}}")));
                }
            }
            self.above = 0;
            self.is_test = false;
        }
    }

    /// The name of the test that begins with this line.
    fn name_of_test<'a>(&self, content: &'a str) -> Option<&'a str> {
        let macro_call = ["both_versions!(", "all_versions!("]
            .into_iter()
            .find_map(|name| content.strip_prefix(name));
        let rest = match macro_call {
            Some(rest) => rest,
            None if self.is_test => content.split_once("fn ")?.1,
            None => return None,
        };
        rest.split(['(', ',']).next()
    }
}

/// Where numbers stand in a line, the standards they are of, and the numbers.
fn numbers(line: &str) -> impl Iterator<Item = (usize, Standard, &str)> {
    const MARK: &str = "MQTT-";

    line.match_indices(MARK).filter_map(|(at, _)| {
        let rest = &line[at + MARK.len()..];
        let end = rest.find(|char: char| !char.is_ascii_digit() && !".-".contains(char));
        let number = rest[..end.unwrap_or(rest.len())].trim_end_matches(['.', '-']);
        let is_old = line[..at].ends_with("3.1.1: ");
        let standard = if is_old { Standard::V311 } else { Standard::V5 };
        number
            .starts_with(|char: char| char.is_ascii_digit())
            .then_some((at, standard, number))
    })
}

/// Who cites what, as one word each.
#[cfg(test)]
fn cited(text: &str) -> Vec<String> {
    scan("a.rs", text)
        .into_iter()
        .map(|found| {
            let standard = match found.standard {
                Standard::V311 => "old",
                Standard::V5 => "new",
            };
            let test = found.test.unwrap_or_default();
            format!("{standard} {} {test}", found.number)
        })
        .collect()
}

#[test]
fn citations_belong_to_the_test_below_or_around_them() {
    let text = r#"
//! [MQTT-1.5.4-1]

/// [MQTT-3.1.0-1] [3.1.1: MQTT-3.1.0-2]: said
/// twice.
#[test]
#[expect(
    clippy::all,
    reason = "so"
)]
fn above() {
    // [MQTT-3.1.2-1]
    let clause = "MQTT-3.1.2-2"; // [MQTT-3.1.2-3]
}

/// [MQTT-3.2.0-1]
fn helper() {
    // [MQTT-3.2.0-2]
}

/// [MQTT-4.6.0-1]

#[test]
fn apart() {}

mod inner {
    /// [MQTT-4.6.0-2]
    #[tokio::test(start_paused = true)]
    async fn indented() {
        if true {
        }
        // [MQTT-4.6.0-3]
    }
    // [MQTT-4.6.0-4]
}

// [MQTT-4.13.1-1]
both_versions!(by_macro, |version| {
    // [3.1.1: MQTT-4.8.0-1]
});
"#;
    let expected = [
        "new 1.5.4-1 ",
        "new 3.1.0-1 above",
        "old 3.1.0-2 above",
        "new 3.1.2-1 above",
        "new 3.1.2-2 ",
        "new 3.1.2-3 above",
        "new 3.2.0-1 ",
        "new 3.2.0-2 ",
        "new 4.6.0-1 ",
        "new 4.6.0-2 indented",
        "new 4.6.0-3 indented",
        "new 4.6.0-4 ",
        "new 4.13.1-1 by_macro",
        "old 4.8.0-1 by_macro",
    ];
    assert_eq!(cited(text), expected);
}

#[test]
fn what_is_no_number_is_found_too() {
    assert_eq!(
        cited("// [MQTT-4.7], MQTT-3.1.2-1."),
        ["new 4.7 ", "new 3.1.2-1 "]
    );
    assert!(cited("// `MQTT-a.b.c-d`, MQTT-SN, MQTT").is_empty());
}
