//! Each way to the broker with each version of MQTT: what is allowed arrives, what is not does not.

use tidegate_tests::{
    Client, Connect, Packet, Publish, Subscribe, Topology, Version,
    mosquitto::Entrance,
    packet::Kind,
    topology::{login, unique},
};

/// A cell of the table.
struct Cell<'a> {
    topology: &'a Topology,
    version: Version,
}

/// Makes a test of each way to the broker, so that they run side by side and fail by name.
macro_rules! rows {
    ($($name:ident: $entrance:expr,)*) => {
        $(
            #[test]
            fn $name() {
                row($entrance);
            }
        )*

        #[test]
        fn no_way_is_left_out() {
            assert_eq!([$($entrance),*], Entrance::ALL);
        }
    };
}

rows! {
    over_tcp: Entrance::Tcp,
    over_tls: Entrance::Tls,
    over_mutual_tls: Entrance::MutualTls,
    over_ws: Entrance::Ws,
    over_wss: Entrance::Wss,
    over_a_unix_socket: Entrance::Unix,
}

fn row(entrance: Entrance) {
    let topology = Topology::real().broker_over(entrance).start();
    for version in [Version::V311, Version::V5] {
        println!("{entrance:?} {version:?}");
        let cell = Cell {
            topology: &topology,
            version,
        };
        cell.allowed();
        cell.refused();
        cell.large();
        cell.will();
        cell.mosquitto_clients();
    }
}

impl Cell<'_> {
    fn connect(&self, user: &str) -> Client {
        self.topology.connect(self.version, user)
    }

    fn allowed(&self) {
        let mut alice = self.connect("alice");
        let topic = unique("alice/x");
        let id = alice.next_id();
        alice.send(&Subscribe::new(id).filter(&topic, 1));
        alice.expect_suback(id, &[1]);
        let published = alice.publish(1, &topic, "hello");
        let packet = alice.wait_for(|packet| packet.kind() == Kind::Publish);
        assert_eq!(packet.qos(), 1);
        assert_eq!(packet.payload(), b"hello");
        alice.acknowledge(&packet);
        let is_puback = |packet: &Packet| packet.kind() == Kind::Puback;
        let puback = alice.wait_for(is_puback);
        assert_eq!(puback.id(), published);
        alice.leave();
    }

    fn refused(&self) {
        let (foreign, own) = (unique("bob/x"), unique("alice/x"));
        let mut witness = self.topology.witness(&[&foreign, &own]);
        let mut alice = self.connect("alice");
        let id = alice.next_id();
        alice.send(&Subscribe::new(id).filter(&foreign, 1));
        alice.expect_suback(id, &[self.version.pick(0x80, 0x87)]);
        let id = alice.publish(1, &foreign, "never");
        match self.version {
            Version::V5 => alice.expect_ack(Kind::Puback, id, 0x87),
            _ => alice.complete(1, id),
        }
        let id = alice.publish(1, &own, "but this");
        alice.complete(1, id);
        witness.expect_publish(&own, "but this");
        let mut stranger = self.topology.try_connect(
            self.version,
            &Connect::new(unique("alice")).login("alice", "wrong"),
        );
        stranger.expect_refused(self.version.pick(0x04, 0x86));
    }

    /// More than any buffer on the way holds, in both directions and many at once.
    fn large(&self) {
        let mut alice = self.connect("alice");
        let topic = unique("alice/large");
        let id = alice.subscribe(&[&topic]);
        alice.expect_suback(id, &[2]);
        let payload: Vec<u8> = (0..300_000_u32).map(|at| (at / 7) as u8).collect();
        for _ in 0..3 {
            alice.send(&Publish::new(&topic, &payload));
        }
        for _ in 0..3 {
            let packet = alice.wait_for(|packet| packet.kind() == Kind::Publish);
            assert!(packet.payload() == payload);
        }
    }

    /// The clients that everybody has.
    fn mosquitto_clients(&self) {
        let alice = self.topology.command_line(self.version, "alice");
        let (own, foreign) = (unique("alice/x"), unique("bob/x"));
        let mut witness = self.topology.witness(&[&own, &foreign]);
        let subscriber = alice.subscribe(1, &own);
        let _ = alice.publish(1, &foreign, "never");
        assert!(alice.publish(1, &own, "hello"));
        subscriber.wait_for(&own, "hello");
        witness.expect_publish(&own, "hello");
    }

    /// A client that is gone without a word is gone for the broker, too.
    fn will(&self) {
        let topic = unique("alice/will");
        let mut witness = self.topology.witness(&[&topic]);
        let will = Publish::new(&topic, "gone").qos(1);
        let alice = self.topology.join(self.version, &login("alice").will(will));
        drop(alice);
        witness.expect_publish(&topic, "gone");
    }
}
