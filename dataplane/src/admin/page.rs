//! `/`: the status page. Plain HTML without scripts, so that it can be read anywhere.

use std::fmt::Write as _;

use tidegate_settings::text;

use super::Admin;
use crate::authz::HookKind;

/// Its media type.
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// The page.
pub(super) fn status(admin: &Admin) -> String {
    let mut page = String::from(
        "<!doctype html><html lang=\"en\"><head><title>Tidegate</title><style>\
         body{font-family:sans-serif;margin:2em}td,th{text-align:left;padding:.2em 1em .2em 0}\
         </style></head><body><h1>Tidegate</h1>",
    );
    let uptime = std::time::Duration::from_secs(admin.started_at.elapsed().as_secs());
    let mut rows = vec![
        ("version", env!("CARGO_PKG_VERSION").to_owned()),
        ("state", admin.readiness.standing().as_str().to_owned()),
        ("running for", text::duration::format(uptime)),
        ("sessions", admin.sessions.len().to_string()),
    ];
    for (name, address) in &admin.listeners {
        rows.push(("listener", format!("{name} on {address}")));
    }
    table(
        &mut page,
        &["", ""],
        rows.iter()
            .map(|(name, value)| vec![(*name).to_owned(), value.clone()]),
    );

    page.push_str("<h2>Decisions</h2>");
    let hooks = HookKind::ALL.into_iter().map(|kind| {
        let hook = admin.counters.hook(kind);
        let number = |count: u64| count.to_string();
        vec![
            kind.as_str().to_owned(),
            number(hook.asked.get()),
            number(hook.allowed.get() + hook.allowed_cached.get()),
            number(hook.denied.get() + hook.denied_cached.get()),
            number(hook.failures()),
        ]
    });
    table(
        &mut page,
        &["", "asked", "allowed", "denied", "undecided"],
        hooks,
    );

    page.push_str("<h2>Authorization service</h2>");
    let endpoints = admin.counters.endpoints();
    let endpoints = endpoints.iter().map(|endpoint| {
        let health = match (endpoint.is_healthy(), endpoint.is_ejected()) {
            (true, false) => "well",
            (true, true) => "left alone: it fails call after call",
            (false, _) => "not connected, or not serving",
        };
        let hook = endpoint.hook.as_str().to_owned();
        vec![endpoint.address.clone(), hook, health.to_owned()]
    });
    table(
        &mut page,
        &["endpoint", "connection for", "health"],
        endpoints,
    );
    page.push_str(
        "<p><a href=\"/config_dump\">configuration</a> · <a href=\"/sessions\">sessions</a> · \
         <a href=\"/logging\">log filter</a></p></body></html>\n",
    );
    page
}

fn table(page: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    page.push_str("<table><tr>");
    for name in head {
        // A String takes whatever is written.
        let _ = write!(page, "<th>{name}</th>");
    }
    page.push_str("</tr>");
    for row in rows {
        page.push_str("<tr>");
        for cell in row {
            let _ = write!(page, "<td>{}</td>", escaped(&cell));
        }
        page.push_str("</tr>");
    }
    page.push_str("</table>");
}

/// Text as it stands in HTML: names are the operator's, but may hold anything.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}
