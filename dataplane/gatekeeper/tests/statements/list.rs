//! The lists of statements.
//!
//! One line per statement: its number, and the reason if no test can cite it.

use super::source::Standard;

const V311: &str = include_str!("mqtt-3.1.1.txt");
const V5: &str = include_str!("mqtt-5.0.txt");

/// Why no test can show a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// Binds the client's implementation, and nobody else can see a breach.
    Client,
    /// The broker's own doing (sessions, retained messages, matching, delivery), which the gate
    /// passes on unchanged.
    Broker,
    /// Between client and broker: the gate passes such packets on, and makes none.
    Passed,
    /// WebSocket: another part of the project.
    Transport,
    /// Enhanced authentication, which the gate refuses before it begins.
    Auth,
    /// A choice that a server has, and that the gate does not take.
    Optional,
    /// About conformance as a whole, not about one behaviour.
    General,
}

impl Reason {
    const ALL: [Self; 7] = [
        Self::Client,
        Self::Broker,
        Self::Passed,
        Self::Transport,
        Self::Auth,
        Self::Optional,
        Self::General,
    ];

    /// As it stands in the lists.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Broker => "broker",
            Self::Passed => "passed",
            Self::Transport => "transport",
            Self::Auth => "auth",
            Self::Optional => "optional",
            Self::General => "general",
        }
    }

    fn read(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.word() == word)
    }
}

/// A line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    /// As in `3.1.0-2`.
    pub(crate) number: String,
    pub(crate) reason: Option<Reason>,
}

/// All statements of a standard.
pub(crate) fn read(standard: Standard) -> Vec<Statement> {
    let text = match standard {
        Standard::V311 => V311,
        Standard::V5 => V5,
    };
    let mut statements = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let (number, word) = match (words.next(), words.next()) {
            (None, _) => continue,
            (Some("#"), _) => continue,
            (Some(number), word) => (number.to_owned(), word),
        };
        let reason = word.map(|word| {
            Reason::read(word).unwrap_or_else(|| panic!("{word:?} is no reason: {line}"))
        });
        statements.push(Statement { number, reason });
    }
    statements
}
