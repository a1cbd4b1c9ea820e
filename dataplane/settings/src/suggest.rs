//! "did you mean `bind`?"

/// How alike two names must be, from 0.0 (nothing in common) to 1.0 (equal).
const ALIKE: f64 = 0.6;

/// What to say about a key that is none of `known`; it continues a sentence.
pub(crate) fn hint(name: &str, known: &[&str]) -> String {
    match closest(name, known) {
        Some(closest) => format!("; did you mean `{closest}`?"),
        None if known.is_empty() => String::new(),
        None => format!("; expected {}", one_of(known)),
    }
}

/// The name that was probably meant.
pub(crate) fn closest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let name = name.to_ascii_lowercase().replace('-', "_");
    let likeness = |other: &str| strsim::normalized_damerau_levenshtein(&name, other);
    let scored = known.iter().map(|other| (likeness(other), *other));
    let (likeness, best) = scored.max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (likeness >= ALIKE).then_some(best)
}

/// "`a`", "one of `a`, `b`".
pub(crate) fn one_of(names: &[&str]) -> String {
    let quoted: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [only] => only.clone(),
        _ => format!("one of {}", quoted.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognized_and_the_rest_is_listed() {
        let known = ["bind", "name", "transport"];
        assert_eq!(hint("bnid", &known), "; did you mean `bind`?");
        assert_eq!(hint("Transport", &known), "; did you mean `transport`?");
        assert_eq!(
            hint("port_number", &known),
            "; expected one of `bind`, `name`, `transport`"
        );
        assert_eq!(hint("anything", &[]), "");
    }
}
