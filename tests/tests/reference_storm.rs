//! All clients connect at once: nobody with the right password is ever told that it is wrong, those that cannot be
//! served in time hear that, and all are in after retries. The times are printed, and decide nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "reference_storm/fleet.rs"]
mod fleet;

use std::{env, fs};

use tempfile::TempDir;
use tidegate_tests::{Topology, gate::Settings, reference::Reference, wait::eventually};

use fleet::{Fleet, PASSWORD};

/// How many come, if not 300: with the default cost of a password, 2,000 take two cores a minute at the very least.
const CLIENTS: &str = "TIDEGATE_TEST_STORM";

#[test]
fn a_storm_of_clients_gets_in() {
    let clients = env::var(CLIENTS).map_or(300, |text| text.parse().expect("a number of clients"));
    let reference = Reference::start(
        &Settings::default()
            .set("users.sources", vec!["sqlite"])
            // Longer than the first storm takes on a slow machine.
            .set("hashing.cache_ttl", "1h"),
    );
    let hash = reference.administer(&["hash"], PASSWORD);
    import(&reference, clients, hash.trim());

    let topology = Topology::real()
        .service_at(reference.endpoint())
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    let fleet = Fleet::new(topology.gate().address(), clients);
    eventually("the user base can be asked", || {
        fleet.is_known("nobody").then_some(())
    });
    for temper in ["cold", "warm"] {
        let storm = fleet.storm();
        println!("{clients} clients, {temper}: {storm}");
        // What came of it at the gate, from the first storm on.
        let series = r#"tidegate_authz_checks_total{hook="connect""#;
        let text = topology.gate().metrics().text();
        for line in text
            .lines()
            .filter(|line| line.starts_with(series) && !line.ends_with(" 0"))
        {
            println!("  {line}");
        }
        assert_eq!(storm.told_wrong, 0, "right passwords were called wrong");
        assert_eq!(storm.wrong_let_in, 0, "wrong passwords were right");
        assert_eq!(storm.otherwise, Default::default());
        assert_eq!(storm.let_in, clients);
    }
}

/// One hash for all of them: each is still verified by itself, since the answer is remembered by user.
fn import(reference: &Reference, clients: usize, hash: &str) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("passwords");
    let lines = (0..clients).map(|client| format!("{}:{hash}\n", fleet::name(client)));
    fs::write(&file, lines.collect::<String>()).unwrap();
    println!(
        "{}",
        reference
            .administer(&["import", file.to_str().unwrap()], "")
            .trim()
    );
}
