//! The disagreements that are known: what `mqttbytes` 0.6 gets wrong.

use super::gate::{
    Frame, Version,
    frame::PacketType,
    reason::{Place, Sender},
    wire::publish::Publish,
};

use super::reading::Any;

/// Right packets that it does not read.
pub(super) fn is_refused(ours: &Any, version: Version, bytes: &[u8]) -> bool {
    let v5 = version == Version::V5;
    match ours {
        _ if is_corrected(ours) => true,
        // It has no AUTH.
        Any::Auth(_) => true,
        // It takes passwords for strings.
        Any::Connect(connect) => connect
            .password
            .as_ref()
            .is_some_and(|password| std::str::from_utf8(password.expose()).is_err()),
        // It does not know the return codes of 3.1.1 on 5.0, and wants properties.
        Any::Connack(connack) => v5 && connack.v3_shaped,
        // It knows neither the short forms nor code 0x8C, nor codes that are none: a broker's goes to
        // the client as another one.
        Any::Disconnect(ours) => {
            let is_code = ours.code.is_legal(Place::Disconnect, Sender::Server)
                || ours.code.is_legal(Place::Disconnect, Sender::Client);
            v5 && (bytes.len() < 4 || bytes[2] == 0x8C || !is_code)
        }
        // It loses count with more than two Subscription Identifiers.
        Any::Publish(publish) => identifiers(publish) > 2,
        _ => false,
    }
}

/// Packets of which it reads something else.
pub(super) fn is_misread(ours: &Any, version: Version) -> bool {
    let v5 = version == Version::V5;
    match ours {
        _ if is_corrected(ours) => true,
        // The rest of the identifiers ends up in the payload.
        Any::Publish(publish) => v5 && identifiers(publish) > 2,
        _ => false,
    }
}

/// A code that does not belong into the packet is another one here, where it is clear what it means.
fn is_corrected(ours: &Any) -> bool {
    match ours {
        Any::Ack(ack) => ack.corrected,
        Any::Suback(suback) => suback.corrected,
        Any::Unsuback(unsuback) => unsuback.corrected,
        _ => false,
    }
}

/// Packets that are wrong behind the place where it has stopped to look: with more than two
/// Subscription Identifiers it loses count, and takes the rest of the properties for the payload.
pub(super) fn is_miscounted(frame: &Frame, version: Version) -> bool {
    let kind = frame.kind() == PacketType::Publish;
    kind && version == Version::V5 && most_identifiers(&frame.body()) > 2
}

/// An upper bound for the number of Subscription Identifiers.
fn identifiers(publish: &Publish) -> usize {
    most_identifiers(publish.raw_properties.as_bytes())
}

fn most_identifiers(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte == 0x0B).count()
}

/// Packets that it reads though this statement forbids them. A new statement belongs here only after
/// somebody has seen that it is `mqttbytes` that is wrong.
pub(super) fn is_lax(clause: &str) -> bool {
    LAX.iter().any(|(_, clauses)| clauses.contains(&clause))
}

const LAX: &[(&str, &[&str])] = &[
    ("lengths in more bytes than needed", &["MQTT-1.5.5-1"]),
    (
        "bytes behind the last field, and fields that reach beyond their section",
        &["MQTT-4.13.1-1"],
    ),
    (
        "U+0000, control characters and non-characters",
        &["MQTT-1.5.4-2", "§1.5.4"],
    ),
    (
        "topic names and filters are any string",
        &[
            "MQTT-4.7.1-1",
            "MQTT-4.7.1-2",
            "MQTT-4.7.3-1",
            "MQTT-4.8.2-1",
            "MQTT-3.3.2-2",
            "MQTT-3.3.2-14",
            "§3.3.2.1",
            "§4.7.1.1",
        ],
    ),
    (
        "a packet identifier of 0 in SUBSCRIBE, SUBACK and their kin",
        &["MQTT-2.2.1-3"],
    ),
    (
        "packets about no filter",
        &["MQTT-3.8.3-2", "MQTT-3.10.3-2"],
    ),
    (
        "more filters than this gate takes; nothing is wrong with them",
        &["§3.8.3", "§3.10.3"],
    ),
    (
        "subscription options: reserved bits, No Local on a shared subscription",
        &["3.1.1: MQTT-3.8.3-4", "MQTT-3.8.3-5", "MQTT-3.8.3-4"],
    ),
    (
        "flags of CONNECT, and of CONNACK",
        &[
            "MQTT-3.1.2-3",
            "3.1.1: MQTT-3.1.2-22",
            "MQTT-3.1.2-11, MQTT-3.1.2-13",
            "MQTT-3.2.2-1",
            "MQTT-3.2.2-6",
            "3.1.1: MQTT-3.2.2-6",
        ],
    ),
    (
        "DUP where only MQTT 3.1 has it, on PUBREL, SUBSCRIBE and UNSUBSCRIBE",
        &["MQTT-2.1.3-1"],
    ),
    ("properties: twice, the last one counts", &["§2.2.2.2"]),
    (
        "properties: values that mean nothing",
        &[
            "MQTT-3.3.2-8",
            "§3.1.2.11.3",
            "§3.1.2.11.4",
            "§3.1.2.11.6",
            "§3.1.2.11.7",
            "§3.1.2.11.10",
            "MQTT-3.2.2-16",
            "§3.2.2.3.4",
            "§3.2.2.3.5",
            "§3.2.2.3.11",
            "§3.2.2.3.12",
            "§3.2.2.3.13",
            "§3.3.2.3.2",
            "§3.8.2.1.2",
        ],
    ),
    (
        "it does not ask who the sender is",
        &[
            "3.1.1: §3.14",
            "MQTT-3.3.4-6",
            "MQTT-3.4.2-1",
            "MQTT-3.5.2-1",
            "MQTT-3.14.2-1",
            "MQTT-3.14.2-2",
            "§3.14.2.2.5",
        ],
    ),
];
