//! A client that comes back as soon as it has left, with a real broker: it must not overtake itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

use std::time::Duration;

use tidegate_tests::{
    Answer, Connect, Publish, Topology, both_versions,
    packet::{Disconnect, Encode as _},
};

/// As often as the client comes.
const VISITS: usize = 15;

// [MQTT-3.14.4-3] [MQTT-3.1.2-10] [3.1.1: MQTT-3.14.4-3] [3.1.1: MQTT-3.1.2-10]
both_versions!(what_it_said_before_comes_before, |version| {
    let topology = Topology::scripted().mosquitto(&[]).start();
    topology.service().answer(|check| match check.topic() {
        "number" => Answer::Allow.after(Duration::from_millis(50)),
        _ => Answer::Allow,
    });
    let mut witness = topology.witness(&["number", "will", "marker"]);

    let sensor = Connect::new("sensor").will(Publish::new("will", "sensor"));
    for number in 0..VISITS {
        let mut client = topology.join(version, &sensor);
        let message = Publish::new("number", number.to_string()).encode(version);
        let goodbye = Disconnect::new(0).encode(version);
        client.send_raw(&[message, goodbye].concat());
    }

    for number in 0..VISITS {
        witness.expect_publish("number", number.to_string());
    }
    // It comes once more, and so after all of that.
    let mut client = topology.join(version, &Connect::new("sensor"));
    client.send(&Publish::new("marker", "no will before"));
    witness.expect_publish("marker", "no will before");
});
