//! Reads what the service pushes. What is not known here is never nothing: it is taken for a change of
//! everything.

use bytestring::ByteString;
use gatekeeper::ReasonCode;
use tidegate_proto::v1::{self, session_selector, watch_directives_response as response};

use crate::session::{Farewell, Selector};

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Directive {
    /// Nothing: the watch is alive.
    Heartbeat,
    /// Forget what was decided for these sessions.
    Invalidate(Selector),
    /// Ask again about what these sessions hold.
    Recheck(Selector),
    /// End these sessions.
    Terminate(Selector, Farewell),
    /// Something that this program does not know: forget everything, and ask again about everything.
    Unknown,
}

impl Directive {
    /// The words for all kinds, for metrics.
    pub(crate) const KINDS: [&'static str; 5] =
        ["heartbeat", "invalidate", "recheck", "terminate", "unknown"];

    /// The word for it.
    pub(super) fn kind(&self) -> &'static str {
        Self::KINDS[match self {
            Self::Heartbeat => 0,
            Self::Invalidate(_) => 1,
            Self::Recheck(_) => 2,
            Self::Terminate(..) => 3,
            Self::Unknown => 4,
        }]
    }
}

impl From<Option<response::Directive>> for Directive {
    fn from(directive: Option<response::Directive>) -> Self {
        use response::Directive as Pushed;
        let known = match directive {
            Some(Pushed::Heartbeat(v1::Heartbeat {})) => Some(Self::Heartbeat),
            Some(Pushed::Invalidate(v1::InvalidateDecisions { sessions })) => {
                selector(sessions).map(Self::Invalidate)
            }
            Some(Pushed::Recheck(v1::RecheckSubscriptions { sessions })) => {
                selector(sessions).map(Self::Recheck)
            }
            Some(Pushed::Terminate(v1::TerminateSessions {
                sessions,
                reason_code,
                reason_string,
            })) => selector(sessions)
                .map(|sessions| Self::Terminate(sessions, farewell(reason_code, reason_string))),
            None => None,
        };
        known.unwrap_or(Self::Unknown)
    }
}

/// Longest name that is remembered, in bytes: what MQTT can say.
const MAX_NAME: usize = u16::MAX as usize;

fn selector(selector: Option<v1::SessionSelector>) -> Option<Selector> {
    use session_selector::Selector as Pushed;
    // The empty one would choose those who have no such name yet: that is nobody in particular.
    let name = |name: String| (!name.is_empty() && name.len() <= MAX_NAME).then_some(name);
    match selector?.selector? {
        Pushed::SessionId(id) => name(id).map(Selector::Session),
        Pushed::ClientId(id) => name(id).map(Selector::Client),
        Pushed::Principal(principal) => name(principal).map(Selector::Principal),
        // In MQTT a user name may be empty, which is another thing than none.
        Pushed::Username(username) if username.is_empty() => Some(Selector::Username(username)),
        Pushed::Username(username) => name(username).map(Selector::Username),
        Pushed::SelectAll(true) => Some(Selector::All),
        // It must be true.
        Pushed::SelectAll(false) => None,
    }
}

/// A code that is unknown must not keep a session alive.
fn farewell(code: i32, text: String) -> Farewell {
    let known = v1::ReasonCode::try_from(code).ok();
    let code = known
        .and_then(|code| u8::try_from(code as i32).ok())
        .filter(|code| *code != 0)
        .map_or(ReasonCode::ADMINISTRATIVE_ACTION, ReasonCode::new);
    let fits = !text.is_empty()
        && text.len() <= usize::from(u16::MAX)
        && gatekeeper::wire::text::check(&text).is_ok();
    Farewell {
        code,
        reason_string: fits.then(|| ByteString::from(text)),
        at_once: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(directive: response::Directive) -> Directive {
        Some(directive).into()
    }

    fn choosing(selector: session_selector::Selector) -> Option<v1::SessionSelector> {
        Some(v1::SessionSelector {
            selector: Some(selector),
        })
    }

    fn terminate(code: i32, text: &str) -> Farewell {
        let directive = read(response::Directive::Terminate(v1::TerminateSessions {
            sessions: choosing(session_selector::Selector::ClientId("c".into())),
            reason_code: code,
            reason_string: text.into(),
        }));
        let Directive::Terminate(Selector::Client(client), farewell) = directive else {
            panic!("{directive:?}");
        };
        assert_eq!(client, "c");
        farewell
    }

    #[test]
    fn what_is_unset_or_not_known_is_never_nothing() {
        assert_eq!(Directive::from(None), Directive::Unknown);
        for selector in [
            None,
            Some(v1::SessionSelector { selector: None }),
            choosing(session_selector::Selector::SelectAll(false)),
            choosing(session_selector::Selector::SessionId(String::new())),
            choosing(session_selector::Selector::ClientId(String::new())),
            choosing(session_selector::Selector::Principal(String::new())),
            // More than can be kept of each of many.
            choosing(session_selector::Selector::Principal(
                "p".repeat(MAX_NAME + 1),
            )),
        ] {
            for directive in [
                response::Directive::Recheck(v1::RecheckSubscriptions {
                    sessions: selector.clone(),
                }),
                response::Directive::Invalidate(v1::InvalidateDecisions {
                    sessions: selector.clone(),
                }),
                response::Directive::Terminate(v1::TerminateSessions {
                    sessions: selector.clone(),
                    ..v1::TerminateSessions::default()
                }),
            ] {
                assert_eq!(read(directive), Directive::Unknown);
            }
        }
    }

    #[test]
    fn a_farewell_has_a_code_and_a_text_that_can_be_said() {
        let administrative = ReasonCode::ADMINISTRATIVE_ACTION;
        for (code, expected) in [
            (0, administrative),
            (0x87, ReasonCode::NOT_AUTHORIZED),
            (7, administrative),
            (-1, administrative),
        ] {
            assert_eq!(terminate(code, "").code, expected);
        }
        let said = |text| terminate(0, text).reason_string;
        assert_eq!(said("bye").as_deref(), Some("bye"));
        assert_eq!(said(""), None);
        assert_eq!(said("a\0b"), None);
        assert_eq!(said(&"x".repeat(70_000)), None);
    }
}
