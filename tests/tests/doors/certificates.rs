//! Certificates that are renewed while clients are connected.

use std::time::Instant;

use tidegate_tests::{
    Authority, Client, Connect, Door, Topology, Version, assert_eventually,
    door::{self, Tls, Ws},
};

use crate::patient;

/// At each door.
const CLIENTS: [(Door, usize); 2] = [(Door::Tls, 700), (Door::Wss, 300)];

#[test]
fn a_renewed_certificate_drops_nobody() {
    let authority = Authority::new();
    let doors = CLIENTS.map(|(door, _)| door);
    let topology = patient(Door::side_by_side(&doors, Topology::scripted(), &authority))
        .set("metrics.bind", "127.0.0.1:0")
        .start();
    let at = doors.map(|door| (door, topology.gate().listens(door.name())));
    let metrics = topology.gate().metrics();
    // No client comes back with a ticket: each is shown the certificate.
    let connect = |door: Door| {
        let (_, address) = at.into_iter().find(|(at, _)| *at == door).unwrap();
        let alpn = if door == Door::Wss {
            "http/1.1"
        } else {
            "mqtt"
        };
        Tls::connect(door::connect(address), authority.client(false, &[alpn])).unwrap()
    };
    let shown = |door| connect(door).certificate();

    let old = authority.der("gate.crt");
    let mut clients = Vec::new();
    for (door, count) in CLIENTS {
        for number in 0..count {
            let stream = connect(door);
            assert_eq!(stream.certificate(), old);
            let mut client = match door {
                Door::Wss => Client::over(Ws::connect(stream, &[]).unwrap(), Version::V5),
                _ => Client::over(stream, Version::V5),
            };
            let id = format!("{}-{number}", door.name());
            client.send(&Connect::new(id).keep_alive(0));
            client.expect_connack(0);
            clients.push(client);
        }
    }

    // A file that is none changes nothing, and is told.
    std::fs::write(authority.path("gate.crt"), "no certificate").unwrap();
    for door in doors {
        let failed = [("listener", door.name()), ("result", "failed")];
        assert_eventually!(metrics.value("tidegate_tls_reloads_total", &failed) > 0);
        assert_eq!(shown(door), old);
    }

    authority.renew();
    let renewed = Instant::now();
    let new = authority.der("gate.crt");
    assert_ne!(new, old);
    for door in doors {
        assert_eventually!(shown(door) == new);
        assert_eq!(shown(door), new, "{door:?}: an earlier one came back");
    }
    let seen_after = renewed.elapsed();
    for client in &mut clients {
        client.expect_nothing_before_pong();
    }
    assert_eq!(topology.recorder().connections(), clients.len());
    println!(
        "certificate renewed under {CLIENTS:?} connections: all of them still answer, none came back; \
         the new one is shown at each door after {seen_after:.1?}"
    );
}
