use crate::config::{TlsVersion, Transport, validate::tests::load};

const CERTIFICATE: &str = "certificates = [{ cert = 'a.crt', key = 'a.key' }]";

#[test]
fn a_listener_with_everything() {
    let config = load(&format!(
        "[[listeners]]
         transport = 'wss'
         accept_rate = 100
         proxy_protocol = {{ version = 'v2', trusted = ['10.0.0.0/8', '::1'] }}
         [listeners.tls]
         {CERTIFICATE}
         min_version = '1.3'
         alpn = ['http/1.1']
         client_certificates = 'optional'
         client_ca = 'ca.crt'
         client_crl = 'crl.pem'
         forward_certificate = true
         [listeners.websocket]
         path = '/broker'
         origins = ['https://app.example']
         headers = ['x-tenant']
         max_message_size = '1MiB'"
    ));
    let listener = &config.unwrap().listeners.0[0];
    assert_eq!(listener.transport, Transport::Wss);
    let tls = listener.tls.as_ref().unwrap();
    assert_eq!(tls.min_version, TlsVersion::V13);
    assert_eq!(listener.websocket.as_ref().unwrap().path, "/broker");
}

#[test]
fn an_error_names_key_value_and_expectation() {
    let no_certificate = "`listeners.0.tls.certificates`: expected at least one certificate, such as { cert = \"tls.crt\", key = \"tls.key\" }, found none";
    for (toml, error) in [
        ("transport = 'tls'", no_certificate),
        ("transport = 'wss'", no_certificate),
        ("transport = 'tls'\ntls = {}", no_certificate),
        (
            &format!("transport = 'ws'\ntls = {{ {CERTIFICATE} }}"),
            "`listeners.0.tls`: expected a `transport` with TLS (\"tls\" or \"wss\") to use it, found another",
        ),
        (
            &format!(
                "transport = 'tls'\ntls = {{ {CERTIFICATE}, client_certificates = 'required' }}"
            ),
            "`listeners.0.tls.client_ca`: expected the authorities whose client certificates are good, found none",
        ),
        (
            &format!("transport = 'tls'\ntls = {{ {CERTIFICATE}, client_ca = 'ca.crt' }}"),
            "`listeners.0.tls.client_ca`: expected `tls.client_certificates` \"optional\" or \"required\" to use it, found \"none\"",
        ),
        (
            "transport = 'tls'\ntls = { certificates = [{ cert = 'a.crt' }] }",
            "`listeners.0.tls.certificates.0.key` is missing",
        ),
        (
            "transport = 'ws'\nwebsocket = { origins = ['https://*.example'] }",
            "`listeners.0.websocket.origins.0`: expected \"*\" alone, or scheme and host, such as \"https://app.example\", found \"https://*.example\"",
        ),
        (
            "transport = 'ws'\nwebsocket = { max_message_size = '64KiB' }",
            "`listeners.0.websocket.max_message_size`: expected at least `limits.max_packet_size`, 1048576, found 65536",
        ),
        (
            "proxy_protocol = { version = 'v1', trusted = ['::ffff:10.0.0.0/104'] }",
            "`listeners.0.proxy_protocol.trusted.0`: expected an address or a network, such as \"10.0.0.0/8\"; IPv4 as such, not within IPv6, found \"::ffff:10.0.0.0/104\"",
        ),
        (
            "name = 'admin'",
            "`listeners.0.name`: expected a name that no other listener has (nor \"probes\" and \"admin\"), found \"admin\"",
        ),
        (
            "backlog = 0",
            "`listeners.0.backlog`: expected 1 to 65535, found 0",
        ),
        (
            &format!("transport = 'tls'\ntls = {{ {CERTIFICATE}, alpn = ['mqtt', ''] }}"),
            "`listeners.0.tls.alpn.1`: expected 1 to 255 bytes, found \"\"",
        ),
        (
            &format!("transport = 'wss'\ntls = {{ {CERTIFICATE}, alpn = ['h2'] }}"),
            "`listeners.0.tls.alpn.0`: expected \"http/1.1\": WebSocket is not spoken over HTTP/2 here, found \"h2\"",
        ),
        (
            "transport = 'quic'",
            "`listeners.0.transport`: expected one of `tcp`, `tls`, `ws`, `wss`, found \"quic\"",
        ),
        (
            "websocket = {}",
            "`listeners.0.websocket`: expected a `transport` with WebSocket (\"ws\" or \"wss\") to use it, found another",
        ),
        (
            "transport = 'ws'\nwebsocket = { path = 'mqtt' }",
            "`listeners.0.websocket.path`: expected a path, such as \"/mqtt\", found \"mqtt\"",
        ),
        (
            "transport = 'ws'\nwebsocket = { origins = ['app.example'] }",
            "`listeners.0.websocket.origins.0`: expected \"*\" alone, or scheme and host, such as \"https://app.example\", found \"app.example\"",
        ),
        (
            "transport = 'ws'\nwebsocket = { headers = ['x tenant'] }",
            "`listeners.0.websocket.headers.0`: expected the name of a header, found \"x tenant\"",
        ),
        (
            "proxy_protocol = { version = 'v1' }",
            "`listeners.0.proxy_protocol.trusted`: expected who may say where clients come from, found none",
        ),
        (
            "proxy_protocol = { trusted = ['10.0.0.0/8'] }",
            "`listeners.0.proxy_protocol.trusted`: expected `proxy_protocol.version`, too, found it",
        ),
        (
            "proxy_protocol = { version = 'v1', trusted = ['10.0.0.0/33'] }",
            "`listeners.0.proxy_protocol.trusted.0`: expected an address or a network, such as \"10.0.0.0/8\"; IPv4 as such, not within IPv6, found \"10.0.0.0/33\"",
        ),
        (
            "accept_rate = 0",
            "`listeners.0.accept_rate`: expected 1 to 1000000, found 0",
        ),
    ] {
        let found = load(&format!("[[listeners]]\n{toml}")).unwrap_err();
        assert!(found.contains(error), "{toml}\n{found}\n{error}");
    }
}
