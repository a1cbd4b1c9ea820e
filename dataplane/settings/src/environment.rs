//! Which environment variables are configuration, and for which keys.

use crate::{error::Error, origin::Origin};
use std::ffi::OsString;

/// A variable that belongs to the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    pub(crate) text: OsString,
}

impl Variable {
    /// The segments of the key that it sets.
    pub(crate) fn segments(&self, prefix: &str) -> Vec<String> {
        let path = self.name.get(prefix.len()..).unwrap_or_default();
        let segments = path.split(SEPARATOR).skip(1);
        segments.map(str::to_ascii_lowercase).collect()
    }

    /// The text.
    ///
    /// # Errors
    ///
    /// The text is not Unicode.
    pub(crate) fn text(&self) -> Result<&str, Error> {
        self.text.to_str().ok_or_else(|| Error::Overlay {
            origin: self.origin(),
            reason: "the text is not valid Unicode".to_owned(),
        })
    }

    pub(crate) fn origin(&self) -> Origin {
        Origin::Env {
            name: self.name.clone(),
        }
    }
}

const SEPARATOR: &str = "__";

/// The variables that begin with `PREFIX__`, a table before its parts and element 2 before element
/// 10, so that each can build on those before it.
pub(crate) fn select(
    prefix: &str,
    variables: impl IntoIterator<Item = (OsString, OsString)>,
) -> Vec<Variable> {
    let mut selected: Vec<_> = variables
        .into_iter()
        .filter_map(|(name, text)| {
            let name = name.into_string().ok()?;
            let ours = name.strip_prefix(prefix)?.starts_with(SEPARATOR);
            ours.then_some(Variable { name, text })
        })
        .collect();
    selected.sort_by_cached_key(|variable| {
        let segments = variable.segments(prefix).into_iter();
        let by_number = segments.map(|segment| (segment.parse::<usize>().ok(), segment));
        by_number.collect::<Vec<_>>()
    });
    selected
}

/// The variable that would set `key`.
pub(crate) fn name_for(prefix: &str, key: &str) -> String {
    let segments = key.to_ascii_uppercase().replace('.', SEPARATOR);
    format!("{prefix}{SEPARATOR}{segments}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(prefix: &str, names: &[&str]) -> Vec<String> {
        let variables = names.iter().map(|name| ((*name).into(), "x".into()));
        let selected = select(prefix, variables).into_iter();
        selected.map(|variable| variable.name).collect()
    }

    #[test]
    fn only_double_underscores_count() {
        let names = [
            "TIDEGATE__BROKER__URL",
            "TIDEGATE_PORT",
            "TIDEGATE_AUTHZ_SERVICE_HOST",
            "TIDEGATE_AUTHZ__BIND",
            "TIDEGATE",
            "XTIDEGATE__A",
        ];
        assert_eq!(selected("TIDEGATE", &names), ["TIDEGATE__BROKER__URL"]);
        assert_eq!(selected("TIDEGATE_AUTHZ", &names), ["TIDEGATE_AUTHZ__BIND"]);
    }

    #[test]
    fn numbers_sort_as_numbers_and_tables_before_their_parts() {
        let names = ["T__L__10__BIND", "T__L__2__BIND", "T__L__2", "T__L", "T__B"];
        let sorted = ["T__B", "T__L", "T__L__2", "T__L__2__BIND", "T__L__10__BIND"];
        assert_eq!(selected("T", &names), sorted);
    }

    #[test]
    fn names_and_keys_match() {
        assert_eq!(name_for("T", "listeners.0.bind"), "T__LISTENERS__0__BIND");
        let variable = Variable {
            name: "T__LISTENERS__0__BIND".to_owned(),
            text: OsString::new(),
        };
        assert_eq!(variable.segments("T"), ["listeners", "0", "bind"]);
    }
}
