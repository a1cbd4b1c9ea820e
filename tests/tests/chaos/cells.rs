//! One packet of a client that meets a fault, and what it gets.

use tidegate_tests::{
    Client, Connect, Packet, Publish, Topology, Version, framed, metrics::sum_in, packet::Kind,
    topology::unique, wait::eventually,
};

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    Connect,
    Will,
    Publish(u8),
    Subscribe,
}

impl Sent {
    pub(crate) const ALL: [Self; 6] = [
        Self::Connect,
        Self::Will,
        Self::Publish(0),
        Self::Publish(1),
        Self::Publish(2),
        Self::Subscribe,
    ];

    /// What the service is asked about it.
    pub(crate) fn kind(self) -> framed::Kind {
        match self {
            Self::Connect => framed::Kind::Connect,
            Self::Will => framed::Kind::Will,
            Self::Publish(_) => framed::Kind::Publish,
            Self::Subscribe => framed::Kind::Subscribe,
        }
    }

    /// Whether it comes before there is a session.
    pub(crate) fn is_first(self) -> bool {
        matches!(self, Self::Connect | Self::Will)
    }

    /// The label of its checks in the metrics.
    pub(crate) fn hook(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Will => "will",
            Self::Publish(_) => "publish",
            Self::Subscribe => "subscribe",
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::Will => "will",
            Self::Publish(0) => "PUBLISH 0",
            Self::Publish(1) => "PUBLISH 1",
            Self::Publish(_) => "PUBLISH 2",
            Self::Subscribe => "SUBSCRIBE",
        }
    }
}

/// How a check is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Allowed,
    Denied,
    /// Nobody decided.
    Failed,
    /// Nobody decided, because the service has too much to do.
    Busy,
}

impl End {
    /// The row of the table "What a refused packet gets".
    pub(crate) fn row(self, sent: Sent, version: Version) -> &'static str {
        let pick = |v31, v311, v5| version.pick_of_three(v31, v311, v5);
        match (self, sent) {
            (Self::Allowed, Sent::Connect | Sent::Will) => "CONNACK 00",
            (Self::Allowed, Sent::Publish(0)) => "forwarded",
            (Self::Allowed, Sent::Publish(1)) => "PUBACK 00",
            (Self::Allowed, Sent::Publish(_)) => "PUBREC 00",
            (Self::Allowed, Sent::Subscribe) => "SUBACK 02",

            (Self::Denied, Sent::Connect | Sent::Will) => {
                pick("CONNACK 05, end", "CONNACK 05, end", "CONNACK 87, end")
            }
            (Self::Denied, Sent::Publish(1)) => pick("PUBACK 00", "PUBACK 00", "PUBACK 87"),
            (Self::Denied, Sent::Publish(2)) => pick("PUBREC 00", "PUBREC 00", "PUBREC 87"),
            (Self::Denied, Sent::Subscribe) => pick("SUBACK 02", "SUBACK 80", "SUBACK 87"),

            (Self::Busy, Sent::Connect | Sent::Will) => {
                pick("CONNACK 03, end", "CONNACK 03, end", "CONNACK 89, end")
            }
            (Self::Failed, Sent::Connect | Sent::Will) => {
                pick("CONNACK 03, end", "CONNACK 03, end", "CONNACK 88, end")
            }
            (_, Sent::Publish(0)) => "dropped",
            (_, Sent::Publish(1)) => pick("end", "end", "PUBACK 83"),
            (_, Sent::Publish(_)) => pick("end", "end", "PUBREC 83"),
            (_, Sent::Subscribe) => pick("end", "end", "DISCONNECT 83, end"),
        }
    }

    fn outcome(self) -> &'static str {
        match self {
            Self::Allowed => "allow",
            Self::Denied => "deny",
            Self::Failed | Self::Busy => "failure",
        }
    }
}

/// What a cell has to find out in the metrics.
pub(crate) const CHECKS: &str = "tidegate_authz_checks_total";
const PACKETS: &str = "tidegate_packets_total";

/// A busy machine was too late with the CONNECT of a will: there was nothing to find out.
pub(crate) const UNASKED: &str = "nobody was asked";

/// Brings a client to the point where it can send the packet.
pub(crate) fn prepare(topology: &Topology, sent: Sent, version: Version) -> Client {
    if sent.is_first() {
        return topology.open(version);
    }
    topology.join(version, &Connect::new(unique("client")))
}

