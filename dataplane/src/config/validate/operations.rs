//! Probes, the administrator's listener, the drain, the log.

use std::{net::SocketAddr, time::Duration};

use tidegate_settings::{Error, text};
use tidegate_telemetry::LogOptions;

use super::Checks;
use crate::{config::AdminAddress, upstream::MAX_SOCKET_PATH};

/// Longest step of a drain: whoever stops the gate has no more patience.
const AN_HOUR: Duration = Duration::from_secs(3600);

impl Checks<'_> {
    /// What is about running the gate.
    pub(super) fn operations(&self) -> Result<(), Error> {
        let config = self.config;
        if let (Some(_), Some(metrics)) = (config.probes.bind, config.metrics.bind) {
            let expected = "only `probes.bind`, which is its name by now";
            return self.refuse("metrics.bind", &metrics, expected);
        }
        if let Some(bind) = &config.admin.bind
            && bind.is_exposed()
            && !config.admin.acknowledge_exposed
        {
            let expected = "an address of this machine alone (127.0.0.1, [::1] or unix:/path), or \
                            `admin.acknowledge_exposed`: it asks nobody who they are";
            return self.refuse("admin.bind", bind, expected);
        }
        if let Some(AdminAddress::Unix(path)) = &config.admin.bind
            && path.as_os_str().len() > MAX_SOCKET_PATH
        {
            let found = format!("{} bytes", path.as_os_str().len());
            let expected = format!("a path of at most {MAX_SOCKET_PATH} bytes");
            return self.refuse("admin.bind", &found, &expected);
        }
        self.addresses()?;
        for (key, time) in [
            ("drain.delay", config.drain.delay),
            ("drain.duration", config.drain.duration),
        ] {
            if time > AN_HOUR {
                return self.refuse(key, &text::duration::format(time), "at most 1h");
            }
        }
        let log = LogOptions {
            format: config.log.format,
            filter: config.log.filter.clone(),
        };
        if log.check().is_err() {
            let found = format!("{:?}", config.log.filter);
            let expected = "a level, or levels by target, such as \"info,tidegate=debug\"";
            return self.refuse("log.filter", &found, expected);
        }
        Ok(())
    }

    /// That nothing is to be bound where something else is already.
    fn addresses(&self) -> Result<(), Error> {
        let config = self.config;
        let listeners = config.listeners.0.iter().enumerate();
        let mut all: Vec<_> = listeners
            .map(|(index, listener)| (format!("listeners.{index}.bind"), listener.bind))
            .collect();
        let probes = match config.probes.bind {
            Some(_) => "probes.bind",
            None => "metrics.bind",
        };
        all.extend(config.probes_bind().map(|bind| (probes.to_owned(), bind)));
        if let Some(AdminAddress::Tcp(bind)) = config.admin.bind {
            all.push(("admin.bind".to_owned(), bind));
        }
        for (index, (key, bind)) in all.iter().enumerate() {
            let other = all[..index]
                .iter()
                .find(|(_, other)| collide(*bind, *other));
            if let Some((other, _)) = other {
                let expected = format!("another address than that of `{other}`");
                return self.refuse(key, bind, &expected);
            }
        }
        Ok(())
    }
}

/// Whether the second one cannot be bound after the first. Port 0 is any that is free. Whether `[::]` is all of IPv4,
/// too, is a setting of the system.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    let is_all = a.is_unspecified() || b.is_unspecified();
    one.port() != 0
        && one.port() == other.port()
        && (a == b || (is_all && a.is_ipv4() == b.is_ipv4()))
}
