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

#[test]
fn the_first_kind_has_defaults_and_one_certificate() {
    let text = translated(&[
        ("MPROXY_MQTT_TARGET_HOST", "broker"),
        ("MPROXY_CLIENT_TLS", "true"),
        ("MPROXY_SERVER_CERT", "/tls/cert.pem"),
        ("MPROXY_SERVER_KEY", "/tls/key.pem"),
        ("MPROXY_WS_PORT", "9001"),
        ("MPROXY_LOG_LEVEL", "error"),
        ("MPROXY_HTTP_PORT", "8888"),
        ("PATH", "/bin"),
    ]);
    assert_lines(
        &text,
        &[
            "bind = \"0.0.0.0:1883\"",
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
