//! Which normative statements of MQTT 3.1.1 and MQTT 5.0 are shown by tests, and why the others are
//! not.
//!
//! A test shows a statement if a comment above it or inside of it cites the number: `[MQTT-a.b.c-d]`
//! is one of MQTT 5.0, `[3.1.1: MQTT-a.b.c-d]` one of MQTT 3.1.1. Citations anywhere else are only
//! looked up, so that none is wrong. The lists beside this file have every statement of the
//! appendices of both standards, and a reason for each that no test can show.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod list;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
};

use list::Statement;
use source::{Citation, Standard};

/// What is known about the statements of one standard.
struct Account {
    standard: Standard,
    statements: Vec<Statement>,
    /// Tests by the number that they cite.
    shown: BTreeMap<String, BTreeSet<String>>,
}

impl Account {
    fn of(standard: Standard, citations: &[Citation]) -> Self {
        let mut shown = BTreeMap::<_, BTreeSet<_>>::new();
        for citation in citations.iter().filter(|found| found.standard == standard) {
            if let Some(test) = &citation.test {
                let tests = shown.entry(citation.number.clone()).or_default();
                tests.insert(format!("{} {test}", citation.path));
            }
        }
        Self {
            standard,
            statements: list::read(standard),
            shown,
        }
    }

    fn shows(&self, statement: &Statement) -> bool {
        self.shown.contains_key(&statement.number)
    }

    /// "cited N of M, not cited K: by reason …"
    fn summary(&self) -> String {
        let mut missing = BTreeMap::<_, usize>::new();
        for statement in self.statements.iter().filter(|one| !self.shows(one)) {
            let reason = match statement.reason {
                Some(reason) => reason.word(),
                None => "without a reason",
            };
            *missing.entry(reason).or_default() += 1;
        }
        let (all, not_cited) = (self.statements.len(), missing.values().sum::<usize>());
        let reasons: Vec<_> = missing
            .into_iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        format!(
            "{:?}: tests cite {} of {all} normative statements; not cited {not_cited}: {}",
            self.standard,
            all - not_cited,
            reasons.join(", ")
        )
    }

    fn complaints(&self) -> Vec<String> {
        let complaint = |statement: &Statement| {
            let tests = self.shown.get(&statement.number);
            let text = match (tests, statement.reason) {
                (Some(tests), Some(reason)) => format!(
                    "has the reason `{}`, but is cited by {tests:?}: one of the two is wrong",
                    reason.word()
                ),
                (None, None) => "is cited by no test, and has no reason".to_owned(),
                _ => return None,
            };
            let Statement { number, .. } = statement;
            Some(format!("{:?} [MQTT-{number}] {text}", self.standard))
        };
        self.statements.iter().filter_map(complaint).collect()
    }
}

#[test]
fn every_statement_is_shown_by_a_test_or_has_a_reason_why_not() {
    let citations = source::citations();
    let mut complaints = Vec::new();
    let mut report = Vec::new();
    for standard in Standard::ALL {
        let account = Account::of(standard, &citations);
        report.push(account.summary());
        complaints.extend(account.complaints());
    }
    // Past the harness, which keeps what passing tests print to itself.
    let _ = writeln!(std::io::stdout().lock(), "\n{}", report.join("\n"));
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

#[test]
fn every_citation_is_of_a_statement_that_there_is() {
    let known: BTreeSet<_> = Standard::ALL
        .into_iter()
        .flat_map(|standard| {
            list::read(standard)
                .into_iter()
                .map(move |statement| (standard, statement.number))
        })
        .collect();
    let wrong: Vec<_> = source::citations()
        .into_iter()
        .filter(|found| !known.contains(&(found.standard, found.number.clone())))
        .map(|found| {
            let Citation {
                standard,
                number,
                path,
                line,
                ..
            } = found;
            format!("{path}:{line}: {standard:?} has no MQTT-{number}")
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// As many as the appendices have.
#[test]
fn the_lists_are_complete_and_in_order() {
    for (standard, count) in [(Standard::V311, 141), (Standard::V5, 251)] {
        let statements = list::read(standard);
        let numbers: Vec<Vec<u32>> = statements
            .iter()
            .map(|statement| {
                let parts = statement.number.split(['.', '-']);
                parts.map(|part| part.parse().expect("digits")).collect()
            })
            .collect();
        assert!(numbers.iter().all(|number| number.len() == 4));
        let mut sorted = numbers.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), count, "{standard:?}");
        assert_eq!(numbers.len(), count, "{standard:?} has doubles");
    }
}
