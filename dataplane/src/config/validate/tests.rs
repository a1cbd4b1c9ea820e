use super::*;
use crate::{authz::Step, config::Config};

pub(super) fn load(toml: &str) -> Result<Config, String> {
    let loader = tidegate_settings::Loader::new("TIDEGATE").document("t.toml", toml);
    let loaded = loader.load::<Config>().map_err(|error| error.to_string())?;
    check(&loaded.value, &loaded.tree).map_err(|error| error.to_string())?;
    Ok(loaded.value)
}

#[test]
fn the_defaults_are_good() {
    assert_eq!(load(""), Ok(Config::default()));
}

#[test]
fn an_error_names_key_value_and_expectation() {
    for (toml, error) in [
        (
            "[limits]\nreceive_maximum = 0",
            "t.toml:2: `limits.receive_maximum`: expected 1 to 65535, found 0",
        ),
        (
            "[limits]\nmax_inflight = 65536",
            "t.toml:2: `limits.max_inflight`: expected 1 to 65535, found 65536",
        ),
        (
            "[limits]\nmax_keep_alive = '1500ms'",
            "t.toml:2: `limits.max_keep_alive`: expected whole seconds, at most 65535s, found 1s500ms",
        ),
        (
            "[limits]\nmax_keep_alive = '19h'",
            "t.toml:2: `limits.max_keep_alive`: expected whole seconds, at most 65535s, found 19h",
        ),
        (
            "[limits]\nmax_session_expiry = '50000d'",
            "t.toml:2: `limits.max_session_expiry`: expected whole seconds, at most 4294967294s, found 50000d",
        ),
        (
            "[limits]\nmax_session_expiry = 'never'",
            "t.toml:2: `limits.max_session_expiry`: expected a duration with a unit, such as \"200ms\", \"5s\" or \"1m30s\", or \"none\", found \"never\"",
        ),
        (
            "[limits]\npacket_deadline = '0s'",
            "t.toml:2: `limits.packet_deadline`: expected more than 0s and at most 24h, found 0ns",
        ),
        (
            "[limits]\nmax_subscriptions = 0",
            "t.toml:2: `limits.max_subscriptions`: expected 1 to 100000, found 0",
        ),
        (
            "[[listeners]]\nmount = '{user}/'",
            "t.toml:2: `listeners.0.mount`: expected no braces but {principal}, {username} and {client_id}, found \"{user}/\"",
        ),
        (
            "[[listeners]]\nmount = '{principal}'",
            "t.toml:2: `listeners.0.mount`: expected a mount that ends in `/`, such as \"{principal}/\", found \"{principal}\"",
        ),
        (
            "[authz]\npermit = { subscribe_filter = true }",
            "t.toml:2: `authz.permit.subscribe_filter`: expected false, or a listener with a `mount`: without one, deliveries could not be mapped back, found true",
        ),
        (
            "[broker]\nurl = 'tcp://h:1'",
            "t.toml:2: `broker.url`: expected mqtt://host:port, mqtts://host:port, ws://host:port/path, wss://host:port/path or unix:/path, found tcp://h:1",
        ),
        (
            "[broker.tls]\nca = '/ca.pem'",
            "t.toml:2: `broker.tls.ca`: expected a broker with TLS (mqtts://host:port or wss://host:port/path) to use it, found none",
        ),
        (
            "[broker]\nurl = 'mqtts://h'\n[broker.tls]\ncert = '/cert.pem'",
            "t.toml:4: `broker.tls.cert`: expected `broker.tls.key`, too, found it alone",
        ),
        (
            "[broker]\nreserved_topics = ['$queue', '$SYS/x']",
            "t.toml:2: `broker.reserved_topics.1`: expected the first level of a topic, such as \"$queue\", found \"$SYS/x\"",
        ),
        (
            "[broker]\nreserved_filters = ['queue']",
            "t.toml:2: `broker.reserved_filters.0`: expected the first level of a topic, such as \"$queue\", found \"queue\"",
        ),
        (
            "[metrics]\nbind = '9464'",
            "t.toml:2: `metrics.bind`: expected an address with a port, such as \"127.0.0.1:1883\" or \"[::]:1883\", found \"9464\"",
        ),
        (
            "[authz]\nendpoint = 'grpc://authz:50051'",
            "t.toml:2: `authz.endpoint`: expected http://host:port, https://host:port, dns:host:port, dns:host:port?tls or unix:/path, found \"grpc://authz:50051\"",
        ),
        (
            "[authz]\nendpoint = 'http://a:1'\nendpoints = ['http://b:1']",
            "t.toml:2: `authz.endpoint`: expected either this or `authz.endpoints`, found http://a:1",
        ),
        (
            "[authz]\nendpoints = ['http://a:1', 'dns:b:1', 'http://a:1']",
            "t.toml:2: `authz.endpoints.2`: expected each endpoint once, found http://a:1",
        ),
        (
            "[authz]\nendpoints = ['http://a:1']\ntls.ca = 'ca.pem'",
            "t.toml:3: `authz.tls.ca`: expected an endpoint with TLS (https://host:port or dns:host:port?tls) to use it, found none",
        ),
        (
            "[authz]\nendpoint = 'dns:a:1?tls'\ntls.cert = 'cert.pem'",
            "t.toml:3: `authz.tls.cert`: expected `authz.tls.key`, too, found it alone",
        ),
        (
            "[authz]\nconnect.on_failure = ['hold', 'allow']",
            "t.toml:2: `authz.connect.on_failure`: expected hold and reject: nobody comes in undecided, found allow",
        ),
        (
            "[authz]\nconnect.on_failure = 'serve_stale'",
            "t.toml:2: `authz.connect.on_failure`: expected hold and reject: nobody comes in undecided, found serve_stale",
        ),
        (
            "[authz]\npublish.on_failure = ['reject', 'hold']",
            "t.toml:2: `authz.publish.on_failure`: expected it as the last step: it always applies, found reject",
        ),
        (
            "[authz]\npublish.on_failure = ['hold', 'hold']",
            "t.toml:2: `authz.publish.on_failure`: expected each step once, found hold",
        ),
        (
            "[authz]\npublish.on_failure = 'ask_again'",
            "t.toml:2: `authz.publish.on_failure`: expected steps out of serve_stale, hold, reject, disconnect and allow, found \"ask_again\"",
        ),
        (
            "[authz]\nsubscribe.on_failure = ['serve_stale', 'reject']",
            "t.toml:2: `authz.subscribe.on_failure`: expected `authz.cache.enabled` with this step: it serves from the cache, found serve_stale",
        ),
        (
            "[authz]\npublish.on_failure = ['hold', 'allow']",
            "t.toml:2: `authz.publish.on_failure`: expected `authz.acknowledge_fail_open` with this step: it lets packets pass that nobody decided about, found allow",
        ),
        (
            "[authz]\npublish.mode = 'shadow'",
            "t.toml:2: `authz.publish.mode`: expected enforce, or `authz.acknowledge_fail_open`: everything passes, found shadow",
        ),
        (
            "[authz]\nsubscribe.mode = 'off'",
            "t.toml:2: `authz.subscribe.mode`: expected enforce, or `authz.acknowledge_fail_open`: the service is not asked, found off",
        ),
        (
            "[authz]\npublish.hold_max = '0s'",
            "t.toml:2: `authz.publish.hold_max`: expected more than 0s and at most 24h, found 0s",
        ),
        (
            "[authz.cache]\nmax_ttl = '25h'",
            "t.toml:2: `authz.cache.max_ttl`: expected more than 0s and at most 24h, found 1d1h",
        ),
    ] {
        assert_eq!(load(toml), Err(error.to_owned()));
    }
    let unknown = load("[will]\nsuppress_on = ['drain', 'boredom']").unwrap_err();
    assert!(
        unknown.starts_with(
            "t.toml:2: `will.suppress_on.1`: expected one of client_disconnect, client_gone, "
        ) && unknown.ends_with("found \"boredom\""),
        "{unknown}"
    );
}

