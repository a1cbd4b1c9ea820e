//! What the service may change on the way, and how an operator hears what has to be permitted.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::warn;

use super::{failure::Cause, hook::HookKind};

/// What the service may change on the way: nothing, unless the operator says so. A change that is not
/// permitted turns an allow into a failure.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mutations {
    /// Client identifier towards the broker.
    pub broker_client_id: bool,
    /// User name towards the broker.
    pub broker_username: bool,
    /// Password towards the broker.
    pub broker_password: bool,
    /// Connecting without the will.
    pub drop_will: bool,
    /// Clean Start, whatever the client asked for.
    pub force_clean_start: bool,
    /// A shorter Session Expiry Interval.
    pub session_expiry: bool,
    /// Topic of a message or will.
    pub publish_topic: bool,
    /// Payload of a message or will, and its format indicator.
    pub publish_payload: bool,
    /// RETAIN flag of a message or will.
    pub publish_retain: bool,
    /// User properties of a message or will.
    pub publish_user_properties: bool,
    /// A lower QoS of a subscription.
    pub subscribe_qos: bool,
    /// Filter of a subscription.
    pub subscribe_filter: bool,
}

/// The key below `authz.permit` that permits a service to set this field of the contract.
/// `None`: nothing does.
fn key(field: &str) -> Option<&'static str> {
    Some(match field {
        "broker_client_id" => "broker_client_id",
        "broker_username" => "broker_username",
        "broker_password" => "broker_password",
        "drop_will" => "drop_will",
        "force_clean_start" => "force_clean_start",
        "max_session_expiry_seconds" => "session_expiry",
        "topic" => "publish_topic",
        "payload" | "payload_format_indicator" => "publish_payload",
        "retain" => "publish_retain",
        "user_property_keys_to_remove" | "user_properties_to_add" => "publish_user_properties",
        "max_qos" => "subscribe_qos",
        "topic_filter" => "subscribe_filter",
        _ => return None,
    })
}

/// The pause between two hints about the same field.
const PAUSE: Duration = Duration::from_secs(60);

/// Tells the operator which key would permit what the service does: once for each field, and again
/// while it goes on. Fields are of the contract, so there are few.
#[derive(Debug, Default)]
pub(super) struct Hints(Mutex<HashMap<&'static str, Instant>>);

impl Hints {
    /// Writes the hint, if the cause is one that a key would remove.
    pub(super) fn tell(&self, hook: HookKind, cause: &Cause) {
        let Cause::MutationNotPermitted(field) = cause else {
            return;
        };
        if !self.is_due(field) {
            return;
        }
        match key(field) {
            Some(key) => warn!(
                %hook,
                field,
                "the service sets what it may not change, so its allows count as failures; \
                 `authz.permit.{key} = true` permits it"
            ),
            None => warn!(
                %hook,
                field,
                "the service sets what this version cannot do, so its allows count as failures"
            ),
        }
    }

    fn is_due(&self, field: &'static str) -> bool {
        let now = Instant::now();
        // Never half changed: a poisoned lock is as good as any.
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(field).is_some_and(|last| now - *last < PAUSE) {
            return false;
        }
        told.insert(field, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use tokio::time::advance;

    use super::*;

    /// The log of this thread.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Log {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Log {
        fn lines(&self) -> Vec<String> {
            let bytes = std::mem::take(&mut *self.0.lock().unwrap());
            let text = String::from_utf8(bytes).unwrap();
            text.lines().map(str::to_owned).collect()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_missing_key_is_named_once_a_minute() {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .finish();
        let _guard = tracing::subscriber::set_default(subscriber);
        let hints = Hints::default();
        let tell = |field| hints.tell(HookKind::Publish, &Cause::MutationNotPermitted(field));

        tell("topic");
        let lines = log.lines();
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].contains("WARN"), "{lines:?}");
        assert!(
            lines[0].contains("`authz.permit.publish_topic = true` permits it"),
            "{lines:?}"
        );
        tell("topic");
        hints.tell(HookKind::Publish, &Cause::MutationInvalid("payload"));
        assert_eq!(log.lines(), [""; 0]);
        tell("limits");
        assert!(log.lines()[0].contains("cannot do"));
        advance(PAUSE).await;
        tell("topic");
        assert_eq!(log.lines().len(), 1);
    }
}
