//! Certificates that are renewed while clients are connected.

use tidegate_tests::{
    Authority, Client, Connect, Door, Topology, Version, assert_eventually,
    door::{self, Tls},
};

use crate::patient;

const CLIENTS: usize = 1_000;

#[test]
fn a_renewed_certificate_drops_nobody() {
    let authority = Authority::new();
    let topology = patient(Door::Tls.with(Topology::scripted(), &authority))
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    let config = authority.client(false, &["mqtt"]);
    let connect = || {
        let stream = door::connect(topology.gate().address());
        Tls::connect(stream, config.clone()).unwrap()
    };
    let old = authority.der("gate.crt");
    let mut clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let stream = connect();
            assert_eq!(stream.certificate(), old);
            let mut client = Client::over(stream, Version::V5);
            client.send(&Connect::new(format!("client-{number}")).keep_alive(0));
            client.expect_connack(0);
            client
        })
        .collect();

    // A file that is none changes nothing, and is told.
    let metrics = topology.gate().metrics();
    std::fs::write(authority.path("gate.crt"), "no certificate").unwrap();
    let failed = [("listener", "mqtt"), ("result", "failed")];
    assert_eventually!(metrics.value("tidegate_tls_reloads_total", &failed) > 0);
    assert_eq!(connect().certificate(), old);

    authority.renew();
    let new = authority.der("gate.crt");
    assert_ne!(new, old);
    assert_eventually!(connect().certificate() == new);
    for client in &mut clients {
        client.expect_nothing_before_pong();
    }
    assert_eq!(topology.recorder().connections(), CLIENTS);
}
