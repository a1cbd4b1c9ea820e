//! Topic names and topic filters: what is well formed, and which filter covers which.
//!
//! An access rule is a topic filter, and so is what a client subscribes to. A subscription stands
//! for *every* topic its filter matches, so it may only be granted when the rule [`covers`] it.
//! Asking instead whether the rule "matches" the filter as if it were a topic is the classic
//! bypass: `+/x` would slip through a rule that was meant for one first level.

/// The longest string MQTT can carry, in bytes.
pub const MAX_STRING_BYTES: usize = 65_535;

/// Matches one level.
const ONE_LEVEL: &str = "+";
/// Matches all remaining levels, and the parent level.
const ALL_LEVELS: &str = "#";

/// Whether `topic` is a topic name that a PUBLISH may carry: not empty, no wildcards, no U+0000.
#[must_use]
pub fn is_topic_name(topic: &str) -> bool {
    is_mqtt_string(topic) && !topic.contains(['+', '#'])
}

/// Whether `filter` is a topic filter: a wildcard fills its whole level, `#` only the last one.
#[must_use]
pub fn is_topic_filter(filter: &str) -> bool {
    let mut levels = filter.split('/').peekable();
    let mut well_formed = is_mqtt_string(filter);
    while let Some(level) = levels.next() {
        well_formed &= match level {
            ONE_LEVEL => true,
            ALL_LEVELS => levels.peek().is_none(),
            name => !name.contains(['+', '#']),
        };
    }
    well_formed
}

/// Whether the first level of a topic or filter begins with `$`: the broker's own topics (`$SYS`)
/// and everything brokers hang their extensions on (`$share`, `$queue`, `$delayed`, …).
#[must_use]
pub fn is_dollar(topic_or_filter: &str) -> bool {
    topic_or_filter.starts_with('$')
}

/// Whether `text` can be one level of a topic, and the first one at that, without meaning anything else.
#[must_use]
pub fn is_level(text: &str) -> bool {
    !text.is_empty() && !is_dollar(text) && !text.contains(['/', '+', '#', '\0'])
}

/// Whether every topic that `filter` matches is also matched by `rule`.
///
/// Both must be well formed. Wildcards at the first level do not reach `$…` topics
/// \[MQTT-4.7.2-1\], neither in the rule nor in the filter.
#[must_use]
pub fn covers(rule: &str, filter: &str) -> bool {
    covers_by(rule, filter, |level| level)
}

/// [`covers`], for a rule whose levels stand for others: `fill` says for which. It is asked about all of them but
/// wildcards, and what it gives is never taken for a wildcard.
#[must_use]
pub fn covers_by<'a>(rule: &'a str, filter: &str, fill: impl Fn(&'a str) -> &'a str) -> bool {
    if is_dollar(filter) && rule.starts_with(['+', '#']) {
        return false;
    }
    // "#" includes the parent level: "a/#" matches "a", which "a/+/#" does not. For these two the
    // parent would be the empty topic, and there is no such topic.
    let filter = match filter {
        "#" => "+/#",
        "/#" => "/+/#",
        filter => filter,
    };

    let mut rule = rule.split('/');
    let mut filter = filter.split('/');
    loop {
        match (rule.next(), filter.next()) {
            (Some(ALL_LEVELS), _) | (None, None) => return true,
            // The filter goes on where the rule has ended, or "any number of levels" where the
            // rule asks for a certain one.
            (None, Some(_)) | (Some(_), Some(ALL_LEVELS)) => return false,
            // The filter ends here; only a following "#" would have matched the parent too.
            (Some(_), None) => return false,
            (Some(ONE_LEVEL), Some(_)) => {}
            (Some(name), Some(level)) if fill(name) == level => {}
            (Some(_), Some(_)) => return false,
        }
    }
}

