//! What the command line shows, beside running a gate.

use std::{fs, path::Path, process::Command};

use tidegate_tests::{Door, binaries, gate::run_to_end};

/// Runs a command without a configuration, in an environment of its own.
fn tidegate(arguments: &[&str], environment: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let output = Command::new(binaries::tidegate())
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code(),
        text(output.stdout),
        text(output.stderr),
    )
}

#[test]
fn the_defaults_are_a_configuration_file_that_changes_nothing() {
    let (code, defaults, _) = tidegate(&["config", "defaults"], &[]);
    assert_eq!(code, Some(0));
    for key in [
        "connect_timeout = \"10s\"",
        "max_packet_size = \"1MiB\"",
        "# otlp_endpoint =",
    ] {
        assert!(defaults.contains(key), "{key} in {defaults}");
    }
    let output = run_to_end(&["check"], &defaults, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}\n{defaults}");
    let values = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .map(|line| line.split("  # ").next().unwrap().to_owned());
        lines.collect()
    };
    let of_file = run_to_end(&["config", "show"], &defaults, &[]);
    let of_nothing = run_to_end(&["config", "show"], "", &[]);
    let text = |output: std::process::Output| String::from_utf8(output.stdout).unwrap();
    assert_eq!(values(&text(of_file)), values(&text(of_nothing)));
}

/// `tidegate config schema > dataplane/tidegate.schema.json` makes it anew.
#[test]
fn the_schema_that_is_committed_is_that_of_the_program() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dataplane/tidegate.schema.json");
    let (code, schema, _) = tidegate(&["config", "schema"], &[]);
    assert_eq!(code, Some(0));
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        schema,
        "the schema is stale"
    );
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["broker"].is_object());
}

#[test]
fn show_needs_none_of_the_files_and_tells_where_they_are() {
    let config = "[[listeners]]\nname = 'mqtts'\ntransport = 'tls'\n\
                  tls.certificates = [{ cert = '/nowhere/a.crt', key = '/nowhere/a.key' }]\n";
    let output = run_to_end(&["config", "show"], config, &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = "listeners.0.tls.certificates.0.key = \"/nowhere/a.key\"";
    assert!(text.contains(line), "{text}");
    assert_eq!(run_to_end(&["check"], config, &[]).status.code(), Some(78));
}

#[test]
fn show_tells_where_each_value_comes_from_and_no_secrets() {
    let config = "[broker]\nurl = 'mqtt://a:1'\n[telemetry]\notlp_endpoint = 'http://127.0.0.1:4317'\n\
                  [[listeners]]\nname = 'mqtt'\nattributes = { api_key = 'hush-hush' }";
    let environment = [("TIDEGATE__BROKER__URL", "mqtt://b:1")];
    let output = run_to_end(
        &["config", "show", "--set", "drain.delay=3s"],
        config,
        &environment,
    );
    let text = String::from_utf8(output.stdout).unwrap();
    for line in [
        "broker.url = \"mqtt://b:1\"  # environment variable TIDEGATE__BROKER__URL",
        "drain.delay = \"3s\"  # flag for drain.delay",
        "broker.connect_timeout = \"10s\"  # default",
    ] {
        assert!(text.lines().any(|it| it == line), "{line} in {text}");
    }
    assert!(
        text.contains("tidegate.toml:4") && !text.contains("hush-hush"),
        "{text}"
    );
}

#[test]
fn shells_and_readers_of_manuals_are_served() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = tidegate(&["completions", shell], &[]);
        assert_eq!(code, Some(0));
        assert!(script.contains("from-mproxy-env"), "{shell}");
    }
    let (code, page, _) = tidegate(&["man"], &[]);
    assert!(code == Some(0) && page.contains(".TH tidegate"), "{page}");
    assert_eq!(tidegate(&["man", "run"], &[]).0, Some(0));
    assert_eq!(tidegate(&["man", "fly"], &[]).0, Some(2));
    assert_eq!(tidegate(&["run", "--set", "nothing"], &[]).0, Some(2));
    assert_eq!(
        tidegate(&["check", "--set", "no.such.key=1"], &[]).0,
        Some(78)
    );
}

#[test]
fn what_mproxy_was_told_is_a_good_configuration() {
    let authority = Door::authority();
    let file = |name: &str| authority.path(name).display().to_string();
    let (cert, key, ca) = (file("gate.crt"), file("gate.key"), file("ca.crt"));
    let first = [
        ("MPROXY_MQTT_TARGET_HOST", "broker"),
        ("MPROXY_CLIENT_TLS", "true"),
        ("MPROXY_SERVER_CERT", &cert),
        ("MPROXY_SERVER_KEY", &key),
        ("MPROXY_CA_CERTS", &ca),
        ("MPROXY_WS_PORT", "9001"),
        ("MPROXY_WS_PATH", "ws"),
    ];
    let later = [
        ("MGATE_MQTT_WITHOUT_TLS_ADDRESS", ":1884"),
        ("MGATE_MQTT_WITHOUT_TLS_TARGET", "mqtts://broker:8883"),
        ("MGATE_MQTT_WITHOUT_TLS_SERVER_CA_FILE", &ca),
        ("MGATE_MQTT_WITH_TLS_PORT", "8883"),
        ("MGATE_MQTT_WITH_TLS_CERT_FILE", &cert),
        ("MGATE_MQTT_WITH_TLS_KEY_FILE", &key),
        ("MGATE_MQTT_WITH_MTLS_PORT", "8884"),
        ("MGATE_MQTT_WITH_MTLS_CERT_FILE", &cert),
        ("MGATE_MQTT_WITH_MTLS_KEY_FILE", &key),
        ("MGATE_MQTT_WITH_MTLS_CLIENT_CA_FILE", &ca),
        ("MGATE_MQTT_WS_WITHOUT_TLS_PORT", "8083"),
        ("MGATE_MQTT_WS_WITHOUT_TLS_PATH_PREFIX", "mgate-ws"),
        ("MGATE_MQTT_WS_WITH_TLS_PORT", "8084"),
        ("MGATE_MQTT_WS_WITH_TLS_CERT_FILE", &cert),
        ("MGATE_MQTT_WS_WITH_TLS_KEY_FILE", &key),
    ];
    let to_a_websocket = [
        ("MGATE_MQTT_WS_WITHOUT_TLS_PORT", "8083"),
        ("MGATE_MQTT_WS_WITHOUT_TLS_TARGET_PROTOCOL", "wss"),
        ("MGATE_MQTT_WS_WITHOUT_TLS_TARGET_HOST", "broker"),
        ("MGATE_MQTT_WS_WITHOUT_TLS_TARGET_PORT", "8000"),
        ("MGATE_MQTT_WS_WITHOUT_TLS_TARGET_PATH", "mqtt"),
        ("MGATE_MQTT_WS_WITHOUT_TLS_SERVER_CA_FILE", &ca),
    ];
    for environment in [&first[..], &later, &to_a_websocket] {
        let (code, text, _) = tidegate(&["config", "from-mproxy-env"], environment);
        assert_eq!(code, Some(0));
        let output = run_to_end(&["check"], &text, &[]);
        assert_eq!(output.status.code(), Some(0), "{output:?}\n{text}");
    }
}
