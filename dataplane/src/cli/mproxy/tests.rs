use super::*;

fn translated(variables: &[(&str, &str)]) -> String {
    translate(
        variables
            .iter()
            .map(|(name, value)| (name.into(), value.into())),
    )
    .unwrap()
}

#[track_caller]
fn assert_lines(text: &str, lines: &[&str]) {
    for line in lines {
        assert!(text.lines().any(|it| it == *line), "{line}\nin\n{text}");
    }
    text.parse::<toml::Table>().unwrap();
}

fn refused(variables: &[(&str, &str)]) -> String {
    let variables = variables
        .iter()
        .map(|(name, value)| (name.into(), value.into()));
    translate(variables).unwrap_err()
}

/// The listeners, all of them: transport and address.
#[track_caller]
fn listeners(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    let table: toml::Table = translated(variables).parse().unwrap();
    let listeners = table["listeners"].as_array().unwrap();
    let text = |listener: &toml::Value, key| listener[key].as_str().unwrap().to_owned();
    listeners
        .iter()
        .map(|it| (text(it, "transport"), text(it, "bind")))
        .collect()
}

#[track_caller]
fn assert_listeners(variables: &[(&str, &str)], expected: &[(&str, &str)]) {
    let found = listeners(variables);
    let found: Vec<_> = found.iter().map(|(a, b)| (&a[..], &b[..])).collect();
    assert_eq!(found, expected, "{variables:?}");
}

#[test]
fn tls_and_plain_text_never_stand_side_by_side_in_the_first_kind() {
    let certificate = [("MPROXY_SERVER_CERT", "c"), ("MPROXY_SERVER_KEY", "k")];
    let with = |more: &[(&'static str, &'static str)]| [&certificate[..], more].concat();
    for word in ["1", "t", "T", "true", "TRUE", "True"] {
        assert_listeners(
            &with(&[("MPROXY_CLIENT_TLS", word)]),
            &[("tls", "0.0.0.0:8883")],
        );
    }
    assert_listeners(
        &with(&[("MPROXY_CLIENT_TLS", "true"), ("MPROXY_WS_PORT", "9001")]),
        &[("tls", "0.0.0.0:8883"), ("wss", "0.0.0.0:8081")],
    );
    for word in ["", "0", "f", "F", "false", "FALSE", "False"] {
        assert_listeners(
            &with(&[("MPROXY_CLIENT_TLS", word), ("MPROXY_WSS_PORT", "9001")]),
            &[("tcp", "0.0.0.0:1883"), ("ws", "0.0.0.0:8080")],
        );
    }
    for word in ["yes", "on", "tRuE", "2"] {
        let why = refused(&with(&[("MPROXY_CLIENT_TLS", word)]));
        assert!(why.contains("CLIENT_TLS") && why.contains(word), "{why}");
    }
}

#[test]
fn files_decide_about_tls_in_the_later_kind() {
    let files = |set: &str| {
        ["CERT_FILE", "KEY_FILE"].map(|name| (format!("MGATE_MQTT_{set}_{name}"), "f".to_owned()))
    };
    let port = |set: &str, port: &str| (format!("MGATE_MQTT_{set}_PORT"), port.to_owned());
    let mut variables = vec![port("WITHOUT_TLS", "1"), port("WITH_MTLS", "3")];
    variables.extend(files("WITHOUT_TLS"));
    variables.extend(files("WITH_MTLS"));
    // Without its files; nobody can have meant plain text.
    variables.push(port("WITH_TLS", "2"));
    let variables: Vec<_> = variables.iter().map(|(a, b)| (&a[..], &b[..])).collect();
    assert_listeners(
        &variables,
        &[
            ("tls", "0.0.0.0:1"),
            ("tls", "0.0.0.0:2"),
            ("tls", "0.0.0.0:3"),
        ],
    );
    assert_lines(
        &translated(&variables),
        &[
            "# its name says otherwise, but it had a certificate: it was TLS",
            "# the certificate or its key was not named: it has to be, here",
            "# no CLIENT_CA_FILE: clients needed no certificate, and need none here",
        ],
    );
}

#[test]
fn what_opens_no_listener_is_refused_and_opens_none_by_default() {
    let why = refused(&[("MGATE_MQTT_WITH_TLS_ADDRESS", "8883")]);
    assert!(why.contains("host:port") && why.contains("8883"), "{why}");
    refused(&[("MGATE_HTTP_WITHOUT_TLS_PORT", "8888")]);
    refused(&[("MGATE_MQTT_WITH_TLS_HOST", "0.0.0.0")]);
}

#[test]
fn plain_websockets_of_the_middle_generation_are_none_of_mqtt() {
    let variables = [
        ("MPROXY_MQTT_WS_PORT", "9001"),
        ("MPROXY_MQTT_WS_TARGET_PORT", "9002"),
        ("MPROXY_WS_PORT", "7777"),
    ];
    assert_listeners(
        &variables,
        &[("tcp", "0.0.0.0:1883"), ("ws", "0.0.0.0:9001")],
    );
    let text = translated(&variables);
    assert_lines(&text, &["# MPROXY_WS_PORT: no equal"]);
    assert!(text.contains("ws://localhost:9002/mqtt"), "{text}");
}

