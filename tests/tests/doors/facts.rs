//! What the service learns of a client before its CONNECT.

use tidegate_proto::v1::{Peer, Transport};
use tidegate_tests::{
    Authority, Client, Connect, Door, Topology, Version,
    door::{self, Ws},
    service::Hook,
};

/// What the check of one CONNECT says of the client.
fn peer(topology: &Topology) -> Peer {
    let checks = topology.service().wait_for(Hook::Connect, 1);
    checks[0].connect().peer.clone().unwrap()
}

#[test]
fn the_check_of_a_connect_says_how_the_client_came_in() {
    for (door, transport) in [
        (Door::Tcp, Transport::Tcp),
        (Door::Tls, Transport::Tls),
        (Door::Mtls, Transport::Tls),
        (Door::Ws, Transport::Ws),
        (Door::Wss, Transport::Wss),
    ] {
        let topology = door.of(Topology::scripted()).start();
        let mut client = door.open(&topology, Version::V5);
        client.send(&Connect::new("client"));
        client.expect_connack(0);
        let peer = peer(&topology);
        assert_eq!(peer.transport(), transport, "{door:?}");
        assert_eq!(peer.ip, "127.0.0.1");
        assert!(peer.http_headers.is_empty());
        let has_tls = matches!(transport, Transport::Tls | Transport::Wss);
        assert_eq!(peer.tls.is_some(), has_tls, "{door:?}");
        let Some(tls) = peer.tls else { continue };
        assert_eq!((&*tls.sni, &*tls.version), (Authority::GATE, "TLSv1.3"));
        let is_mutual = door == Door::Mtls;
        assert_eq!(tls.peer_verified, is_mutual);
        assert_eq!(tls.peer_sha256.len(), if is_mutual { 32 } else { 0 });
        if is_mutual {
            assert_eq!(tls.peer_subject, "CN=device");
            assert_eq!(tls.peer_dns_sans, [Authority::DEVICE]);
            assert_eq!(
                tls.peer_uri_sans,
                [format!("spiffe://example/{}", Authority::DEVICE)]
            );
        }
    }
}

#[test]
fn selected_headers_reach_the_service_and_no_others() {
    let selected = ["x-tenant", "cookie"].map(toml::Value::from).to_vec();
    let topology = Door::Ws
        .of(Topology::scripted())
        .set("listeners.0.websocket.headers", selected)
        .start();
    let stream = door::connect(topology.gate().address());
    let headers = [
        ("x-tenant", "north"),
        ("authorization", "secret"),
        ("x-tenant", "south"),
    ];
    let mut client = Client::over(Ws::connect(stream, &headers).unwrap(), Version::V5);
    client.send(&Connect::new("client"));
    client.expect_connack(0);
    let headers = peer(&topology).http_headers;
    let headers: Vec<_> = headers
        .iter()
        .map(|header| (&*header.key, &*header.value))
        .collect();
    assert_eq!(headers, [("x-tenant", "north"), ("x-tenant", "south")]);
}

#[test]
fn who_shows_no_certificate_where_one_is_required_is_not_asked_about() {
    let topology = Door::Mtls.of(Topology::scripted()).start();
    let stream = door::connect(topology.gate().address());
    let config = Door::authority().client(false, &[]);
    // In TLS 1.3 a client hears of it only when it reads.
    if let Ok(stream) = door::Tls::connect(stream, config) {
        let mut client = Client::over(stream, Version::V5);
        client.send_in_vain(&tidegate_tests::packet::PINGREQ);
        assert!(client.reads_an_error());
    }
    assert!(topology.service().checks().is_empty());
    assert_eq!(topology.recorder().connections(), 0);
}
