//! What a measurement runs on: the processes, and what the operating system says about them.

mod binaries;
mod certificate;
mod child;
mod gate;
mod haproxy;
pub(crate) mod launch;
mod machine;
mod reference;
mod usage;

use std::{net::SocketAddr, path::Path};

pub(crate) use self::{
    binaries::Binaries,
    certificate::{Certificate, Kind as KeyKind},
    child::Child,
    gate::{Settings, knows},
    machine::{Busy, Machine},
    reference::Reference,
    usage::{Cpu, cpu, resident_bytes},
};
use crate::actor::{
    self, HandshakesReport, HandshakesSpec, LoadReport, LoadSpec, ServiceReport, ServiceSpec,
    SinkReport,
};

/// The sink broker.
#[derive(Debug)]
pub(crate) struct Sink {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Sink {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let (child, address) = Child::start_actor(actor::SINK, &())?;
        Ok(Self { child, address })
    }

    pub(crate) fn report(&mut self) -> anyhow::Result<SinkReport> {
        self.child.ask("report")
    }
}

/// The trivial service.
#[derive(Debug)]
pub(crate) struct Trivial {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Trivial {
    pub(crate) fn start(spec: ServiceSpec) -> anyhow::Result<Self> {
        let (child, address) = Child::start_actor(actor::SERVICE, &spec)?;
        Ok(Self { child, address })
    }

    pub(crate) fn report(&mut self) -> anyhow::Result<ServiceReport> {
        self.child.ask("report")
    }
}

/// A load whose clients are connected.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) child: Child,
}

impl Load {
    pub(crate) fn start(spec: &LoadSpec) -> anyhow::Result<Self> {
        let (child, _ready) = Child::start_actor::<actor::LoadReady>(actor::LOAD, spec)?;
        Ok(Self { child })
    }

    pub(crate) fn report(&mut self) -> anyhow::Result<LoadReport> {
        self.child.ask("report")
    }

    /// Begins nothing more; what has been sent is on its way still.
    pub(crate) fn stop(&mut self) -> anyhow::Result<LoadReport> {
        self.child.ask("stop")
    }
}

/// Clients that make TLS handshakes, until they are dropped.
#[derive(Debug)]
pub(crate) struct Handshakes {
    pub(crate) child: Child,
}

impl Handshakes {
    pub(crate) fn start(spec: &HandshakesSpec) -> anyhow::Result<Self> {
        let (child, ()) = Child::start_actor(actor::HANDSHAKES, spec)?;
        Ok(Self { child })
    }

    pub(crate) fn report(&mut self) -> anyhow::Result<HandshakesReport> {
        self.child.ask("report")
    }
}

/// What a counting allocator has counted so far.
#[derive(Debug, Clone, Copy, serde::Deserialize)]
pub(crate) struct Allocations {
    pub(crate) allocations: u64,
    pub(crate) reallocations: u64,
    pub(crate) bytes: u64,
}

/// What stands between the load and the sink.
#[derive(Debug)]
pub(crate) struct Proxy {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
}

impl Proxy {
    /// HAProxy in TCP mode, over TLS with a certificate. `None`: it is not installed.
    pub(crate) fn haproxy(
        binaries: &Binaries,
        sink: &Sink,
        certificate: Option<&Certificate>,
    ) -> anyhow::Result<Option<Self>> {
        let Some(program) = &binaries.haproxy else {
            return Ok(None);
        };
        haproxy::start(program, sink.address, certificate).map(Some)
    }

    /// Tidegate, or a program that acts as it; over TLS with a certificate.
    pub(crate) fn gate(
        program: &Path,
        sink: &Sink,
        service: SocketAddr,
        settings: &Settings,
        certificate: Option<&Certificate>,
    ) -> anyhow::Result<Self> {
        gate::start(program, sink.address, service, settings, certificate)
    }

    /// What has been allocated so far, if the program counts it.
    pub(crate) fn allocations(&mut self) -> anyhow::Result<Allocations> {
        self.child.say("allocations")?;
        self.child.wait_for(|line| serde_json::from_str(line).ok())
    }
}
