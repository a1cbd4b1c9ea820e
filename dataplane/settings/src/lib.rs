//! Layered configuration that remembers where every value came from.
//!
//! Later layers win: the program's defaults, a TOML file, the environment, flags.
//!
//! ```
//! use serde::{Deserialize, Serialize};
//! use std::time::Duration;
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Config {
//!     broker: Broker,
//! }
//!
//! #[derive(Debug, Serialize, Deserialize)]
//! struct Broker {
//!     url: String,
//!     #[serde(default = "five_seconds", with = "tidegate_settings::text::duration")]
//!     connect_timeout: Duration,
//! }
//!
//! fn five_seconds() -> Duration {
//!     Duration::from_secs(5)
//! }
//!
//! let loaded = tidegate_settings::Loader::new("TIDEGATE")
//!     .document("tidegate.toml", "[broker]\nurl = 'mqtt://127.0.0.1:1884'\n") // or .file(path)
//!     .environment([("TIDEGATE__BROKER__URL", "mqtt://broker:1883")]) // or std::env::vars_os()
//!     .load::<Config>()?;
//!
//! assert_eq!(loaded.value.broker.url, "mqtt://broker:1883");
//! let shown: Vec<_> = loaded.tree.entries().map(|entry| entry.to_string()).collect();
//! assert_eq!(
//!     shown,
//!     [
//!         r#"broker.connect_timeout = "5s"  # default"#,
//!         r#"broker.url = "mqtt://broker:1883"  # environment variable TIDEGATE__BROKER__URL"#,
//!     ]
//! );
//! # Ok::<(), tidegate_settings::Error>(())
//! ```
//!
//! # Environment
//!
//! `TIDEGATE__LISTENERS__0__BIND` is the key `listeners.0.bind`: the prefix, two underscores, and
//! the segments in lower case with two underscores between them. A number is an index of an array;
//! one past the end appends. Single underscores never separate, so what Kubernetes injects for a
//! Service (`TIDEGATE_PORT=tcp://…`) is not configuration.
//!
//! The text of a variable or a flag has no type of its own, the key that it is for decides: a
//! number, true or false, a string; where the key is a table or an array it is read as TOML
//! (`TIDEGATE__LISTENERS=[{ bind = "0.0.0.0:1883" }]`). An empty text unsets an optional key.
//!
//! # What a configuration type should know
//!
//! Unknown keys of structs are always refused; `deny_unknown_fields` is not needed. Types that
//! serde buffers (`flatten`, untagged and internally tagged enums) lose the line and the loose
//! typing, and an `alias` shows up as a default in [`Tree::entries`]: do without them.
//!
//! # Secrets
//!
//! The value of a key whose name suggests a secret (it holds `password`, `secret`, `token`, `key`
//! or the like, and does not end in `_file`) appears neither in an error nor in [`Tree::entries`]; nor
//! does the password in a URL.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

mod deserialize;
mod environment;
mod error;
mod file;
mod key;
mod loader;
mod node;
mod origin;
mod overlay;
mod redact;
mod suggest;
pub mod text;
mod tree;

pub use error::Error;
pub use loader::{Loaded, Loader};
pub use origin::Origin;
pub use tree::{Entry, Tree};
