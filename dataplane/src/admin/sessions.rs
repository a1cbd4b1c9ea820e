//! `/sessions`: who is connected, a page at a time.

use std::borrow::Cow;

use http::{Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use crate::{
    session::{Listed, Registry, Selector},
    web::plain,
};

/// Sessions on a page, if nothing is said, and at most.
const PAGE: (usize, usize) = (100, 1000);

/// Characters that are shown of what a client chose.
const SHOWN: usize = 256;

/// How to ask.
const HELP: &str =
    "limit=1 to 1000, after=<next_after>, and one of session=, client_id=, username=, principal=\n";

/// What is asked for.
struct Query {
    selector: Selector,
    after: Option<u64>,
    limit: usize,
}

/// The page that a request asks for.
pub(super) fn page<B>(registry: &Registry, request: &Request<B>) -> Response<String> {
    let Some(query) = parse(request.uri().query().unwrap_or_default()) else {
        return plain(StatusCode::BAD_REQUEST, HELP);
    };
    let (listed, next) = registry.list(&query.selector, query.after, query.limit);
    let sessions: Vec<_> = listed.iter().map(session).collect();
    super::json(&json!({ "sessions": sessions, "next_after": next }))
}

fn session(listed: &Listed) -> Value {
    let who = &listed.who;
    json!({
        "number": listed.number,
        "session": who.session_id,
        "client_id": shown(&who.client_id),
        "username": who.username.as_deref().map(shown),
        "principal": shown(&who.principal),
        "listener": &*listed.listener,
        "peer": listed.peer.to_string(),
        "age_seconds": listed.age.as_secs(),
    })
}

fn parse(query: &str) -> Option<Query> {
    let mut parsed = Query {
        selector: Selector::All,
        after: None,
        limit: PAGE.0,
    };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=')?;
        let value = value.replace('+', " ");
        let value = percent_decode_str(&value).decode_utf8().ok()?.into_owned();
        let selector = match name {
            "limit" => {
                let limit = value.parse().ok();
                parsed.limit = limit.filter(|limit| (1..=PAGE.1).contains(limit))?;
                continue;
            }
            "after" => {
                parsed.after = Some(value.parse().ok()?);
                continue;
            }
            "session" => Selector::Session(value),
            "client_id" => Selector::Client(value),
            "username" => Selector::Username(value),
            "principal" => Selector::Principal(value),
            _ => return None,
        };
        if parsed.selector != Selector::All {
            return None;
        }
        parsed.selector = selector;
    }
    Some(parsed)
}

/// A name, unless it is a bearer token in the place of one: some services take them as user names.
fn shown(name: &str) -> Cow<'_, str> {
    if name.starts_with("eyJ") && name.matches('.').count() >= 2 {
        return "<token>".into();
    }
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]).into(),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_and_long_names_are_cut() {
        assert_eq!(shown("alice"), "alice");
        assert_eq!(shown("eyJhbGciOi.eyJzdWIi.c2ln"), "<token>");
        assert_eq!(shown(&"ü".repeat(1000)).chars().count(), SHOWN + 1);
    }

    #[test]
    fn queries_are_understood_or_refused() {
        let query = parse("limit=7&after=3&client_id=a%2Fb+c").unwrap();
        assert_eq!((query.limit, query.after), (7, Some(3)));
        assert_eq!(query.selector, Selector::Client("a/b c".to_owned()));
        for bad in [
            "limit=0",
            "limit=1001",
            "after=x",
            "a=b",
            "username=a&principal=b",
            "limit",
        ] {
            assert!(parse(bad).is_none(), "{bad}");
        }
    }
}
