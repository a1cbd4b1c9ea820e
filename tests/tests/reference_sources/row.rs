//! What clients heard of one source: a line of the table.

use std::time::{Duration, Instant};

use tidegate_tests::{
    Client, Connect, Door, Topology, Version,
    packet::Kind,
    topology::unique,
    wait::{self, PATIENCE},
};

/// What a client is told, as MQTT 5 and MQTT 3.1.1 say it.
pub(crate) type Code = (u8, u8);

/// Come in.
pub(crate) const IN: Code = (0, 0);
/// Bad user name or password.
pub(crate) const REFUSED: Code = (0x86, 4);
/// Server unavailable: nobody can say.
pub(crate) const UNAVAILABLE: Code = (0x88, 3);
/// Banned; MQTT 3.1.1 knows only "not authorized".
pub(crate) const BANNED: Code = (0x8A, 5);

const VERSIONS: [Version; 2] = [Version::V5, Version::V311];

/// A line of the table. Printed when it is dropped.
pub(crate) struct Row<'a> {
    source: &'static str,
    topology: &'a Topology,
    door: Door,
    cells: Vec<String>,
}

impl<'a> Row<'a> {
    pub(crate) fn of(source: &'static str, topology: &'a Topology) -> Self {
        Self {
            source,
            topology,
            door: Door::Tcp,
            cells: Vec::new(),
        }
    }

    /// Clients come in by this door.
    pub(crate) fn by(mut self, door: Door) -> Self {
        self.door = door;
        self
    }

    /// Clients are let in, and are this user.
    #[track_caller]
    pub(crate) fn is_in(&mut self, case: &str, user: &str, connect: &Connect) {
        let begun = Instant::now();
        for version in VERSIONS {
            let (mut client, code) = self.knock(version, connect);
            let (source, wanted) = (self.source, version.pick(IN.1, IN.0));
            assert_eq!(code, wanted, "{source}: {case}, {version:?}");
            publishes(&mut client, user);
            client.leave();
        }
        self.note(case, IN, begun.elapsed());
    }

    /// Clients hear this, and are gone.
    #[track_caller]
    pub(crate) fn hears(&mut self, case: &str, connect: &Connect, expected: Code) {
        let begun = Instant::now();
        for version in VERSIONS {
            let (mut client, code) = self.knock(version, connect);
            let (source, wanted) = (self.source, version.pick(expected.1, expected.0));
            assert_eq!(code, wanted, "{source}: {case}, {version:?}");
            client.expect_closed();
        }
        self.note(case, expected, begun.elapsed());
    }

    /// Clients are let in after a while, and hear nothing but "unavailable" until then.
    #[track_caller]
    pub(crate) fn comes_back(&mut self, user: &str, connect: &Connect) {
        let begun = Instant::now();
        wait::eventually(&format!("{} comes back", self.source), || {
            let (_, code) = self.knock(Version::V5, connect);
            assert!([IN.0, UNAVAILABLE.0].contains(&code), "{code:#04x}");
            (code == IN.0).then_some(())
        });
        let took = begun.elapsed();
        self.is_in("back", user, connect);
        let last = self.cells.pop().unwrap();
        self.cells.push(format!("{last} after {took:.1?}"));
    }

    /// The connection ended before there was any MQTT.
    pub(crate) fn is_cut(&mut self, case: &str) {
        self.cells.push(format!("{case} no TLS"));
    }

    /// There is no such thing.
    pub(crate) fn has_no(&mut self, case: &str) {
        self.cells.push(format!("{case} -"));
    }

    /// A session of another client, to stay.
    #[track_caller]
    pub(crate) fn session(&self, connect: &Connect) -> Client {
        let connect = connect.clone().client_id(unique("session"));
        let (client, code) = self.knock(Version::V5, &connect);
        assert_eq!(code, IN.0);
        client
    }

    /// Goes in, and says what code the client heard.
    #[track_caller]
    fn knock(&self, version: Version, connect: &Connect) -> (Client, u8) {
        let gate = self.topology.gate().address();
        let mut client = self.door.open_at(gate, version);
        client.send(connect);
        let code = client.expect(Kind::Connack).codes()[0];
        (client, code)
    }

    fn note(&mut self, case: &str, (v5, v3): Code, took: Duration) {
        assert!(took < PATIENCE, "each step has to end by itself");
        let each = took / u32::try_from(VERSIONS.len()).unwrap();
        self.cells.push(format!("{case} {v5:#04x}/{v3} {each:.0?}"));
    }
}

impl Drop for Row<'_> {
    fn drop(&mut self) {
        println!("{:<18}| {}", self.source, self.cells.join(" | "));
    }
}

/// Shows that a session belongs to a user, by one of their topics, and that it works.
#[track_caller]
pub(crate) fn publishes(client: &mut Client, user: &str) {
    let id = client.publish(1, &format!("{user}/door"), "open");
    client.complete(1, id);
}
