//! What the tests of this suite run on.

use std::time::{Duration, Instant};

use tidegate_tests::{
    Client, Connect, Topology, Version,
    gate::Settings,
    packet::Kind,
    postgres::Postgres,
    reference::{Reference, password},
    topology::{Plan, unique},
    wait::eventually,
};

/// Data planes in front of one broker, replicas of the service on one user base.
pub(super) struct Scene {
    // In the order in which they end.
    pub(super) gates: Vec<Topology>,
    pub(super) replicas: Vec<Reference>,
    pub(super) postgres: Option<Postgres>,
}

impl Scene {
    /// Two of each. Every gate asks both replicas; the first watches the first one, the second the second.
    pub(super) fn replicated(settings: &Settings) -> Self {
        let postgres = Postgres::start();
        let settings = users_in(settings, &postgres);
        let replicas: Vec<_> = (0..2).map(|_| Reference::start(&settings)).collect();
        Self::open(replicas, Some(postgres))
    }

    /// One of each, on SQLite.
    pub(super) fn small(settings: &Settings) -> Self {
        let settings = settings.clone().set("users.sources", vec!["sqlite"]);
        let replicas = vec![Reference::start(&settings)];
        Self::open(replicas, None)
    }

    #[track_caller]
    fn open(replicas: Vec<Reference>, postgres: Option<Postgres>) -> Self {
        // Each is there when the users come: what changed before is no news.
        for replica in &replicas {
            eventually("a replica knows its database", || {
                replica
                    .log()
                    .contains("the user database can be asked")
                    .then_some(())
            });
        }
        replicas[0].import_users();
        let gates = gates(&replicas);
        for gate in &gates {
            let metrics = gate.gate().metrics();
            metrics.wait_for("tidegate_control_watch_connected", &[], 1);
            eventually("users come in", || {
                (code(gate, "bob", &password("bob")) == 0).then_some(())
            });
        }
        Self {
            gates,
            replicas,
            postgres,
        }
    }

    /// Sessions of a user: one at each gate, with a client id of its own.
    pub(super) fn everywhere(&self, user: &str) -> Vec<Client> {
        let connect = |gate: &Topology| gate.connect(Version::V5, user);
        self.gates.iter().map(connect).collect()
    }

    /// `tidegate-authz user …` with a line of input; how long it took, and when it was done.
    #[track_caller]
    pub(super) fn user(&self, arguments: &[&str], input: &str) -> Done {
        let begun = Instant::now();
        let arguments = [&["user"], arguments].concat();
        self.replicas[0].administer(&arguments, input);
        Done {
            begun,
            ended: Instant::now(),
        }
    }

    /// The code of the CONNACK at each gate.
    pub(super) fn codes(&self, user: &str, password: &str) -> Vec<u8> {
        let code = |gate| code(gate, user, password);
        self.gates.iter().map(code).collect()
    }
}

/// A command that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Done {
    begun: Instant,
    ended: Instant,
}

impl Done {
    /// How long after it, in words.
    pub(super) fn and(self, happened: &[Instant]) -> String {
        let after = |from: Instant| -> Vec<Duration> {
            let since = |at: &Instant| at.saturating_duration_since(from);
            happened.iter().map(since).collect()
        };
        let took = self.ended - self.begun;
        let (began, ended) = (after(self.begun), after(self.ended));
        format!(
            "{began:.0?} after the command began, {ended:.0?} after it ended (it took {took:.0?})"
        )
    }
}

/// The settings of a replica whose users are in PostgreSQL.
pub(super) fn users_in(settings: &Settings, postgres: &Postgres) -> Settings {
    let settings = settings.clone().set("users.sources", vec!["postgres"]);
    settings.set("users.postgres.url", postgres.url())
}

/// A gate for each replica, which watches it; all of them in front of one Mosquitto.
fn gates(replicas: &[Reference]) -> Vec<Topology> {
    let endpoints: Vec<_> = replicas.iter().map(Reference::endpoint).collect();
    let watching = |plan: Plan, endpoint: &str| {
        plan.services_at(&endpoints)
            .set("authz.control.enabled", true)
            .set("authz.control.endpoint", endpoint)
            .set("metrics.bind", "127.0.0.1:0")
            // A busy machine is not what is tested here.
            .set("authz.connect.deadline", "20s")
            .set("authz.publish.deadline", "20s")
            .set("authz.subscribe.deadline", "20s")
            .start()
    };
    let first = watching(Topology::real(), &endpoints[0]);
    let broker = first.mosquitto().address();
    let mut gates = vec![first];
    for endpoint in &endpoints[1..] {
        gates.push(watching(Topology::real().broker_at(broker), endpoint));
    }
    gates
}

fn code(gate: &Topology, user: &str, password: &str) -> u8 {
    let connect = Connect::new(unique(user)).login(user, password);
    let mut client = gate.try_connect(Version::V5, &connect);
    client.expect(Kind::Connack).codes()[0]
}
