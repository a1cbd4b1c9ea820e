//! What no single value can tell: rules over several keys, and over the meaning of one.

mod failing;
mod listener;
mod operations;
mod ranges;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, fmt::Display};

use gatekeeper::CloseReason;
use tidegate_settings::{Error, Tree};
use tidegate_telemetry::Sampler;

use super::{Config, Listener};
use crate::{authz::Target, upstream};

/// More than descriptors will be had for.
const MAX_CONNECTIONS: usize = 1_000_000;

/// Checks everything that is not a matter of types.
pub(super) fn check(config: &Config, tree: &Tree) -> Result<(), Error> {
    let checks = Checks { config, tree };
    checks.listeners()?;
    checks.peers()?;
    checks.mutations()?;
    checks.wills()?;
    checks.reserved()?;
    checks.failing()?;
    checks.times()?;
    checks.ranges()?;
    checks.connect_rate()?;
    checks.operations()?;
    checks.sampling()
}

/// A configuration, and where its values come from.
struct Checks<'a> {
    config: &'a Config,
    tree: &'a Tree,
}

impl Checks<'_> {
    fn refuse(&self, key: &str, found: &dyn Display, expected: &str) -> Result<(), Error> {
        Err(Error::invalid(
            key,
            found,
            expected,
            self.tree.place_of(key),
        ))
    }

    fn listeners(&self) -> Result<(), Error> {
        let listeners = &self.config.listeners.0;
        if listeners.is_empty() {
            return self.refuse("listeners", &"none", "at least one listener");
        }
        let mut names = HashSet::new();
        for (index, listener) in listeners.iter().enumerate() {
            let key = |name: &str| format!("listeners.{index}.{name}");
            // The names of the two other listeners, by which sockets are handed over, too.
            let is_taken = matches!(&*listener.name, "" | "probes" | "admin");
            if is_taken || !names.insert(&listener.name) {
                return self.refuse(
                    &key("name"),
                    &format!("{:?}", listener.name),
                    "a name that no other listener has (nor \"probes\" and \"admin\")",
                );
            }
            self.listener(listener, &key)?;
        }
        Ok(())
    }

    fn peers(&self) -> Result<(), Error> {
        let config = self.config;
        match config.broker.url.parse::<upstream::Target>() {
            Ok(target) => self.broker_tls(target.is_tls())?,
            Err(error) => {
                return self.refuse("broker.url", &config.broker.url, &error.to_string());
            }
        }
        self.service()?;
        if let Some(endpoint) = &config.telemetry.otlp_endpoint
            && let Err(error) = tidegate_telemetry::check_endpoint(endpoint)
        {
            return self.refuse("telemetry.otlp_endpoint", endpoint, &error.to_string());
        }
        Ok(())
    }

    fn service(&self) -> Result<(), Error> {
        let authz = &self.config.authz;
        if let (Some(endpoint), false) = (&authz.endpoint, authz.endpoints.is_empty()) {
            let expected = "either this or `authz.endpoints`";
            return self.refuse("authz.endpoint", endpoint, expected);
        }
        let targets = authz.targets();
        for (index, target) in targets.iter().enumerate() {
            if targets[..index].contains(target) {
                let key = format!("authz.endpoints.{index}");
                return self.refuse(&key, target, "each endpoint once");
            }
        }
        let companions = [&authz.control.endpoint, &authz.events.endpoint];
        let mut all = targets.iter().chain(companions.into_iter().flatten());
        self.service_tls(all.any(Target::is_tls))
    }

    fn broker_tls(&self, is_tls: bool) -> Result<(), Error> {
        let tls = &self.config.broker.tls;
        let set = [
            ("ca", tls.ca.is_some()),
            ("cert", tls.cert.is_some()),
            ("key", tls.key.is_some()),
            ("server_name", tls.server_name.is_some()),
        ];
        let user = "a broker with TLS (mqtts://host:port or wss://host:port/path) to use it";
        self.tls("broker.tls", &set, is_tls, user)
    }

    fn service_tls(&self, is_tls: bool) -> Result<(), Error> {
        let tls = &self.config.authz.tls;
        let set = [
            ("ca", tls.ca.is_some()),
            ("cert", tls.cert.is_some()),
            ("key", tls.key.is_some()),
            ("server_name", tls.server_name.is_some()),
        ];
        let user = "an endpoint with TLS (https://host:port or dns:host:port?tls) to use it";
        self.tls("authz.tls", &set, is_tls, user)
    }

    /// Settings of TLS that would be of no use were meant to be of some.
    fn tls(
        &self,
        section: &str,
        set: &[(&str, bool)],
        is_tls: bool,
        user: &str,
    ) -> Result<(), Error> {
        if !is_tls && let Some((name, _)) = set.iter().find(|(_, is_set)| *is_set) {
            return self.refuse(&format!("{section}.{name}"), &"none", user);
        }
        for (name, other) in [("cert", "key"), ("key", "cert")] {
            let is_set = |wanted: &str| set.contains(&(wanted, true));
            if is_set(name) && !is_set(other) {
                let key = format!("{section}.{name}");
                return self.refuse(&key, &"it alone", &format!("`{section}.{other}`, too"));
            }
        }
        Ok(())
    }

    fn mutations(&self) -> Result<(), Error> {
        let has_mount = |listener: &Listener| listener.mount.is_some();
        let permit = &self.config.authz.permit;
        if permit.subscribe_filter && !self.config.listeners.0.iter().any(has_mount) {
            return self.refuse(
                "authz.permit.subscribe_filter",
                &true,
                "false, or a listener with a `mount`: without one, deliveries could not be mapped back",
            );
        }
        Ok(())
    }

    fn wills(&self) -> Result<(), Error> {
        for (index, word) in self.config.will.suppress_on.iter().enumerate() {
            if !CloseReason::NAMES.contains(&word.as_str()) {
                return self.refuse(
                    &format!("will.suppress_on.{index}"),
                    &format!("{word:?}"),
                    &format!("one of {}", CloseReason::NAMES.join(", ")),
                );
            }
        }
        Ok(())
    }

    /// What has no `$` can be judged by the service, and the gate would not find it.
    fn reserved(&self) -> Result<(), Error> {
        let broker = &self.config.broker;
        for (key, levels) in [
            ("reserved_topics", &broker.reserved_topics),
            ("reserved_filters", &broker.reserved_filters),
        ] {
            for (index, level) in levels.iter().enumerate() {
                if !level.starts_with('$') || level.contains(['/', '+', '#']) {
                    return self.refuse(
                        &format!("broker.{key}.{index}"),
                        &format!("{level:?}"),
                        "the first level of a topic, such as \"$queue\"",
                    );
                }
            }
        }
        Ok(())
    }

    fn sampling(&self) -> Result<(), Error> {
        let ratio = &self.config.telemetry.trace_sample_ratio;
        for (hook, value) in [
            ("connect", ratio.connect),
            ("subscribe", ratio.subscribe),
            ("publish", ratio.publish),
        ] {
            if Sampler::ratio(value).is_err() {
                let key = format!("telemetry.trace_sample_ratio.{hook}");
                return self.refuse(&key, &value, "a ratio from 0.0 to 1.0");
            }
        }
        Ok(())
    }
}