fn is_mqtt_string(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_STRING_BYTES && !text.contains('\0')
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use proptest::{prelude::*, sample::select};

    use super::*;

    #[test]
    fn covering_by_example() {
        for (rule, filter, expected) in [
            ("alice/#", "alice/x", true),
            ("alice/#", "alice/#", true),
            ("alice/#", "alice/+/y", true),
            ("alice/#", "alice/", true),
            ("alice/#", "alice", true), // "#" includes the parent level
            ("alice/#", "alice2/x", false),
            ("alice/#", "Alice/x", false),
            ("alice/#", "/alice/x", false),
            ("alice/#", "+/x", false),
            ("alice/#", "+", false),
            ("alice/#", "#", false),
            ("alice/#", "$SYS/#", false),
            ("alice/#", "$share/g/alice/x", false),
            ("#", "#", true),
            ("#", "+/#", true),
            ("+/#", "#", true),
            ("/+/#", "/#", true),
            ("+/+/#", "#", false),
            ("//+/#", "//#", false),
            ("a/+/#", "a/#", false),
            ("#", "$SYS", false),
            ("+/x", "$SYS/x", false),
            ("$SYS/#", "$SYS/+", true),
            ("a/#", "a/$x", true), // "$" is special at the first level only
            ("+", "/", false),
            ("+/+", "/", true),
            ("a/+", "a/b", true),
            ("a/b", "a/+", false),
        ] {
            assert_eq!(covers(rule, filter), expected, "{rule} covers {filter}");
        }
    }

    #[test]
    fn well_formed_names_and_filters() {
        for good in ["a", "/", "a//b", "a b", "$SYS/x"] {
            assert!(is_topic_name(good) && is_topic_filter(good), "{good}");
        }
        for filter in ["#", "+", "+/#", "a/+/b", "/#"] {
            assert!(
                is_topic_filter(filter) && !is_topic_name(filter),
                "{filter}"
            );
        }
        for bad in ["", "a#", "a/#/b", "#/", "a+", "+a/b", "a\0b"] {
            assert!(!is_topic_filter(bad), "{bad:?}");
            assert!(!is_topic_name(bad), "{bad:?}");
        }
        assert!(is_topic_name(&"t".repeat(MAX_STRING_BYTES)));
        assert!(!is_topic_name(&"t".repeat(MAX_STRING_BYTES + 1)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        /// `covers` against its definition, over every topic of up to four levels. No filter has
        /// the level "z": it stands for all the names that a filter does not spell out.
        #[test]
        fn covering_is_containment(rule in any_filter(), filter in any_filter()) {
            let witness = TOPICS
                .iter()
                .find(|topic| matches(&filter, topic) && !matches(&rule, topic));
            prop_assert_eq!(
                covers(&rule, &filter), witness.is_none(),
                "{} covers {}; witness {:?}", rule, filter, witness
            );
        }
    }

    static TOPICS: LazyLock<Vec<String>> = LazyLock::new(|| topics(&["a", "b", "$s", "", "z"], 4));

    fn any_filter() -> impl Strategy<Value = String> {
        let level = select(vec!["a", "b", "$s", "", "+"]);
        (prop::collection::vec(level, 0..=3), any::<bool>())
            .prop_map(|(mut levels, open)| {
                levels.extend(open.then_some("#"));
                levels.join("/")
            })
            .prop_filter("an empty filter is malformed", |filter| {
                is_topic_filter(filter)
            })
    }

    fn topics(names: &[&str], max_levels: usize) -> Vec<String> {
        let mut all: Vec<String> = Vec::new();
        let mut longest: Vec<String> = names.iter().map(ToString::to_string).collect();
        for _ in 0..max_levels {
            all.extend(longest.iter().filter(|topic| !topic.is_empty()).cloned());
            longest = longest
                .iter()
                .flat_map(|topic| names.iter().map(move |name| format!("{topic}/{name}")))
                .collect();
        }
        all
    }

    /// Section 4.7 of the MQTT standard, written down as naively as possible.
    fn matches(filter: &str, topic: &str) -> bool {
        fn levels_match(filter: &[&str], topic: &[&str]) -> bool {
            match (filter, topic) {
                (["#"], _) | ([], []) => true,
                ([f, filter @ ..], [t, topic @ ..]) => {
                    (*f == "+" || f == t) && levels_match(filter, topic)
                }
                _ => false,
            }
        }
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let filter: Vec<_> = filter.split('/').collect();
        let topic: Vec<_> = topic.split('/').collect();
        levels_match(&filter, &topic)
    }
}
