//! What a load goes over on its way to the sink.

use std::{net::SocketAddr, path::Path};

use crate::{
    actor::{ServiceReport, ServiceSpec},
    rig::{Binaries, Certificate, Proxy, Reference, Settings, Sink, Trivial},
};

/// A way to the sink, with processes of its own.
#[derive(Debug)]
pub(crate) struct Way {
    pub(crate) label: String,
    proxy: Option<Proxy>,
    asked: Option<Asked>,
}

/// Who is asked.
#[derive(Debug)]
pub(crate) enum Asked {
    Trivial(Trivial),
    Reference(Reference),
}

impl Way {
    /// Nothing between.
    pub(crate) fn straight() -> Self {
        Self {
            label: "straight".to_owned(),
            proxy: None,
            asked: None,
        }
    }

    /// HAProxy, if it is installed.
    pub(crate) fn haproxy(binaries: &Binaries, sink: &Sink) -> anyhow::Result<Option<Self>> {
        Self::haproxy_by(binaries, sink, None)
    }

    /// HAProxy that ends TLS, if it is installed.
    pub(crate) fn haproxy_by(
        binaries: &Binaries,
        sink: &Sink,
        certificate: Option<&Certificate>,
    ) -> anyhow::Result<Option<Self>> {
        let proxy = Proxy::haproxy(binaries, sink, certificate)?;
        Ok(proxy.map(|proxy| Self {
            label: "haproxy".to_owned(),
            proxy: Some(proxy),
            asked: None,
        }))
    }

    /// Tidegate and a trivial service.
    pub(crate) fn gate(
        binaries: &Binaries,
        sink: &Sink,
        service: ServiceSpec,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let asked = Asked::Trivial(Trivial::start(service)?);
        Self::asking("tidegate", &binaries.tidegate, sink, asked, settings, None)
    }

    /// The same with a listener for TLS.
    pub(crate) fn gate_by(
        binaries: &Binaries,
        sink: &Sink,
        settings: &Settings,
        certificate: &Certificate,
    ) -> anyhow::Result<Self> {
        let (program, by) = (&binaries.tidegate, Some(certificate));
        let asked = Asked::Trivial(Trivial::start(ServiceSpec::default())?);
        Self::asking("tidegate", program, sink, asked, settings, by)
    }

    /// Tidegate with an allocator that counts, and a trivial service. `None`: it is not built.
    pub(crate) fn counted(
        binaries: &Binaries,
        sink: &Sink,
        settings: &Settings,
    ) -> anyhow::Result<Option<Self>> {
        let Some(program) = &binaries.counted else {
            return Ok(None);
        };
        let asked = Asked::Trivial(Trivial::start(ServiceSpec::default())?);
        Self::asking("counted", program, sink, asked, settings, None).map(Some)
    }

    /// Tidegate and the reference service.
    pub(crate) fn reference(
        binaries: &Binaries,
        sink: &Sink,
        settings: &Settings,
    ) -> anyhow::Result<Self> {
        let asked = Asked::Reference(Reference::start(binaries)?);
        Self::asking("reference", &binaries.tidegate, sink, asked, settings, None)
    }

    /// This build of tidegate, and whom it asks.
    fn asking(
        label: &str,
        tidegate: &Path,
        sink: &Sink,
        asked: Asked,
        settings: &Settings,
        certificate: Option<&Certificate>,
    ) -> anyhow::Result<Self> {
        let address = match &asked {
            Asked::Trivial(service) => service.address,
            Asked::Reference(service) => service.address,
        };
        Ok(Self {
            label: label.to_owned(),
            proxy: Some(Proxy::gate(tidegate, sink, address, settings, certificate)?),
            asked: Some(asked),
        })
    }

    /// Under another name.
    pub(crate) fn called(self, label: &str) -> Self {
        Self {
            label: label.to_owned(),
            ..self
        }
    }

    pub(crate) fn target(&self, sink: &Sink) -> SocketAddr {
        self.proxy
            .as_ref()
            .map_or(sink.address, |proxy| proxy.address)
    }

    pub(crate) fn proxy_mut(&mut self) -> Option<&mut Proxy> {
        self.proxy.as_mut()
    }

    pub(crate) fn proxy_id(&self) -> Option<u32> {
        self.proxy.as_ref().map(|proxy| proxy.child.id())
    }

    pub(crate) fn service_id(&self) -> Option<u32> {
        self.asked.as_ref().map(|asked| match asked {
            Asked::Trivial(service) => service.child.id(),
            Asked::Reference(service) => service.child.id(),
        })
    }

    /// Where the service is.
    pub(crate) fn service(&self) -> Option<SocketAddr> {
        self.asked.as_ref().map(|asked| match asked {
            Asked::Trivial(service) => service.address,
            Asked::Reference(service) => service.address,
        })
    }

    /// What the service has been asked, if it is one that counts.
    pub(super) fn asked(&mut self) -> anyhow::Result<Option<ServiceReport>> {
        match &mut self.asked {
            Some(Asked::Trivial(service)) => service.report().map(Some),
            Some(Asked::Reference(_)) | None => Ok(None),
        }
    }
}
