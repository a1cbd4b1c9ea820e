//! A secret appears nowhere: not in an error, not in the list of entries, not in `Debug`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tidegate_settings::{Error, Loader};

/// Looks like nothing else, so finding it anywhere is a leak.
const CANARY: &str = "c4n4ry";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct Config {
    password: Option<String>,
    api_token: u16,
    signing_key: Key,
    key_file: String,
    secrets: BTreeMap<String, u16>,
    broker_url: String,
    threads: u8,
}

/// Quotes what it refuses, as careless types do.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Key(String);

impl TryFrom<String> for Key {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Err(format!("{text} is no key"))
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0
    }
}

fn assert_clean(shown: &str) {
    assert!(!shown.contains(CANARY), "{shown}");
}

fn assert_error_is_clean(loader: &Loader) -> String {
    assert_clean(&format!("{loader:?}"));
    let error = loader.load::<Config>().unwrap_err();
    assert_clean(&format!("{error:?}"));
    let shown = error.to_string();
    assert_clean(&shown);
    shown
}

#[test]
fn errors_hide_values() {
    for toml in [
        format!("password = ['{CANARY}']"),
        format!("password = {{ {CANARY} = 1 }}"),
        format!("api_token = '{CANARY}'"),
        format!("signing_key = '{CANARY}'"),
        format!("secrets.alice = '{CANARY}'"),
        format!("broker_url = 'mqtt://u:{CANARY}@h'\nthreads = 'x'"),
        format!("threads = 'mqtt://u:{CANARY}@h'"),
    ] {
        assert_error_is_clean(&Loader::new("T").document("t.toml", toml));
    }
}

#[test]
fn the_error_still_says_where() {
    let toml = format!("\napi_token = '{CANARY}'");
    assert_eq!(
        assert_error_is_clean(&Loader::new("T").document("t.toml", toml)),
        "t.toml:2: `api_token`: expected an integer from 0 to 65535, found <redacted>"
    );
    let toml = format!("signing_key = '{CANARY}'");
    assert_eq!(
        assert_error_is_clean(&Loader::new("T").document("t.toml", toml)),
        "t.toml:1: `signing_key`: not acceptable: <redacted>"
    );
}

#[test]
fn syntax_errors_do_not_quote_the_line() {
    for toml in [
        format!("password = \"{CANARY}"),
        format!("password = {CANARY}"),
        format!("password = \"x\" {CANARY}"),
        format!("password = \"\\{CANARY}\""),
        format!("password = '{CANARY}'\npassword = '{CANARY}'"),
        format!("password = [\"{CANARY}\""),
        format!("password = 1{CANARY}"),
    ] {
        assert_error_is_clean(&Loader::new("T").document("t.toml", toml));
    }
}

#[test]
fn the_environment_and_flags_hide_texts() {
    for (name, text) in [
        ("T__API_TOKEN", CANARY.to_owned()),
        ("T__SECRETS", CANARY.to_owned()),
        ("T__SECRETS", format!("{{ alice = '{CANARY}' }}")),
        ("T__SIGNING_KEY", CANARY.to_owned()),
    ] {
        assert_error_is_clean(&Loader::new("T").environment([(name, text)]));
    }
    assert_error_is_clean(&Loader::new("T").flag("api_token", CANARY));
    let refined = [("T__SECRETS", CANARY), ("T__SECRETS__ALICE", "1")];
    assert_error_is_clean(&Loader::new("T").environment(refined));
}

#[test]
fn a_programs_own_rules_hide_values() {
    let error = Error::invalid("tls.private_key", CANARY, "a key", None);
    assert_clean(&format!("{error} {error:?}"));
    let url = format!("mqtt://u:{CANARY}@host");
    let error = Error::invalid("broker.url", url, "no password", None);
    assert_clean(&format!("{error} {error:?}"));
    assert!(error.to_string().contains("mqtt://u:<redacted>@host"));
}

#[test]
fn entries_hide_values_and_show_paths() {
    #[derive(Serialize, Deserialize)]
    struct Shown {
        password: String,
        token: Option<String>,
        key_file: String,
        broker_url: String,
    }
    let toml = format!(
        "password = '{CANARY}'\nkey_file = '/run/key.pem'\nbroker_url = 'mqtt://u:{CANARY}@h'"
    );
    let loaded = Loader::new("T")
        .document("t.toml", toml)
        .load::<Shown>()
        .unwrap();
    assert_eq!(loaded.value.password, CANARY);
    assert_clean(&format!("{:?}", loaded.tree));
    let shown: Vec<_> = loaded
        .tree
        .entries()
        .map(|entry| entry.to_string())
        .collect();
    assert_eq!(
        shown,
        [
            r#"broker_url = "mqtt://u:<redacted>@h"  # t.toml:3"#,
            r#"key_file = "/run/key.pem"  # t.toml:2"#,
            "password = <redacted>  # t.toml:1",
            "token = (unset)  # default",
        ]
    );
}
