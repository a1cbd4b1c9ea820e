//! What no single value can tell: rules over several keys, and over the meaning of one.

mod ranges;
#[cfg(test)]
mod tests;

use std::{collections::HashSet, fmt::Display};

use gatekeeper::CloseReason;
use http::Uri;
use tidegate_settings::{Error, Tree};
use tidegate_telemetry::Sampler;

use super::{Config, Listener};
use crate::{mount::Template, upstream::Target};

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
    checks.times()?;
    checks.ranges()?;
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
            self.tree.origin_of(key),
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
            if listener.name.is_empty() || !names.insert(&listener.name) {
                return self.refuse(
                    &key("name"),
                    &format!("{:?}", listener.name),
                    "a name that no other listener has",
                );
            }
            self.listener(listener, &key)?;
        }
        Ok(())
    }

    fn listener(&self, listener: &Listener, key: &dyn Fn(&str) -> String) -> Result<(), Error> {
        if !(1..=MAX_CONNECTIONS).contains(&listener.max_connections) {
            return self.refuse(
                &key("max_connections"),
                &listener.max_connections,
                &format!("1 to {MAX_CONNECTIONS}"),
            );
        }
        if let Some(mount) = &listener.mount
            && let Err(error) = mount.parse::<Template>()
        {
            let found = format!("{mount:?}");
            return self.refuse(&key("mount"), &found, &error.to_string());
        }
        Ok(())
    }

    fn peers(&self) -> Result<(), Error> {
        let config = self.config;
        if let Err(error) = config.broker.url.parse::<Target>() {
            return self.refuse("broker.url", &config.broker.url, &error.to_string());
        }
        if !is_http_endpoint(&config.authz.endpoint) {
            return self.refuse("authz.endpoint", &config.authz.endpoint, "http://host:port");
        }
        if let Some(endpoint) = &config.telemetry.otlp_endpoint
            && let Err(error) = tidegate_telemetry::check_endpoint(endpoint)
        {
            return self.refuse("telemetry.otlp_endpoint", endpoint, &error.to_string());
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
            if let Err(error) = Sampler::ratio(value) {
                let key = format!("telemetry.trace_sample_ratio.{hook}");
                return self.refuse(&key, &value, &error.to_string());
            }
        }
        Ok(())
    }
}

fn is_http_endpoint(text: &str) -> bool {
    text.parse::<Uri>().is_ok_and(|uri| {
        uri.scheme_str() == Some("http")
            && uri.host().is_some_and(|host| !host.is_empty())
            && uri.port_u16().is_some()
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
    })
}