/// Whether a CONNECT is accepted.
pub(crate) fn is_let_in(topology: &Topology) -> bool {
    let mut client = topology.try_connect(Version::V311, &Connect::new(unique("client")));
    client
        .try_next()
        .is_some_and(|packet| packet.codes() == [0])
}

/// Sends it, and says what the client gets. Fails if there is not exactly one check, one outcome of it, and that
/// one `end` for one of the `reasons`.
pub(crate) fn play(
    topology: &Topology,
    client: &mut Client,
    sent: Sent,
    end: End,
    reasons: &[&str],
) -> Result<String, String> {
    let metrics = topology.gate().metrics();
    let before = metrics.text();
    let got = send(client, sent);
    let hook = sent.hook();
    let all = [("hook", hook)];
    let fates = [("kind", hook)];
    let (checks, packets) = (
        sum_in(&before, CHECKS, &all),
        sum_in(&before, PACKETS, &fates),
    );
    let connects = [("hook", "connect"), ("outcome", "failure")];
    let after = eventually("the check and the packet have ended", || {
        let text = metrics.text();
        if sent == Sent::Will
            && sum_in(&text, CHECKS, &connects) > sum_in(&before, CHECKS, &connects)
        {
            return Some(text);
        }
        let has_ended =
            sum_in(&text, CHECKS, &all) > checks && sum_in(&text, PACKETS, &fates) > packets;
        // A CONNECT is settled when the broker has answered.
        has_ended.then_some(text)
    });
    let more = |name, labels: &[(&str, &str)]| {
        sum_in(&after, name, labels).wrapping_sub(sum_in(&before, name, labels))
    };
    if sent == Sent::Will && more(CHECKS, &connects) > 0 {
        return Err(UNASKED.to_owned());
    }
    if more(CHECKS, &all) != 1 {
        return Err(format!("{} outcomes instead of one", more(CHECKS, &all)));
    }
    let is_counted = reasons.iter().any(|reason| {
        let labels = [
            ("hook", hook),
            ("outcome", end.outcome()),
            ("failure_reason", *reason),
        ];
        more(CHECKS, &labels) == 1
    });
    if !is_counted {
        let changed: Vec<_> = after
            .lines()
            .filter(|line| line.starts_with(CHECKS) && !before.contains(*line))
            .collect();
        return Err(format!("counted as {changed:?}"));
    }
    Ok(got.unwrap_or_else(|| {
        let fate = |fate| more(PACKETS, &[("kind", hook), ("fate", fate)]) == 1;
        match (fate("dropped"), fate("forwarded")) {
            (true, false) => "dropped".to_owned(),
            (false, true) => "forwarded".to_owned(),
            _ => "neither dropped nor forwarded".to_owned(),
        }
    }))
}

/// `None`: the client gets nothing, and the connection is well.
fn send(client: &mut Client, sent: Sent) -> Option<String> {
    match sent {
        Sent::Connect => client.send(&Connect::new(unique("client"))),
        Sent::Will => {
            let will = Publish::new("chaos/will", "").qos(1);
            client.send(&Connect::new(unique("client")).will(will));
        }
        Sent::Publish(qos) => {
            client.publish(qos, "chaos", "");
        }
        Sent::Subscribe => {
            client.subscribe(&["chaos"]);
        }
    }
    if sent == Sent::Publish(0) {
        client.expect_nothing_before_pong();
        return None;
    }
    Some(heard(client))
}

/// What the client hears, and whether that was the end.
fn heard(client: &mut Client) -> String {
    let Some(packet) = client.try_next() else {
        return "end".to_owned();
    };
    let is_over = packet.kind() == Kind::Disconnect
        || (packet.kind() == Kind::Connack && packet.codes() != [0]);
    let said = told(&packet);
    if is_over {
        client.expect_closed();
        return format!("{said}, end");
    }
    client.expect_nothing_before_pong();
    said
}

fn told(packet: &Packet) -> String {
    let kind = format!("{:?}", packet.kind()).to_uppercase();
    let codes: Vec<_> = packet
        .codes()
        .iter()
        .map(|code| format!("{code:02x}"))
        .collect();
    format!("{kind} {}", codes.join(" "))
}
