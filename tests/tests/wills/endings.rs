//! The ways in which a connection with a will can end.

use std::time::{Duration, SystemTime};

use tidegate_proto::v1::{ConnectAllow, DenyAction, FailureCode, ReasonCode};
use tidegate_tests::{
    Answer, Check, Client, Connect, Publish, Subscribe, Topology, Version,
    packet::{Disconnect, Encode as _, PINGREQ},
    process::Signal,
    topology::unique,
};

/// One of them.
pub(crate) struct Ending {
    pub(crate) name: &'static str,
    /// Its word in the log.
    pub(crate) reason: &'static str,
    /// Makes it happen, and sees that the client is told.
    pub(crate) come_about: fn(&mut Client, &Topology, &str),
    /// Whether only MQTT 5 has it.
    only_v5: bool,
    /// Whether the client took its will back.
    pub(crate) is_goodbye: bool,
    /// Whether there is nothing that the gate could hold back: the broker ended it, or the client
    /// asked for its will.
    pub(crate) is_beyond_the_gate: bool,
    pub(crate) keep_alive: u16,
}

impl Ending {
    pub(crate) fn is_of(&self, version: Version) -> bool {
        !self.only_v5 || version == Version::V5
    }

    const fn new(
        name: &'static str,
        reason: &'static str,
        come_about: fn(&mut Client, &Topology, &str),
    ) -> Self {
        Self {
            name,
            reason,
            come_about,
            only_v5: false,
            is_goodbye: false,
            is_beyond_the_gate: false,
            keep_alive: 0,
        }
    }
}

pub(crate) const ENDINGS: &[Ending] = &[
    Ending {
        is_goodbye: true,
        ..Ending::new("goodbye", "client_disconnect", |client, _, _| {
            client.leave()
        })
    },
    Ending {
        only_v5: true,
        is_beyond_the_gate: true,
        ..Ending::new("goodbye with will", "client_disconnect", |client, _, _| {
            client.send(&Disconnect::new(0x04));
            client.expect_closed();
        })
    },
    Ending::new("vanished", "client_gone", |client, _, _| {
        client.shut_down_writing();
        client.expect_closed();
    }),
    Ending {
        keep_alive: 1,
        ..Ending::new("silent", "keep_alive_timeout", |client, _, _| {
            client.expect_end(0x8D);
        })
    },
    Ending::new("protocol error", "client_violation", |client, _, _| {
        client.send(&Connect::new("again"));
        client.expect_end(0x82);
    }),
    Ending::new("malformed packet", "client_violation", |client, _, _| {
        client.send_raw(&[0xC0, 0x01, 0x00]);
        client.expect_end(0x81);
    }),
    Ending::new("half a packet", "client_gone", |client, _, _| {
        let version = client.version();
        client.send_raw(&Publish::new("t", "x").encode(version)[..4]);
        client.shut_down_writing();
        client.expect_closed();
    }),
    Ending::new("packet without an end", "packet_timeout", |client, _, _| {
        client.send_raw(&[0x30]);
        client.expect_end(0x80);
    }),
    Ending::new("denied message", "publish_denied", |client, _, _| {
        client.publish(1, "deny", "x");
        client.expect_end(0x87);
    }),
    Ending::new(
        "denied message at QoS 0",
        "publish_denied",
        |client, _, _| {
            client.publish(0, "deny", "x");
            client.expect_end(0x87);
        },
    ),
    Ending::new("denied filter", "subscribe_denied", |client, _, _| {
        client.subscribe(&["deny"]);
        client.expect_end(0x87);
    }),
    Ending::new("undecided message", "publish_undecided", |client, _, _| {
        client.publish(2, "fail", "x");
        client.expect_end(0x83);
    }),
    Ending::new("undecided filter", "subscribe_undecided", |client, _, _| {
        client.subscribe(&["fail"]);
        client.expect_end(0x83);
    }),
    Ending::new("unknown state", "session_state_invalid", |client, _, _| {
        client.publish(1, "state", "x");
        client.expect_end(0x98);
    }),
    Ending::new(
        "silent broker",
        "broker_unresponsive",
        |client, topology, _| {
            topology.mosquitto().signal(Signal::STOP);
            client.send_raw(&PINGREQ);
            client.expect_end(0x80);
            topology.mosquitto().signal(Signal::CONT);
        },
    ),
    // More than fits into the buffers on the way.
    Ending::new(
        "reads nothing",
        "client_stalled",
        |client, topology, client_id| {
            client.send(&Subscribe::new(1).filter(client_id, 0));
            client.expect_suback(1, &[0]);
            let mut other = topology.join_directly(Version::V5, &Connect::new(unique("other")));
            let message = Publish::new(client_id, [b'x'; 200_000]).encode(Version::V5);
            other.send_raw(&message.repeat(100));
            topology.mosquitto().wait_left(client_id);
        },
    ),
    Ending::new("time is up", "expired", |client, _, _| {
        client.expect_end(0xA0);
    }),
    Ending {
        is_beyond_the_gate: true,
        ..Ending::new(
            "taken over",
            "broker_gone",
            |client, topology, client_id| {
                let other = Connect::new(client_id);
                let mut other = topology.join_directly(client.version(), &other);
                client.drain();
                other.leave();
            },
        )
    },
];

/// The service: does what the topic says, and lets sessions end whose client id says so.
pub(crate) fn decide(check: &Check) -> Answer {
    let disconnect = || Answer::deny_and(DenyAction::Disconnect, ReasonCode::NotAuthorized);
    match (check, check.topic()) {
        (Check::Connect(_), _) if check.session().client_id.starts_with("expired") => {
            let at = SystemTime::now() + Duration::from_secs(1);
            ConnectAllow {
                expires_at: Some(at.into()),
                ..ConnectAllow::default()
            }
            .into()
        }
        (_, "deny") => disconnect(),
        (_, "fail") => Answer::Fail(FailureCode::Internal),
        (_, "state") => Answer::Fail(FailureCode::SessionStateInvalid),
        _ => Answer::Allow,
    }
}
