//! A broker, a service and the gate between them, in one line.
//!
//! ```text
//! let topology = Topology::scripted().set("authz.publish.deadline", "200ms").start();
//! topology.service().answer(|_| Answer::Unset);
//! let mut client = topology.connect(Version::V5, "alice");
//! ```

mod plan;

use std::{
    env,
    net::SocketAddr,
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicU32, Ordering},
    },
};

pub use plan::Plan;
use plan::{BrokerPlan, ServicePlan};

use crate::{
    client::Client,
    collector::Collector,
    gate::Gate,
    mosquitto::{CommandLine, Mosquitto},
    packet::{Connect, Version},
    recorder::Recorder,
    reference::{Reference, password},
    service::Scripted,
};

/// If set, the clients of a topology with a real broker go to that broker, past the gate: what a
/// suite expects of the broker's flows has to be true there as well.
const DIRECT: &str = "TIDEGATE_TEST_DIRECT";

/// Everything that runs for a test. It all ends when this is dropped, the gate first.
#[derive(Debug)]
pub struct Topology {
    gate: Gate,
    service: Service,
    broker: Broker,
    collector: Option<Collector>,
}

#[derive(Debug)]
enum Broker {
    Mosquitto(Box<Mosquitto>),
    Recorder(Recorder),
    Elsewhere,
}

impl Broker {
    /// What the gate needs to come in, below `broker.tls`.
    fn tls(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Mosquitto(mosquitto) => mosquitto.tls(),
            Self::Recorder(_) | Self::Elsewhere => Vec::new(),
        }
    }
}

#[derive(Debug)]
enum Service {
    Reference(Reference),
    Scripted(Scripted),
    Elsewhere,
}

impl Topology {
    /// The real thing: Mosquitto and the reference service.
    #[must_use]
    pub fn real() -> Plan {
        Plan::new(BrokerPlan::Mosquitto(Vec::new()), ServicePlan::Reference)
    }

    /// What can be made to misbehave: the recording broker and the scripted service.
    #[must_use]
    pub fn scripted() -> Plan {
        Plan::new(BrokerPlan::Recorder, ServicePlan::Scripted)
    }

    /// The recording broker, so that it is known what reached it, and the reference service.
    #[must_use]
    pub fn recorded() -> Plan {
        Plan::new(BrokerPlan::Recorder, ServicePlan::Reference)
    }

    /// The real thing, shared with whichever other tests of this executable run at the same time.
    /// Topics and client ids have to be [`unique`].
    #[must_use]
    #[track_caller]
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Topology>> = Mutex::new(Weak::new());
        // Poisoned by a test that could not start it: the next one may fail for itself.
        let mut shared = SHARED
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        shared.upgrade().unwrap_or_else(|| {
            let topology = Arc::new(Self::real().start());
            *shared = Arc::downgrade(&topology);
            topology
        })
    }

    /// Opens a connection to the gate on which nothing has been sent.
    #[must_use]
    #[track_caller]
    pub fn open(&self, version: Version) -> Client {
        Client::open(self.entrance(), version)
    }

    /// Where clients go in: the gate, or the real broker itself if `TIDEGATE_TEST_DIRECT` is set.
    fn entrance(&self) -> SocketAddr {
        match &self.broker {
            Broker::Mosquitto(mosquitto) if env::var_os(DIRECT).is_some() => mosquitto.address(),
            _ => self.gate.address(),
        }
    }

    /// Sends a CONNECT to the gate.
    #[must_use]
    #[track_caller]
    pub fn try_connect(&self, version: Version, connect: &Connect) -> Client {
        let mut client = self.open(version);
        client.send(connect);
        client
    }

    /// Sends a CONNECT to the gate, and expects that it is accepted.
    #[must_use]
    #[track_caller]
    pub fn join(&self, version: Version, connect: &Connect) -> Client {
        let mut client = self.try_connect(version, connect);
        client.expect_connack(0);
        client
    }

    /// Connects to the gate as a user, with the right password.
    #[must_use]
    #[track_caller]
    pub fn connect(&self, version: Version, user: &str) -> Client {
        self.join(version, &login(user))
    }

    /// Connects to Mosquitto itself.
    #[must_use]
    #[track_caller]
    pub fn join_directly(&self, version: Version, connect: &Connect) -> Client {
        let mut client = Client::open(self.mosquitto().address(), version);
        client.send(connect);
        client.expect_connack(0);
        client
    }

    /// The Mosquitto clients, as a user with the right password, through the gate.
    #[must_use]
    pub fn command_line(&self, version: Version, user: &str) -> CommandLine {
        CommandLine::new(self.entrance(), version).login(user, &password(user))
    }

    /// A client that is connected to Mosquitto itself and subscribed there: it sees what really
    /// happens.
    #[must_use]
    #[track_caller]
    pub fn witness(&self, filters: &[&str]) -> Client {
        let mut witness = self.join_directly(Version::V5, &Connect::new(unique("witness")));
        let id = witness.subscribe(filters);
        witness.expect_suback(id, &vec![2; filters.len()]);
        witness
    }

    /// The gate.
    #[must_use]
    pub fn gate(&self) -> &Gate {
        &self.gate
    }

    /// The gate, to be ended.
    #[must_use]
    pub fn gate_mut(&mut self) -> &mut Gate {
        &mut self.gate
    }

    /// The recording broker.
    #[must_use]
    #[track_caller]
    pub fn recorder(&self) -> &Recorder {
        match &self.broker {
            Broker::Recorder(recorder) => recorder,
            other => panic!("the broker of this topology is no recorder: {other:?}"),
        }
    }

    /// The real broker.
    #[must_use]
    #[track_caller]
    pub fn mosquitto(&self) -> &Mosquitto {
        match &self.broker {
            Broker::Mosquitto(mosquitto) => mosquitto,
            other => panic!("the broker of this topology is no Mosquitto: {other:?}"),
        }
    }

    /// The scripted service.
    #[must_use]
    #[track_caller]
    pub fn service(&self) -> &Scripted {
        match &self.service {
            Service::Scripted(service) => service,
            other => panic!("the service of this topology is not scripted: {other:?}"),
        }
    }

    /// The scripted service, to be stopped or restarted.
    #[must_use]
    #[track_caller]
    pub fn service_mut(&mut self) -> &mut Scripted {
        match &mut self.service {
            Service::Scripted(service) => service,
            other => panic!("the service of this topology is not scripted: {other:?}"),
        }
    }

    /// The reference service.
    #[must_use]
    #[track_caller]
    pub fn reference(&self) -> &Reference {
        match &self.service {
            Service::Reference(reference) => reference,
            other => panic!("the service of this topology is not the reference: {other:?}"),
        }
    }

    /// The reference service, to be killed or restarted.
    #[must_use]
    #[track_caller]
    pub fn reference_mut(&mut self) -> &mut Reference {
        match &mut self.service {
            Service::Reference(reference) => reference,
            other => panic!("the service of this topology is not the reference: {other:?}"),
        }
    }

    /// The collector.
    #[must_use]
    #[track_caller]
    pub fn collector(&self) -> &Collector {
        self.collector
            .as_ref()
            .expect("a topology with a collector")
    }
}

/// A CONNECT of a user with the right password and a client id of its own.
#[must_use]
pub fn login(user: &str) -> Connect {
    Connect::new(unique(user)).login(user, password(user))
}

/// A name that no other test of this executable has.
#[must_use]
pub fn unique(name: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(1);
    format!("{name}-{}", NEXT.fetch_add(1, Ordering::Relaxed))
}
