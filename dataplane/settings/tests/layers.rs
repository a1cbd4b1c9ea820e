//! Which layer wins, and how text becomes values.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fs, path::Path, time::Duration};
use tidegate_settings::{Loaded, Loader, Origin, text};

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Config {
    listeners: Vec<Listener>,
    broker: Broker,
    ratio: f64,
    threads: Option<u8>,
    tags: Vec<String>,
    labels: BTreeMap<String, String>,
    mode: Mode,
    #[serde(with = "text::duration::option")]
    idle: Option<Duration>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Listener {
    name: String,
    bind: String,
    #[serde(default)]
    proxy_protocol: bool,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Broker {
    url: String,
    #[serde(with = "text::duration")]
    timeout: Duration,
    #[serde(with = "text::size")]
    max_packet: usize,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Mode {
    Off,
    Bound,
    Custom { prefix: String, depth: u8 },
    Number(u16),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listeners: Vec::new(),
            broker: Broker::default(),
            ratio: 0.01,
            threads: None,
            tags: Vec::new(),
            labels: BTreeMap::new(),
            mode: Mode::Off,
            idle: None,
        }
    }
}

impl Default for Broker {
    fn default() -> Self {
        Self {
            url: "mqtt://127.0.0.1:1884".to_owned(),
            timeout: Duration::from_secs(5),
            max_packet: 1 << 20,
        }
    }
}

const FILE: &str = "\
ratio = 0.5
mode = 'bound'

[[listeners]]
name = 'one'
bind = '127.0.0.1:1883'

[[listeners]]
name = 'two'
bind = '127.0.0.1:1884'

[broker]
url = 'mqtt://from-file:1883'
timeout = '1m30s'
";

fn from_environment(variables: &[(&str, &str)]) -> Config {
    let loader = Loader::new("T").document("t.toml", FILE);
    let loader = loader.environment(variables.iter().copied());
    loader.load::<Config>().unwrap().value
}

#[test]
fn without_layers_there_are_the_defaults() {
    let loaded = Loader::new("T").load::<Config>().unwrap();
    assert_eq!(loaded.value, Config::default());
    assert!(
        loaded
            .tree
            .entries()
            .all(|entry| *entry.origin == Origin::Default)
    );
}

#[test]
fn later_layers_win() {
    let loader = Loader::new("T").document("t.toml", FILE);
    let url = |loader: &Loader| loader.load::<Config>().unwrap().value.broker.url;
    assert_eq!(url(&loader), "mqtt://from-file:1883");
    let loader = loader.environment([("T__BROKER__URL", "mqtt://from-env:1883")]);
    assert_eq!(url(&loader), "mqtt://from-env:1883");
    let loader = loader.flag("broker.url", "mqtt://from-flag:1883");
    assert_eq!(url(&loader), "mqtt://from-flag:1883");
    // What no layer mentions is a default; what a lower one mentions stays.
    let config = loader.load::<Config>().unwrap().value;
    assert_eq!(config.broker.timeout, Duration::from_secs(90));
    assert_eq!(config.broker.max_packet, 1 << 20);
}

#[test]
fn the_type_decides_what_text_means() {
    let config = from_environment(&[
        ("T__RATIO", "1"),
        ("T__THREADS", " 4 "),
        ("T__LISTENERS__0__NAME", "123"),
        ("T__LISTENERS__0__PROXY_PROTOCOL", "true"),
        ("T__BROKER__TIMEOUT", "200ms"),
        ("T__BROKER__MAX_PACKET", "4096"),
        ("T__IDLE", "2h"),
        ("T__TAGS", "['a', \"b\"]"),
        ("T__LABELS__ZONE", "true"),
        ("T__MODE", "off"),
    ]);
    assert!((config.ratio - 1.0).abs() < f64::EPSILON);
    assert_eq!(config.threads, Some(4));
    assert_eq!(config.listeners[0].name, "123");
    assert!(config.listeners[0].proxy_protocol);
    assert_eq!(config.broker.timeout, Duration::from_millis(200));
    assert_eq!(config.broker.max_packet, 4096);
    assert_eq!(config.idle, Some(Duration::from_secs(7200)));
    assert_eq!(config.tags, ["a", "b"]);
    assert_eq!(config.labels["zone"], "true");
    assert_eq!(config.mode, Mode::Off);
}

#[test]
fn an_empty_text_unsets_what_is_optional() {
    let loader = Loader::new("T").document("t.toml", "threads = 3\nidle = '1s'");
    let loader = loader.environment([("T__THREADS", ""), ("T__IDLE", "")]);
    let config = loader.load::<Config>().unwrap().value;
    assert_eq!((config.threads, config.idle), (None, None));
}

#[test]
fn elements_can_be_changed_appended_and_made() {
    let config = from_environment(&[
        ("T__LISTENERS__1__BIND", "changed"),
        ("T__LISTENERS__2__NAME", "three"),
        ("T__LISTENERS__2__BIND", "appended"),
        ("T__TAGS__0", "first"),
        ("T__TAGS__1", "second"),
    ]);
    let binds: Vec<_> = config.listeners.iter().map(|l| l.bind.as_str()).collect();
    assert_eq!(binds, ["127.0.0.1:1883", "changed", "appended"]);
    assert_eq!(config.tags, ["first", "second"]);
}

#[test]
fn a_whole_table_can_be_text_and_then_be_refined() {
    let config = from_environment(&[
        ("T__LISTENERS__0__BIND", "refined"),
        ("T__LISTENERS", "[{ name = 'only', bind = 'whole' }]"),
        ("T__BROKER", "{ url = 'u', max_packet = '1KiB' }"),
    ]);
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.listeners[0].name, "only");
    assert_eq!(config.listeners[0].bind, "refined");
    assert_eq!(config.broker.max_packet, 1024);
    assert_eq!(config.broker.timeout, Duration::from_secs(5));
}

