//! What a configuration file and the environment come to.

use std::{fs, num::NonZeroUsize};

use super::{hashing::QUEUED_PER_WORKER, *};
use crate::{hashing::HashingLimits, policy::rules::Prefix};

fn load(text: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("authz.toml");
    fs::write(&file, text).unwrap();
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let strip = |path: PathBuf| path.strip_prefix(folder.path()).unwrap().to_owned();
    Config::load(Some(&file), environment)
        .map(|mut config| {
            config.users.file = config.users.file.map(strip);
            config.users.sqlite.path = strip(config.users.sqlite.path);
            config.users.postgres.url_file = config.users.postgres.url_file.map(strip);
            config.session.key_file = config.session.key_file.map(strip);
            config
        })
        .map_err(|error| error.to_string())
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(load("", &[]), Ok(Config::default()));
    let config = Config::load(None, []).unwrap();
    assert_eq!(
        config.users.sqlite.path,
        Path::new("users.db"),
        "in the working directory"
    );
    assert_eq!(config.users.sources(), [SourceKind::Sqlite]);
}

#[test]
fn every_key_can_be_set() {
    let text = r#"
        bind = "[::1]:1"
        [users]
        sources = ["postgres", "file", "sqlite"]
        file = "u.toml"
        file_format = "mosquitto"
        [users.sqlite]
        path = "u.db"
        [users.postgres]
        url_file = "url"
        max_connections = 3
        connect_timeout = "1s"
        query_timeout = "500ms"
        migrate = false
        [policy]
        prefix = "t/{username}/#"
        anonymous_roles = ["public"]
        anonymous = true
        client_ids = "off"
        [hashing]
        workers = 3
        queue = 0
        cache_ttl = "0s"
        [session]
        key_file = "k"
        max_age = "2h"
        [roles.public]
        grants = [{ topic = "news/#", subscribe = true, qos = 1 }]
        [log]
        format = "json"
        filter = "warn,decision=debug"
        [telemetry]
        otlp_endpoint = "http://127.0.0.1:4317"
    "#;
    let config = load(text, &[]).unwrap();
    assert_eq!(config.bind.tcp().unwrap().port(), 1);
    use SourceKind::{File, Postgres, Sqlite};
    assert_eq!(config.users.sources(), [Postgres, File, Sqlite]);
    assert_eq!(config.users.file(), Path::new("u.toml"));
    assert_eq!(config.users.sqlite.path, Path::new("u.db"));
    let postgres = &config.users.postgres;
    assert_eq!(postgres.url_file.as_deref(), Some(Path::new("url")));
    assert_eq!(postgres.query_timeout.as_millis(), 500);
    assert!(!postgres.migrate);
    assert_eq!(
        config.policy,
        PolicyConfig {
            prefix: Prefix::new("t/{username}/#").unwrap(),
            anonymous: true,
            anonymous_roles: vec![RoleName::new("public").unwrap()],
            client_ids: ClientIds::Off
        }
    );
    let workers = NonZeroUsize::new(3).unwrap();
    assert_eq!(config.hashing.limits(), HashingLimits { workers, queue: 0 });
    assert_eq!(config.session.key_file.as_deref(), Some(Path::new("k")));
    assert_eq!(config.session.max_age.as_secs(), 7_200);
    assert!(config.hashing.cache_ttl.is_zero());
    let public = &config.roles[&RoleName::new("public").unwrap()].grants[0];
    assert_eq!((public.topic.as_str(), public.qos), ("news/#", 1));
    assert!(public.subscribe && public.retain && !public.publish);
    assert_eq!(config.log.filter, "warn,decision=debug");
    assert_eq!(
        config.telemetry.otlp_endpoint.as_deref(),
        Some("http://127.0.0.1:4317")
    );
}

#[test]
fn the_environment_wins() {
    let environment = [
        ("TIDEGATE_AUTHZ__BIND", "127.0.0.1:2"),
        ("TIDEGATE_AUTHZ__HASHING__WORKERS", "2"),
        ("TIDEGATE_AUTHZ_SERVICE_HOST", "10.0.0.1"), // Kubernetes' own
    ];
    let config = load("bind = \"127.0.0.1:1\"", &environment).unwrap();
    assert_eq!(config.bind.tcp().unwrap().port(), 2);
    assert_eq!(config.hashing.limits().queue, 2 * QUEUED_PER_WORKER);
}

#[test]
fn says_what_is_wrong_and_where() {
    for (text, expected) in [
        ("\nbnid = 1", [":2", "`bnid`", "`bind`"]),
        (
            "[policy]\nclient_ids = \"on\"",
            [":2", "policy.client_ids", "namespaced"],
        ),
        ("[hashing]\nworkers = 0", [":2", "hashing.workers", "0"]),
        (
            "[policy]\nprefix = \"all/#\"",
            [":2", "policy.prefix", "{username}"],
        ),
        (
            "[policy]\nprefix = \"{client_id}/#\"",
            [":2", "policy.prefix", "bound"],
        ),
        (
            "[roles.r]\ngrants = [{ topic = \"dev/{client_id}/#\", publish = true }]",
            ["roles.r.grants", "dev/{client_id}/#", "bound"],
        ),
        (
            "[policy]\nanonymous_roles = [\"x\"]",
            [":2", "policy.anonymous_roles", "[roles.NAME]"],
        ),
        (
            "[roles.\"a b\"]\ngrants = []",
            ["a b", "role name", "white space"],
        ),
        (
            "[roles.a]\ngrants = [{ topic = \"x\", qos = 3 }]",
            [":2", "roles.a.grants", "0, 1 or 2"],
        ),
        (
            "[session]\nkey_file = \"a\"\nkey_files = [\"b\"]",
            [":3", "session.key_files", "either"],
        ),
        (
            "[session]\nmax_age = \"5s\"",
            [":2", "session.max_age", "5s"],
        ),
        (
            "[users]\nsources = []",
            [":2", "users.sources", "one source"],
        ),
        (
            "[users]\nsources = [\"file\", \"file\"]",
            [":2", "users.sources", "each once"],
        ),
        (
            "[users]\nsources = [\"ldap\"]",
            [":2", "users.sources", "sqlite"],
        ),
        (
            "[users]\nsources = [\"postgres\"]",
            ["users.postgres.url", "neither", "url_file"],
        ),
        ("[hashing]\nworkers = 0", [":2", "hashing.workers", "0"]),
        ("[log]\nfilter = \"x=lots\"", [":2", "log.filter", "x=lots"]),
        (
            "[telemetry]\notlp_endpoint = \"here\"",
            [":2", "telemetry.otlp_endpoint", "here"],
        ),
    ] {
        let error = load(text, &[]).unwrap_err();
        for part in expected {
            assert!(error.contains(part), "{part} is not in: {error}");
        }
    }
}

#[test]
fn a_database_url_is_not_printed() {
    let config = load(
        "[users]\nsources = [\"postgres\"]\n[users.postgres]\nurl = \"postgres://u:canary@h/d\"",
        &[],
    );
    let printed = format!("{:?}", config.unwrap());
    assert!(printed.contains("url") && !printed.contains("canary"));
}

#[test]
fn a_users_file_is_a_source() {
    let config = load("[users]\nfile = \"u.toml\"", &[]).unwrap();
    assert_eq!(config.users.sources(), [SourceKind::File]);
}
