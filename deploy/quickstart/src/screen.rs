//! What the user sees: on standard output, in colour if that is a terminal.

use crate::{decision::Decision, role::Role};
use anyhow::Context as _;
use std::{
    borrow::Cow,
    env,
    fmt::Display,
    io::{self, IsTerminal, Write},
};

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Screen {
    paint: Paint,
}

impl Screen {
    pub(crate) fn new() -> Self {
        // https://no-color.org: any value but the empty one.
        let plain = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let paint = if io::stdout().is_terminal() && !plain {
            Paint::Terminal
        } else {
            Paint::None
        };
        Self { paint }
    }

    pub(crate) fn paint(self) -> Paint {
        self.paint
    }

    /// Shows a text as it is.
    pub(crate) fn show(self, text: impl Display) -> anyhow::Result<()> {
        writeln!(io::stdout(), "{text}").context("cannot write to standard output")
    }

    pub(crate) fn decision(self, decision: &Decision) -> anyhow::Result<()> {
        self.show(decision.line(self.paint))
    }

    /// Something that one of the programs says, with its name before it.
    pub(crate) fn notice(self, role: Role, text: &str) -> anyhow::Result<()> {
        let name = self.paint.with(Colour::Yellow, role.name());
        self.show(format_args!("{name}: {}", plain(text)))
    }
}

/// Whether text gets a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// As ANSI escape sequences.
    Terminal,
    /// Not at all.
    None,
}

/// What a colour is used for is the caller's choice; these are the codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Bold = 1,
    Dim = 2,
    Red = 31,
    Green = 32,
    Yellow = 33,
}

impl Paint {
    pub(crate) fn with(self, colour: Colour, text: &str) -> String {
        match self {
            Self::Terminal if text.is_empty() => String::new(),
            Self::Terminal => format!("\u{1b}[{}m{text}\u{1b}[0m", colour as u8),
            Self::None => text.to_owned(),
        }
    }
}

/// The text with its control characters escaped, so that it can neither begin a line nor drive the
/// terminal.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    if text.chars().any(char::is_control) {
        Cow::Owned(text.escape_debug().to_string())
    } else {
        Cow::Borrowed(text)
    }
}