#[test]
fn enums_take_tables_too() {
    let custom = Mode::Custom {
        prefix: "p".to_owned(),
        depth: 2,
    };
    let mode = |toml: &str| {
        let loader = Loader::new("T").document("t.toml", toml);
        loader.load::<Config>().unwrap().value.mode
    };
    assert_eq!(
        mode("mode = { custom = { prefix = 'p', depth = 2 } }"),
        custom
    );
    assert_eq!(mode("[mode]\nnumber = 7"), Mode::Number(7));
    let inline = "{ custom = { prefix = 'p', depth = 2 } }";
    assert_eq!(from_environment(&[("T__MODE", inline)]).mode, custom);
}

#[test]
fn neighbours_are_not_configuration() {
    let untouched = from_environment(&[]);
    let config = from_environment(&[
        ("T_PORT", "tcp://10.0.0.1:1883"),
        ("T_AUTHZ__BIND", "the service's"),
        ("T_BROKER_URL", "single"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(config, untouched);
}

#[test]
fn every_entry_says_where_it_came_from() {
    let loaded: Loaded<Config> = Loader::new("T")
        .document("t.toml", FILE)
        .environment([("T__LISTENERS__1__BIND", "[::]:1"), ("T__TAGS", "['x']")])
        .flag("ratio", "0.25")
        .load()
        .unwrap();
    let shown: Vec<_> = loaded
        .tree
        .entries()
        .map(|entry| entry.to_string())
        .collect();
    assert_eq!(
        shown,
        [
            r#"broker.max_packet = "1MiB"  # default"#,
            r#"broker.timeout = "1m30s"  # t.toml:14"#,
            r#"broker.url = "mqtt://from-file:1883"  # t.toml:13"#,
            "idle = (unset)  # default",
            "labels = {}  # default",
            r#"listeners.0.bind = "127.0.0.1:1883"  # t.toml:6"#,
            r#"listeners.0.name = "one"  # t.toml:5"#,
            "listeners.0.proxy_protocol = false  # default",
            r#"listeners.1.bind = "[::]:1"  # environment variable T__LISTENERS__1__BIND"#,
            r#"listeners.1.name = "two"  # t.toml:9"#,
            "listeners.1.proxy_protocol = false  # default",
            r#"mode = "bound"  # t.toml:2"#,
            "ratio = 0.25  # flag for ratio",
            r#"tags.0 = "x"  # environment variable T__TAGS"#,
            "threads = (unset)  # default",
        ]
    );
}

#[test]
fn the_origin_of_a_key_table_or_element() {
    let loader = Loader::new("T").document("t.toml", FILE);
    let tree = loader
        .environment([("T__TAGS", "['x']")])
        .load::<Config>()
        .unwrap()
        .tree;
    let origin = |key| tree.origin_of(key).map(ToString::to_string);
    assert_eq!(origin("broker.url").as_deref(), Some("t.toml:13"));
    assert_eq!(origin("broker").as_deref(), Some("t.toml:12"));
    assert_eq!(origin("listeners.1").as_deref(), Some("t.toml:8"));
    assert_eq!(
        origin("tags.0").as_deref(),
        Some("environment variable T__TAGS")
    );
    assert_eq!(origin("broker.max_packet").as_deref(), Some("default"));
    assert_eq!(origin("idle").as_deref(), Some("default"));
    assert_eq!(origin("broker.nothing"), None);
    assert_eq!(origin("brok"), None);
}

#[test]
fn a_key_that_nobody_has_set_is_looked_for_at_its_table() {
    let loader = Loader::new("T").document("t.toml", FILE);
    let tree = loader.load::<Config>().unwrap().tree;
    let place = |key| tree.place_of(key).map(ToString::to_string);
    assert_eq!(place("broker.url").as_deref(), Some("t.toml:13"));
    assert_eq!(place("broker.max_packet").as_deref(), Some("t.toml:12"));
    assert_eq!(place("listeners.1.no.such").as_deref(), Some("t.toml:8"));
    assert_eq!(place("idle").as_deref(), Some("default"));
    assert_eq!(place("brok"), None);
}

#[test]
fn a_file_is_read_anew_on_each_load() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("t.toml");
    let loader = Loader::new("T").file(&path);
    for ratio in ["0.25", "0.75"] {
        fs::write(&path, format!("ratio = {ratio}")).unwrap();
        let loaded = loader.load::<Config>().unwrap();
        assert_eq!(loaded.value.ratio.to_string(), ratio);
        let expected = Origin::File {
            path: Path::new(&path).into(),
            line: 1,
        };
        assert_eq!(loaded.tree.origin_of("ratio"), Some(&expected));
    }
}
