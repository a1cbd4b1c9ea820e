//! Keep alive, session expiry and will delay: what the client asks for, what the broker hears, and
//! what the client is told about it.

use tidegate_tests::{
    Connect, Publish, Topology, Version, all_versions,
    packet::{
        Connack, Disconnect, Encode as _, Kind,
        property::{self, SERVER_KEEP_ALIVE, SESSION_EXPIRY_INTERVAL, WILL_DELAY_INTERVAL},
    },
};

/// With a bound of 10 s: keep alive that the client asks for, Server Keep Alive of the broker; and
/// the keep alive that the broker hears, Server Keep Alive that the client is told.
const KEEP_ALIVES: [(u16, Option<u16>, u16, Option<u32>); 8] = [
    (5, None, 5, None),
    (10, None, 10, None),
    (11, None, 10, Some(10)),
    (u16::MAX, None, 10, Some(10)),
    (0, None, 10, Some(10)),
    (5, Some(3), 5, Some(3)),
    (60, Some(7), 10, Some(7)),
    (60, Some(100), 10, Some(10)),
];

#[test]
fn keep_alive_is_bounded_on_mqtt_5() {
    let topology = Topology::scripted()
        .set("limits.max_keep_alive", "10s")
        .start();
    for (asked, brokers, heard, told) in KEEP_ALIVES {
        println!("{asked} {brokers:?}");
        let property = brokers.map_or_else(Vec::new, |value| {
            property::two_bytes(SERVER_KEEP_ALIVE, value)
        });
        topology
            .recorder()
            .accept_with(Connack::new().property(property));
        let index = topology.recorder().connections();
        let connect = Connect::new("client").keep_alive(asked);
        let mut client = topology.try_connect(Version::V5, &connect);
        let connack = client.expect_connack(0);
        assert_eq!(connack.number(SERVER_KEEP_ALIVE), told);
        assert_eq!(topology.recorder().connection(index)[0].keep_alive(), heard);
    }
}

// They have no Server Keep Alive, so that another keep alive than their own would surprise them.
#[test]
fn keep_alive_is_left_alone_on_earlier_versions() {
    let topology = Topology::scripted()
        .set("limits.max_keep_alive", "10s")
        .start();
    for version in [Version::V31, Version::V311] {
        for asked in [0, 5, 60, u16::MAX] {
            let index = topology.recorder().connections();
            let connect = Connect::new("client").keep_alive(asked);
            let _client = topology.join(version, &connect);
            assert_eq!(topology.recorder().connection(index)[0].keep_alive(), asked);
        }
    }
}

// [MQTT-3.2.2-21], [MQTT-3.2.2-22]: the broker's word is the client's clock.
#[test]
fn the_brokers_keep_alive_is_enforced() {
    let topology = Topology::scripted().start();
    let connack = Connack::new().property(property::two_bytes(SERVER_KEEP_ALIVE, 1));
    topology.recorder().accept_with(connack);
    let mut client = topology.join(Version::V5, &Connect::new("client").keep_alive(3600));
    client.expect_end(0x8D);
    assert_eq!(topology.gate().ending_of("client").0, "keep_alive_timeout");
}

#[test]
fn the_bound_of_keep_alive_is_enforced() {
    let topology = Topology::scripted()
        .set("limits.max_keep_alive", "1s")
        .start();
    let mut client = topology.join(Version::V5, &Connect::new("client").keep_alive(0));
    client.expect_end(0x8D);
}

/// With a bound of 60 s: session expiry that the client asks for, that of the broker's CONNACK; and
/// what the broker hears, what the client is told.
type Expiry = [Option<u32>; 4];
const EXPIRIES: [Expiry; 8] = [
    [None, None, None, None],
    [Some(0), None, Some(0), None],
    [Some(30), None, Some(30), None],
    [Some(60), None, Some(60), None],
    [Some(61), None, Some(60), Some(60)],
    [Some(u32::MAX), None, Some(60), Some(60)],
    [Some(3600), Some(20), Some(60), Some(20)],
    [Some(30), Some(20), Some(30), Some(20)],
];

#[test]
fn session_expiry_is_bounded() {
    let topology = Topology::scripted()
        .set("limits.max_session_expiry", "60s")
        .start();
    for [asked, brokers, heard, told] in EXPIRIES {
        println!("{asked:?} {brokers:?}");
        let field = |value: Option<u32>| value.map_or_else(Vec::new, property::session_expiry);
        topology
            .recorder()
            .accept_with(Connack::new().property(field(brokers)));
        let index = topology.recorder().connections();
        let connect = Connect::new("client").unclean().property(field(asked));
        let mut client = topology.try_connect(Version::V5, &connect);
        let connack = client.expect_connack(0);
        assert_eq!(connack.number(SESSION_EXPIRY_INTERVAL), told);
        let seen = topology.recorder().connection(index);
        assert_eq!(seen[0].number(SESSION_EXPIRY_INTERVAL), heard);
    }
}

