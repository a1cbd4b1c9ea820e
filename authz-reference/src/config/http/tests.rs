//! This section and those like it: `[users.jwt]` and `[users.certificate]`.

use std::fs;

use super::*;
use crate::config::{Config, UsersConfig, jwt::SignatureAlgorithm};

fn load(text: &str) -> Result<UsersConfig, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authz.toml");
    fs::write(&file, text).unwrap();
    match Config::load(Some(&file), []) {
        Ok(config) => Ok(config.users),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_section_with_what_is_needed() {
    let users =
        load("users.sources = [\"http\"]\n[users.http]\nurl = \"https://users.example/api\"")
            .unwrap();
    let http = users.http.unwrap();
    assert_eq!(http.mode, HttpMode::UserManager);
    assert_eq!(http.manager, ManagerConfig::default());
    assert_eq!((users.jwt, users.certificate), (None, None));

    let text = r#"
        users.sources = ["http", "jwt", "certificate"]
        [users.http]
        url = "http://gateway:8080"
        mode = "go-auth"
        body = "form"
        timeout = "500ms"
        tls = { ca = "ca.pem", cert = "a.pem", key = "a.key" }
        [users.http.go_auth]
        acl = true
        acl_subscribe = ["read"]
        response = "json"
        [users.jwt]
        jwks_file = "/keys.json"
        secret_file = "/secret"
        algorithms = ["ES256", "HS256"]
        [users.certificate]
        from = ["uri", "common-name"]
        uri_prefix = "spiffe://td/user/"
        roles = ["devices"]
    "#;
    let users = load(text).unwrap();
    let http = users.http.unwrap();
    assert!(http.go_auth.acl && http.tls.ca.unwrap().is_absolute());
    assert_eq!(http.timeout, Duration::from_millis(500));
    let jwt = users.jwt.unwrap();
    assert_eq!(
        jwt.algorithms(),
        [SignatureAlgorithm::ES256, SignatureAlgorithm::HS256]
    );
    assert_eq!(users.certificate.unwrap().roles.len(), 1);
}

#[test]
fn says_what_is_wrong_and_where() {
    let http = "[users.http]\nurl = \"https://users.example\"\n";
    for (text, expected) in [
        ("[users.http]\n", ["users.http.url", "\"\"", "https://"]),
        (
            "[users.http]\nurl = \"ftp://x\"",
            [":2", "ftp://x", "https://"],
        ),
        (
            "[users.http]\nurl = \"https://x/?a=b\"",
            [":2", "users.http.url", "query"],
        ),
        (
            "[users.http]\nurl = \"https://svc:secret@x\"",
            [":2", "users.http.url", "without user"],
        ),
        (
            &format!("{http}timeout = \"0s\""),
            [":3", "users.http.timeout", "0s"],
        ),
        (
            &format!("{http}mode = \"go\""),
            [":3", "users.http.mode", "go-auth"],
        ),
        (
            &format!("{http}[users.http.manager]\nlogin_path = \"login\""),
            [":4", "login_path", "/"],
        ),
        (
            &format!("{http}[users.http.manager]\nrefused_status = [500]"),
            [":4", "refused_status", "499"],
        ),
        (
            &format!("{http}[users.http.manager]\nname_fields = []"),
            [":4", "name_fields", "identify_path"],
        ),
        (
            &format!("{http}[users.http.go_auth]\nacl_subscribe = []"),
            [":4", "acl_subscribe", "read"],
        ),
        (
            &format!("{http}[users.http.tls]\ncert = \"c\""),
            ["users.http.tls.key", "beside", "cert"],
        ),
        ("[users.jwt]\n", ["users.jwt", "jwks_url", "secret_file"]),
        (
            "[users.jwt]\njwks_url = \"keys\"",
            [":2", "jwks_url", "keys"],
        ),
        (
            "[users.jwt]\njwks_url = \"https://x\"\njwks_file = \"k\"",
            [":3", "jwks_file", "jwks_url"],
        ),
        (
            "[users.jwt]\njwks_url = \"https://x\"\nalgorithms = [\"HS256\"]",
            [":3", "algorithms", "secret_file"],
        ),
        (
            "[users.jwt]\njwks_url = \"https://x\"\nalgorithms = [\"none\"]",
            [":3", "algorithms", "ES256"],
        ),
        (
            "[users.jwt]\nsecret_file = \"s\"\nalgorithms = [\"RS256\"]",
            [":3", "algorithms", "RS256"],
        ),
        (
            "[users.certificate]\nfrom = []",
            [":2", "from", "common-name"],
        ),
        (
            "[users.certificate]\nfrom = [\"uri\"]",
            ["uri_prefix", "spiffe", "users.certificate"],
        ),
        ("[users.certificate]\nform = []", [":2", "form", "from"]),
    ] {
        let error = load(text).unwrap_err();
        for part in expected {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}

#[test]
fn what_is_refused_for_what_it_may_hold_is_not_shown() {
    for url in [
        "https://bob:hunter2@x",
        "https://bob:a?hunter2@x",
        "https://x/?apikey=hunter2",
        "https://x:8443/hunter2/?a=b",
        "https://x/#hunter2",
        "x?apikey=hunter2",
        "//x?apikey=hunter2",
        "bob:hunter2@x",
    ] {
        let path = format!(
            "[users.http]\nurl = \"https://x\"\n[users.http.manager]\nlogin_path = \"{url}\""
        );
        for text in [
            format!("[users.http]\nurl = \"{url}\""),
            format!("[users.jwt]\njwks_url = \"{url}\""),
            path,
        ] {
            let error = load(&text).unwrap_err();
            assert!(!error.contains("hunter2"), "{text}: {error}");
        }
    }
    let error = load("[users.http]\nurl = \"https://x.example:8443/?apikey=a\"").unwrap_err();
    assert!(error.contains("https://x.example with a query"), "{error}");
}
