//! A topology that is still being described.

use std::{collections::BTreeMap, net::SocketAddr};

use toml::Value;

use super::{Broker, Service, Topology};
use crate::{
    collector::Collector,
    gate::{Gate, Settings},
    mosquitto::{Entrance, Mosquitto},
    recorder::Recorder,
    reference::Reference,
    service::Scripted,
};

/// A topology that is still being described; [`start`](Self::start) makes it real.
#[derive(Debug)]
pub struct Plan {
    broker: BrokerPlan,
    entrance: Entrance,
    service: ServicePlan,
    tracing: Tracing,
    settings: Vec<(String, Value)>,
    of_service: Settings,
    environment: BTreeMap<String, String>,
}

#[derive(Debug)]
pub(super) enum BrokerPlan {
    Mosquitto(Vec<String>),
    Recorder,
    At(String),
}

#[derive(Debug)]
pub(super) enum ServicePlan {
    Reference,
    Scripted,
    At(Vec<String>),
}

#[derive(Debug)]
enum Tracing {
    Off,
    ToCollector,
    To(String),
}

impl Plan {
    pub(super) fn new(broker: BrokerPlan, service: ServicePlan) -> Self {
        Self {
            broker,
            entrance: Entrance::Tcp,
            service,
            tracing: Tracing::Off,
            settings: Vec::new(),
            of_service: Settings::default(),
            environment: BTreeMap::new(),
        }
    }

    /// Has both programs export every trace to a collector, or to the Jaeger that the environment names.
    #[must_use]
    pub fn collector(mut self) -> Self {
        self.tracing = Tracing::ToCollector;
        self
    }

    /// Has both programs export every trace to an endpoint.
    #[must_use]
    pub fn collector_at(mut self, endpoint: impl Into<String>) -> Self {
        self.tracing = Tracing::To(endpoint.into());
        self
    }

    /// Uses a real broker, with these lines in its configuration.
    #[must_use]
    pub fn mosquitto(mut self, lines: &[&str]) -> Self {
        let lines = lines.iter().map(|&line| line.to_owned()).collect();
        self.broker = BrokerPlan::Mosquitto(lines);
        self
    }

    /// Uses whatever is at this address as the broker.
    #[must_use]
    pub fn broker_at(self, address: SocketAddr) -> Self {
        self.broker_url(format!("mqtt://{address}"))
    }

    /// Uses whatever is at this URL as the broker.
    #[must_use]
    pub fn broker_url(mut self, url: impl Into<String>) -> Self {
        self.broker = BrokerPlan::At(url.into());
        self
    }

    /// Has the gate come to the real broker in this way.
    #[must_use]
    pub fn broker_over(mut self, entrance: Entrance) -> Self {
        self.entrance = entrance;
        self
    }

    /// Uses whatever is at this endpoint as the service.
    #[must_use]
    pub fn service_at(mut self, endpoint: impl Into<String>) -> Self {
        self.service = ServicePlan::At(vec![endpoint.into()]);
        self
    }

    /// Uses whatever is at these endpoints as replicas of the service.
    #[must_use]
    pub fn services_at(mut self, endpoints: &[String]) -> Self {
        self.service = ServicePlan::At(endpoints.to_vec());
        self
    }

    /// Sets a value in `tidegate.toml` by its dotted path.
    #[must_use]
    pub fn set(mut self, path: &str, value: impl Into<Value>) -> Self {
        self.settings.push((path.to_owned(), value.into()));
        self
    }

    /// Sets a value in the configuration of the reference service by its dotted path.
    #[must_use]
    pub fn set_service(mut self, path: &str, value: impl Into<Value>) -> Self {
        self.of_service = self.of_service.set(path, value);
        self
    }

    /// Sets an environment variable of the gate.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Starts everything and waits until it is ready.
    #[must_use]
    #[track_caller]
    pub fn start(self) -> Topology {
        let (collector, traces) = self.tracing.start();
        let (broker, broker_url) = self.broker.start(self.entrance);
        let marks = collector.as_ref().map(Collector::environment);
        let marks = marks.unwrap_or_default();
        let (service, endpoints) = self
            .service
            .start(send_traces(self.of_service, traces.as_deref()), &marks);

        let settings = Settings::for_gate(&broker_url, &endpoints[0]);
        let settings = broker
            .tls()
            .into_iter()
            .fold(settings, |settings, (key, path)| {
                settings.set(&format!("broker.tls.{key}"), path)
            });
        let settings = match endpoints.len() {
            1 => settings,
            _ => settings
                .unset("authz.endpoint")
                .set("authz.endpoints", endpoints),
        };
        let settings = sample_all(send_traces(settings, traces.as_deref()), traces.is_some());
        let settings = self
            .settings
            .into_iter()
            .fold(settings, |settings, (path, value)| {
                settings.set(&path, value)
            });
        let environment = marks.into_iter().chain(self.environment).collect();
        Topology {
            gate: Gate::start(&settings, &environment),
            service,
            broker,
            collector,
        }
    }
}

impl BrokerPlan {
    fn start(self, entrance: Entrance) -> (Broker, String) {
        match self {
            Self::Mosquitto(lines) => {
                let mosquitto = Mosquitto::start_behind(entrance, &lines);
                let url = mosquitto.url().to_owned();
                (Broker::Mosquitto(Box::new(mosquitto)), url)
            }
            Self::Recorder => {
                let recorder = Recorder::start();
                let url = format!("mqtt://{}", recorder.address());
                (Broker::Recorder(recorder), url)
            }
            Self::At(url) => (Broker::Elsewhere, url),
        }
    }
}

impl ServicePlan {
    #[track_caller]
    fn start(
        self,
        settings: Settings,
        environment: &BTreeMap<String, String>,
    ) -> (Service, Vec<String>) {
        match self {
            Self::Reference => {
                let reference = Reference::start_in(environment, &settings);
                let endpoint = reference.endpoint();
                (Service::Reference(reference), vec![endpoint])
            }
            Self::Scripted => {
                let scripted = Scripted::start();
                let endpoint = scripted.endpoint();
                (Service::Scripted(scripted), vec![endpoint])
            }
            Self::At(endpoints) => (Service::Elsewhere, endpoints),
        }
    }
}

impl Tracing {
    fn start(self) -> (Option<Collector>, Option<String>) {
        match self {
            Self::Off => (None, None),
            Self::ToCollector => {
                let collector = Collector::of_environment();
                let endpoint = collector.endpoint();
                (Some(collector), Some(endpoint))
            }
            Self::To(endpoint) => (None, Some(endpoint)),
        }
    }
}

/// Says where traces go, for either program.
fn send_traces(settings: Settings, endpoint: Option<&str>) -> Settings {
    match endpoint {
        Some(endpoint) => settings.set("telemetry.otlp_endpoint", endpoint),
        None => settings,
    }
}

/// Has the gate trace every packet, if it traces at all.
fn sample_all(settings: Settings, traced: bool) -> Settings {
    if !traced {
        return settings;
    }
    ["connect", "subscribe", "publish"]
        .iter()
        .fold(settings, |settings, hook| {
            settings.set(&format!("telemetry.trace_sample_ratio.{hook}"), 1.0)
        })
}