/// With a bound of 60 s: session expiry of the client's CONNECT and DISCONNECT, and of the
/// DISCONNECT that the broker hears.
const AT_LAST: [(u32, Option<u32>, Option<u32>); 5] = [
    (3600, None, None),
    (3600, Some(0), Some(0)),
    (3600, Some(30), Some(30)),
    (3600, Some(7200), Some(60)),
    (30, Some(u32::MAX), Some(60)),
];

#[test]
fn session_expiry_is_bounded_at_the_end_too() {
    let topology = Topology::scripted()
        .set("limits.max_session_expiry", "60s")
        .start();
    for (asked, at_last, heard) in AT_LAST {
        println!("{asked} {at_last:?}");
        let index = topology.recorder().connections();
        let connect = Connect::new("client")
            .unclean()
            .property(property::session_expiry(asked));
        let mut client = topology.join(Version::V5, &connect);
        let field = at_last.map_or_else(Vec::new, property::session_expiry);
        client.send(&Disconnect::new(0).property(field));
        client.expect_closed();
        topology.recorder().wait_closed(index);
        let goodbye = topology
            .recorder()
            .connection(index)
            .pop()
            .expect("packets");
        assert_eq!(goodbye.kind(), Kind::Disconnect);
        assert_eq!(goodbye.number(SESSION_EXPIRY_INTERVAL), heard);
    }
}

// Ruling 8: the broker thinks that the session ends with its connection, and must not be told more.
#[test]
fn a_session_that_may_not_be_kept_is_not_prolonged_at_the_end() {
    let topology = Topology::scripted()
        .set("limits.max_session_expiry", "0s")
        .start();
    let mut client = topology.join(Version::V5, &Connect::new("client").resume());
    client.send(&Disconnect::new(0).property(property::session_expiry(60)));
    client.expect_closed();
    topology.recorder().wait_closed(0);
    let seen = topology.recorder().connection(0);
    let heard: Vec<_> = seen
        .iter()
        .map(|packet| packet.number(SESSION_EXPIRY_INTERVAL).unwrap_or(0))
        .collect();
    assert_eq!(heard, [0, 0], "{seen:?}");
}

// Where there is no number, "not at all" is still a clean session.
all_versions!(without_kept_sessions_all_are_clean, |version| {
    let topology = Topology::scripted()
        .set("limits.max_session_expiry", "0s")
        .start();
    let _client = topology.join(version, &Connect::new("client").resume());
    let connect = topology.recorder().connection(0).remove(0);
    match version {
        Version::V5 => assert_eq!(connect.number(SESSION_EXPIRY_INTERVAL).unwrap_or(0), 0),
        _ => assert!(connect.clean_start()),
    }
});

#[test]
fn will_delay_is_bounded() {
    let topology = Topology::scripted().set("will.max_delay", "60s").start();
    for (asked, heard) in [(0, 0), (60, 60), (61, 60), (u32::MAX, 60)] {
        let index = topology.recorder().connections();
        let will = |seconds| {
            let will = Publish::new("w", "gone").property(property::will_delay(seconds));
            Connect::new("client").resume().will(will)
        };
        let _client = topology.join(Version::V5, &will(asked));
        let seen = topology.recorder().connection(index);
        assert_eq!(
            seen[0].bytes(),
            will(heard).encode(Version::V5),
            "{WILL_DELAY_INTERVAL}"
        );
    }
}

/// Will delay and session expiry of the client, with a bound of 60 s for both, and the delay that the broker
/// hears: a will goes with its session at the latest (§3.1.3.2.2).
const DELAYS: [(u32, Option<u32>, u32); 5] = [
    (90, Some(120), 60),
    (50, Some(30), 30),
    // Without such a session the delay is left to the broker, which waits.
    (50, Some(0), 50),
    (50, None, 50),
    (u32::MAX, Some(u32::MAX), 60),
];

#[test]
fn a_will_does_not_outlast_its_session() {
    let topology = Topology::scripted()
        .set("will.max_delay", "60s")
        .set("limits.max_session_expiry", "60s")
        .start();
    for (delay, expiry, heard) in DELAYS {
        println!("{delay} {expiry:?}");
        let index = topology.recorder().connections();
        let will = Publish::new("w", "gone").property(property::will_delay(delay));
        let field = expiry.map_or_else(Vec::new, property::session_expiry);
        let connect = Connect::new("client").unclean().property(field).will(will);
        let _client = topology.join(Version::V5, &connect);
        let seen = topology.recorder().connection(index);
        let told = property::will_delay(heard);
        let found = seen[0].bytes().windows(5).filter(|five| *five == told);
        assert_eq!(found.count(), 1, "{:02x?}", seen[0].bytes());
    }
}