#[test]
fn the_service_may_be_in_several_places() {
    assert_eq!(load("").unwrap().authz.targets().len(), 1);
    let config = load("[authz]\nendpoint = 'unix:/run/authz.sock'").unwrap();
    assert_eq!(config.authz.targets().len(), 1);
    let config = load(
        "[authz]\nendpoints = ['https://a:1', 'dns:b:1?tls']\nhealth_check = false\n\
         tls = { cert = 'cert.pem', key = 'key.pem', server_name = 'authz.example' }",
    )
    .unwrap();
    assert_eq!(config.authz.targets().len(), 2);
}

#[test]
fn a_failure_has_one_step_or_several() {
    for (text, steps) in [
        ("'reject'", &[Step::Reject][..]),
        ("'disconnect'", &[Step::Disconnect]),
        ("'hold, reject'", &[Step::Hold, Step::Reject]),
        ("['hold']", &[Step::Hold]),
        (
            "[\"serve_stale\", \"hold\", \"allow\"]",
            &[Step::ServeStale, Step::Hold, Step::Allow],
        ),
    ] {
        let config = load(&format!(
            "[authz]\nacknowledge_fail_open = true\ncache.enabled = true\npublish.on_failure = {text}"
        ));
        assert_eq!(config.unwrap().authz.publish.on_failure.0, steps, "{text}");
    }
    let config = load(
        "[authz]\nacknowledge_fail_open = true\npublish.mode = 'shadow'\n\
         subscribe = { mode = 'off', off_action = 'allow' }\nconnect.on_failure = ['hold', 'reject']",
    );
    assert!(config.is_ok(), "{config:?}");
}

