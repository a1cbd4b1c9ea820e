//! `certificate`: the name is in what the client shows at the gate's TLS listener. There is no store that could be down.

use tidegate_tests::{
    Authority, Client, Connect, Door, Topology, Version,
    door::{self, Tls},
    packet::Encode as _,
    reference::Reference,
    topology::unique,
};

use crate::{
    RIGHT, login,
    row::{REFUSED, Row, UNAVAILABLE},
    source,
};

/// The user whom the device's certificate names: its common name.
const USER: &str = "device";

#[test]
fn common_name() {
    let mut reference =
        Reference::start(&source("certificate").set("users.certificate.allow", allow("*")));
    let topology = before_tls(&reference);
    let mut row = Row::of("certificate", &topology).by(Door::Mtls);
    let (own, other) = (Connect::new(unique("client")), login("alice", RIGHT));

    row.is_in("right", USER, &own);
    row.is_in("right, same name", USER, &own.clone().username(USER));
    row.hears("other name", &other, REFUSED);
    for (case, authority) in [
        ("no certificate", None),
        ("of another authority", Some(Authority::new())),
    ] {
        assert!(!is_answered(&topology, authority.as_ref()), "{case}");
        row.is_cut(case);
    }
    reference.kill();
    row.hears("service down", &own, UNAVAILABLE);
    reference.restart();
    row.comes_back(USER, &own);
    row.hears("back, other name", &other, REFUSED);
}

#[test]
fn names_that_are_not_allowed() {
    let settings = source("certificate").set("users.certificate.allow", allow("sensor-*"));
    let reference = Reference::start(&settings);
    let topology = before_tls(&reference);
    let mut row = Row::of("certificate", &topology).by(Door::Mtls);
    row.hears("not allowed", &Connect::new(unique("client")), REFUSED);
}

#[test]
fn uri() {
    let from: Vec<toml::Value> = vec!["uri".into()];
    let settings = source("certificate")
        .set("users.certificate.from", from)
        .set("users.certificate.uri_prefix", "spiffe://example/");
    let reference = Reference::start(&settings);
    let topology = before_tls(&reference);
    let mut row = Row::of("certificate (URI)", &topology).by(Door::Mtls);
    row.is_in("right", Authority::DEVICE, &Connect::new(unique("client")));
}

fn allow(pattern: &str) -> Vec<toml::Value> {
    vec![pattern.into()]
}

fn before_tls(reference: &Reference) -> Topology {
    let plan = Topology::real().service_at(reference.endpoint());
    Door::Mtls.of(plan).start()
}

/// Whether a client with this authority's certificate for the device, or with none, is answered at all.
fn is_answered(topology: &Topology, stranger: Option<&Authority>) -> bool {
    let gates = Door::authority();
    let config = match stranger {
        None => gates.client(false, &[]),
        Some(stranger) => stranger.stranger_to(gates),
    };
    // In TLS 1.3 the client has done its part before the gate has looked at the certificate.
    let stream = door::connect(topology.gate().address());
    let Ok(tls) = Tls::connect(stream, config) else {
        return false;
    };
    let mut client = Client::over(tls, Version::V5);
    client.send_in_vain(&Connect::new("stranger").encode(Version::V5));
    !client.into_bytes().is_empty()
}
