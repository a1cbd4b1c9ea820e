//! The PROXY protocol, as HAProxy understands it.

use std::{io::Write as _, net::Ipv4Addr};

use tidegate_tests::{
    Client, Connect, Topology, Version, door, haproxy::HaProxy, packet::Kind, pki::Authority,
    recorder::Recorder,
};

/// An address of this machine that nobody else has.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 42);

#[test]
fn haproxy_hears_the_address_of_the_client() {
    let authority = Authority::new();
    let ca = authority.file().display().to_string();
    for (scheme, identity) in [
        ("mqtt", None),
        ("mqtts", Some(authority.issue("127.0.0.1"))),
    ] {
        let recorder = Recorder::start();
        let haproxy = HaProxy::start(recorder.address(), identity.as_ref());
        let plan = Topology::scripted()
            .broker_url(format!("{scheme}://{}", haproxy.address()))
            .set("broker.proxy_protocol", "v2");
        let topology = match identity {
            None => plan,
            Some(_) => plan.set("broker.tls.ca", ca.as_str()),
        }
        .start();
        let gate = topology.gate().address();
        let mut client = Client::open_from(CLIENT, gate, Version::V5);
        client.send(&Connect::new("client"));
        client.expect_connack(0);
        client.leave();
        assert_eq!(haproxy.wait_served(&CLIENT.to_string()), gate, "{scheme}");
        assert_eq!(recorder.count(Kind::Connect), 1);
    }
}

/// Behind a load balancer, the client is whom the balancer names. If it names nobody, the connection is ours.
#[test]
fn what_a_load_balancer_says_goes_on_to_the_broker() {
    for (header, client, gate) in [
        (
            "PROXY TCP4 192.0.2.7 198.51.100.1 4711 8883\r\n",
            "192.0.2.7",
            Some("198.51.100.1:8883"),
        ),
        ("PROXY UNKNOWN\r\n", "127.0.0.1", None),
    ] {
        let recorder = Recorder::start();
        let haproxy = HaProxy::start(recorder.address(), None);
        let topology = Topology::scripted()
            .broker_at(haproxy.address())
            .set("broker.proxy_protocol", "v2")
            .set("listeners.0.proxy_protocol.version", "v1")
            .set(
                "listeners.0.proxy_protocol.trusted",
                vec![toml::Value::from("127.0.0.1")],
            )
            .start();
        let mut stream = door::connect(topology.gate().address());
        stream.write_all(header.as_bytes()).unwrap();
        let mut alice = Client::over(stream, Version::V5);
        alice.send(&Connect::new("client"));
        alice.expect_connack(0);
        alice.leave();
        let gate = gate.map_or(haproxy.address(), |gate| gate.parse().unwrap());
        assert_eq!(haproxy.wait_served(client), gate, "{header}");
    }
}

#[test]
fn haproxy_serves_nobody_without_a_header() {
    let recorder = Recorder::start();
    let haproxy = HaProxy::start(recorder.address(), None);
    let topology = Topology::scripted().broker_at(haproxy.address()).start();
    let mut client = topology.try_connect(Version::V5, &Connect::new("client"));
    client.expect_refused(0x88);
    assert_eq!(recorder.count(Kind::Connect), 0);
}
