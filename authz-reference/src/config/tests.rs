//! What a configuration file and the environment come to.

use std::{fs, num::NonZeroUsize};

use super::{hashing::QUEUED_PER_WORKER, *};
use crate::hashing::HashingLimits;

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
            config.users.file = strip(config.users.file);
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
        config.users.file,
        Path::new("users.toml"),
        "in the working directory"
    );
}

#[test]
fn every_key_can_be_set() {
    let text = r#"
        bind = "[::1]:1"
        [users]
        file = "u.toml"
        [policy]
        anonymous = true
        client_ids = "off"
        [hashing]
        workers = 3
        queue = 0
        [session]
        key_file = "k"
        [log]
        format = "json"
        filter = "warn,decision=debug"
        [telemetry]
        otlp_endpoint = "http://127.0.0.1:4317"
    "#;
    let config = load(text, &[]).unwrap();
    assert_eq!(config.bind.tcp().unwrap().port(), 1);
    assert_eq!(config.users.file, Path::new("u.toml"));
    assert_eq!(
        config.policy,
        PolicyConfig {
            anonymous: true,
            client_ids: ClientIds::Off
        }
    );
    let workers = NonZeroUsize::new(3).unwrap();
    assert_eq!(config.hashing.limits(), HashingLimits { workers, queue: 0 });
    assert_eq!(config.session.key_file.as_deref(), Some(Path::new("k")));
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