#[test]
fn bounds_may_be_absent() {
    let config = load("[limits]\nmax_session_expiry = 'none'\nmax_keep_alive = '0s'").unwrap();
    assert_eq!(config.limits.max_session_expiry, None);
    let config = load(
        "[[listeners]]\nmount = '{principal}/'\nresume = 'force_clean'\n\
         [authz]\npermit = { subscribe_filter = true }\n\
         [limits]\nmax_session_expiry = '1h'\n[will]\nsuppress_on = ['drain']\nmax_delay = '5m'\n\
         [metrics]\nbind = '127.0.0.1:9464'",
    )
    .unwrap();
    assert!(config.authz.permit.subscribe_filter);
    assert_eq!(config.will.suppress_on, ["drain"]);
    assert!(config.metrics.bind.is_some());
}

#[test]
fn nothing_is_bound_twice() {
    let listeners = |one: &str, other: &str| {
        format!(
            "[[listeners]]\nname = 'a'\nbind = '{one}'\n[[listeners]]\nname = 'b'\nbind = '{other}'\n"
        )
    };
    for (one, other) in [
        ("127.0.0.1:1883", "127.0.0.1:1884"),
        ("127.0.0.1:1883", "[::1]:1883"),
        ("0.0.0.0:1883", "[::]:1883"),
        ("127.0.0.1:0", "127.0.0.1:0"),
    ] {
        load(&listeners(one, other)).unwrap();
    }
    for (one, other) in [
        ("127.0.0.1:1883", "127.0.0.1:1883"),
        ("0.0.0.0:1883", "127.0.0.1:1883"),
        ("[::1]:1883", "[::]:1883"),
    ] {
        let error = load(&listeners(one, other)).unwrap_err();
        assert!(
            error.starts_with("t.toml:6: `listeners.1.bind`: expected another address than that of `listeners.0.bind`"),
            "{error}"
        );
    }
    let mut both = "[probes]\nbind = '127.0.0.1:9'\n[admin]\nbind = '127.0.0.1:9'\n".to_owned();
    assert!(load(&both).unwrap_err().contains("`admin.bind`"));
    both = both.replace("[admin]", "[[listeners]]");
    assert!(load(&both).unwrap_err().contains("`probes.bind`"));
}

#[test]
fn a_socket_has_a_path_that_the_system_can_take() {
    let path = |length: usize| format!("[admin]\nbind = 'unix:/{}'\n", "x".repeat(length - 1));
    load(&path(107)).unwrap();
    let error = load(&path(108)).unwrap_err();
    assert!(
        error.contains("at most 107 bytes, found 108 bytes"),
        "{error}"
    );
}
