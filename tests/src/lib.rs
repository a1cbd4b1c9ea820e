//! What the end-to-end suites of Tidegate stand on: the real programs, and everything around them
//! that has to misbehave on demand.
//!
//! ```text
//!  Client ──────► Gate (tidegate) ──────► Mosquitto, or Recorder, which remembers every byte
//!  raw bytes           │
//!  or mosquitto_pub    │ gRPC
//!                      ▼
//!                Reference (tidegate-authz), or Scripted, which answers as a closure says,
//!                                            or Framed, which goes wrong in HTTP/2,
//!                                            or Rogue, which does not speak gRPC at all
//!
//!  Collector ◄── OTLP of both programs
//! ```
//!
//! In walking order:
//! * [`topology`] puts the pieces together in one line and is what a suite usually needs;
//! * [`client`] is the MQTT client that can also send what no client should, made of [`packet`]s;
//! * [`door`] is how that client comes in: TCP, TLS, WebSocket, with [`certificates`] of its own;
//! * [`gate`] and [`mod@reference`] run the two programs, found by [`binaries`], as a [`process`];
//! * [`mosquitto`] and [`recorder`] are the brokers, [`haproxy`] stands in for one that wants to know for whom
//!   connections are, and [`pki`] has the certificates of those with TLS;
//! * [`service`], [`framed`] (frame by frame) [`rogue`] and [`black_hole`] are the services that do as they are told;
//! * [`compose`] runs what `deploy/compose` ships, without containers;
//! * [`mod@postgres`] keeps the users of several replicas of the reference service;
//! * [`collector`] receives the traces, and [`metrics`] and [`http`] ask for what was counted and more;
//! * [`wait`] and [`background`] are how a test waits, and where the servers live.
//!
//! `cargo test -p tidegate-tests` builds the programs that it needs. To test others instead, name
//! their folder in `TIDEGATE_TEST_BIN_DIR`; for more random runs, set `TIDEGATE_TEST_SEEDS`; to
//! see whether a suite is right about the real broker, set `TIDEGATE_TEST_DIRECT`, which takes its
//! clients past the gate; to read traces from a Jaeger, set `JAEGER_QUERY_URL` ([`collector`]). The figures that a suite prints are shown by `-- --nocapture`. Mosquitto has to be installed, with its
//! clients: without it the tests that want it fail.
//!
//! Everything here is blocking: a test is a plain function, and reads top to bottom. The servers of
//! the harness run on a runtime of their own ([`background`]). No test sleeps in order to be right:
//! it waits for something to happen ([`assert_eventually!`]), or proves that nothing did by a
//! message that would have come later.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a harness fails by panicking: the message is the report"
)]

pub mod background;
pub mod binaries;
pub mod black_hole;
pub mod certificates;
pub mod client;
pub mod collector;
pub mod compose;
pub mod door;
pub mod framed;
pub mod gate;
pub mod haproxy;
pub mod http;
pub mod metrics;
pub mod mosquitto;
#[cfg(target_os = "linux")]
pub mod namespace;
pub mod packet;
pub mod pki;
pub mod postgres;
pub mod process;
pub mod recorder;
pub mod reference;
pub mod rogue;
pub mod service;
pub mod topology;
pub mod wait;

pub use certificates::Authority;
pub use client::Client;
pub use door::Door;
pub use packet::{Connect, Packet, Publish, Subscribe, Unsubscribe, Version};
pub use service::{Answer, Check, Hold};
pub use topology::Topology;

/// Makes three tests of one: `v31`, `v311` and `v5`, in a module with the name of the test.
///
/// ```text
/// all_versions!(allowed_message_arrives, |version| {
///     let topology = Topology::real().start();
///     let mut alice = topology.connect(version, "alice");
/// });
/// ```
#[macro_export]
macro_rules! all_versions {
    ($name:ident, |$version:ident| $body:expr) => {
        mod $name {
            #[allow(
                unused_imports,
                reason = "not every test needs all that its suite imports"
            )]
            use super::*;

            fn run($version: $crate::Version) {
                $body
            }

            #[test]
            fn v31() {
                run($crate::Version::V31);
            }

            #[test]
            fn v311() {
                run($crate::Version::V311);
            }

            #[test]
            fn v5() {
                run($crate::Version::V5);
            }
        }
    };
}

/// As [`all_versions!`] without MQTT 3.1: `v311` and `v5`.
#[macro_export]
macro_rules! both_versions {
    ($name:ident, |$version:ident| $body:expr) => {
        mod $name {
            #[allow(
                unused_imports,
                reason = "not every test needs all that its suite imports"
            )]
            use super::*;

            fn run($version: $crate::Version) {
                $body
            }

            #[test]
            fn v311() {
                run($crate::Version::V311);
            }

            #[test]
            fn v5() {
                run($crate::Version::V5);
            }
        }
    };
}
