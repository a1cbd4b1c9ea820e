//! What may be done without a decision, and what has to be acknowledged first.

use std::time::Duration;

use tidegate_settings::{Error, text};

use super::{super::HookMode, Checks};
use crate::authz::Step;

/// Longest wait that makes sense.
const A_DAY: Duration = Duration::from_secs(24 * 3600);

/// One hook's settings.
struct Hook<'a> {
    name: &'a str,
    steps: &'a [Step],
    hold_max: Option<Duration>,
    /// None: it always enforces, and never lets anything pass.
    mode: Option<HookMode>,
}

impl Checks<'_> {
    /// Steps after a failure, modes of hooks, and the cache that both may need.
    pub(super) fn failing(&self) -> Result<(), Error> {
        let authz = &self.config.authz;
        let (connect, publish, subscribe) = (&authz.connect, &authz.publish, &authz.subscribe);
        self.hook(&Hook {
            name: "connect",
            steps: &connect.on_failure.0,
            hold_max: connect.hold_max,
            mode: None,
        })?;
        self.hook(&Hook {
            name: "publish",
            steps: &publish.on_failure.0,
            hold_max: publish.hold_max,
            mode: Some(publish.mode),
        })?;
        self.hook(&Hook {
            name: "subscribe",
            steps: &subscribe.on_failure.0,
            hold_max: subscribe.hold_max,
            mode: Some(subscribe.mode),
        })?;
        self.cache()
    }

    fn hook(&self, hook: &Hook<'_>) -> Result<(), Error> {
        let key = format!("authz.{}.on_failure", hook.name);
        let refuse = |step: Step, expected: &str| self.refuse(&key, &step.as_str(), expected);
        if hook.steps.is_empty() {
            return self.refuse(&key, &"none", "at least one step, such as \"reject\"");
        }
        for (index, step) in hook.steps.iter().copied().enumerate() {
            let is_last = index + 1 == hook.steps.len();
            let may_pass = hook.mode.is_some();
            if !may_pass && !matches!(step, Step::Hold | Step::Reject) {
                return refuse(step, "hold and reject: nobody comes in undecided");
            }
            if hook.steps[..index].contains(&step) {
                return refuse(step, "each step once");
            }
            match step {
                Step::Reject | Step::Disconnect if !is_last => {
                    return refuse(step, "it as the last step: it always applies");
                }
                Step::ServeStale if !self.config.authz.cache.enabled => {
                    let expected = "`authz.cache.enabled` with this step: it serves from the cache";
                    return refuse(step, expected);
                }
                Step::Allow if !self.config.authz.acknowledge_fail_open => {
                    let expected = "`authz.acknowledge_fail_open` with this step: it lets packets \
                                    pass that nobody decided about";
                    return refuse(step, expected);
                }
                _ => {}
            }
        }
        if let Some(time) = hook.hold_max.filter(|time| time.is_zero() || *time > A_DAY) {
            let key = format!("authz.{}.hold_max", hook.name);
            let found = text::duration::format(time);
            return self.refuse(&key, &found, "more than 0s and at most 24h");
        }
        self.mode(hook)
    }

    fn mode(&self, hook: &Hook<'_>) -> Result<(), Error> {
        let (word, what) = match hook.mode {
            None | Some(HookMode::Enforce) => return Ok(()),
            Some(HookMode::Shadow) => ("shadow", "everything passes"),
            Some(HookMode::Off) => ("off", "the service is not asked"),
        };
        if self.config.authz.acknowledge_fail_open {
            return Ok(());
        }
        let key = format!("authz.{}.mode", hook.name);
        let expected = format!("enforce, or `authz.acknowledge_fail_open`: {what}");
        self.refuse(&key, &word, &expected)
    }

    fn cache(&self) -> Result<(), Error> {
        let cache = &self.config.authz.cache;
        if cache.max_ttl.is_zero() || cache.max_ttl > A_DAY {
            let found = text::duration::format(cache.max_ttl);
            return self.refuse(
                "authz.cache.max_ttl",
                &found,
                "more than 0s and at most 24h",
            );
        }
        if cache.max_stale > A_DAY {
            let found = text::duration::format(cache.max_stale);
            return self.refuse("authz.cache.max_stale", &found, "at most 24h");
        }
        Ok(())
    }
}