#[test]
fn an_authority_for_a_broker_without_tls_is_not_swallowed() {
    let text = translated(&[
        ("MGATE_MQTT_WITHOUT_TLS_PORT", "1884"),
        ("MGATE_MQTT_WITHOUT_TLS_TARGET", "localhost:1883"),
        ("MGATE_MQTT_WITHOUT_TLS_SERVER_CA_FILE", "ca.crt"),
    ]);
    assert_lines(
        &text,
        &["# MGATE_MQTT_WITHOUT_TLS_SERVER_CA_FILE: this target is not reached by TLS"],
    );
}

#[test]
fn the_first_kind_has_defaults_and_one_certificate() {
    let text = translated(&[
        ("MPROXY_MQTT_TARGET_HOST", "broker"),
        ("MPROXY_CLIENT_TLS", "true"),
        ("MPROXY_SERVER_CERT", "/tls/cert.pem"),
        ("MPROXY_SERVER_KEY", "/tls/key.pem"),
        ("MPROXY_WSS_PORT", "9001"),
        ("MPROXY_LOG_LEVEL", "error"),
        ("MPROXY_HTTP_PORT", "8888"),
        ("PATH", "/bin"),
    ]);
    assert_lines(
        &text,
        &[
            "bind = \"0.0.0.0:8883\"",
            "bind = \"0.0.0.0:9001\"",
            "transport = \"wss\"",
            "tls = { certificates = [{ cert = \"/tls/cert.pem\", key = \"/tls/key.pem\" }] }",
            "websocket = { path = \"/mqtt\" }",
            "url = \"mqtt://broker:1884\"",
            "filter = \"error\"",
            "# MPROXY_HTTP_PORT: Tidegate speaks MQTT alone",
        ],
    );
}

#[test]
fn the_later_kind_has_a_set_for_each_listener() {
    let text = translated(&[
        ("MGATE_MQTT_WITHOUT_TLS_ADDRESS", ":1884"),
        ("MGATE_MQTT_WITHOUT_TLS_TARGET", "localhost:1883"),
        ("MGATE_MQTT_WITH_MTLS_HOST", "localhost"),
        ("MGATE_MQTT_WITH_MTLS_PORT", "8884"),
        ("MGATE_MQTT_WITH_MTLS_TARGET_PROTOCOL", "mqtt"),
        ("MGATE_MQTT_WITH_MTLS_TARGET_HOST", "localhost"),
        ("MGATE_MQTT_WITH_MTLS_TARGET_PORT", "1883"),
        ("MGATE_MQTT_WITH_MTLS_CERT_FILE", "server.crt"),
        ("MGATE_MQTT_WITH_MTLS_KEY_FILE", "server.key"),
        ("MGATE_MQTT_WITH_MTLS_CLIENT_CA_FILE", "ca.crt"),
        (
            "MGATE_MQTT_WITH_MTLS_OCSP_RESPONDER_URL",
            "http://localhost:8080/ocsp",
        ),
        ("MGATE_MQTT_WS_WITHOUT_TLS_PORT", "8083"),
        ("MGATE_MQTT_WS_WITHOUT_TLS_PATH_PREFIX", "/mgate-ws"),
        ("MGATE_MQTT_WS_WITHOUT_TLS_TARGET_PROTOCOL", "ws"),
        ("MGATE_MQTT_WS_WITHOUT_TLS_TARGET_HOST", "localhost"),
        ("MGATE_MQTT_WS_WITHOUT_TLS_TARGET_PORT", "8000"),
        ("MGATE_COAP_WITHOUT_DTLS_PORT", "5682"),
    ]);
    assert_lines(
        &text,
        &[
            "name = \"mqtt_without_tls\"",
            "bind = \"0.0.0.0:1884\"",
            "bind = \"127.0.0.1:8884\"",
            "tls = { certificates = [{ cert = \"server.crt\", key = \"server.key\" }], client_certificates = \"required\", client_ca = \"ca.crt\" }",
            "websocket = { path = \"/mgate-ws\" }",
            "url = \"mqtt://localhost:1883\"",
            "# \"ws://localhost:8000\" was behind some listeners: all of a Tidegate have one broker, whatever clients speak",
            "# MGATE_COAP_WITHOUT_DTLS_PORT: Tidegate speaks MQTT alone",
        ],
    );
    assert!(
        text.contains("# MGATE_MQTT_WITH_MTLS_OCSP_RESPONDER_URL: Tidegate asks no OCSP responder")
    );
}

#[test]
fn what_goes_to_a_broker_over_tls_keeps_its_authority() {
    let text = translated(&[
        ("MGATE_MQTT_WITHOUT_TLS_HOST", "gate.example"),
        ("MGATE_MQTT_WITHOUT_TLS_PORT", "1884"),
        ("MGATE_MQTT_WITHOUT_TLS_TARGET", "mqtts://broker:8883"),
        ("MGATE_MQTT_WITHOUT_TLS_SERVER_CA_FILE", "ca.crt"),
    ]);
    assert_lines(
        &text,
        &[
            "# gate.example is a name: bind takes an address",
            "bind = \"127.0.0.1:1884\"",
            "url = \"mqtts://broker:8883\"",
            "tls = { ca = \"ca.crt\" }",
        ],
    );
}

#[test]
fn nothing_to_translate_is_an_error() {
    translate([("MPROXYISH".into(), "x".into())]).unwrap_err();
}
