//! Probes, the administrator's listener, the drain, the log.

use std::time::Duration;

use tidegate_settings::{Error, text};
use tidegate_telemetry::LogOptions;

use super::Checks;

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
}
