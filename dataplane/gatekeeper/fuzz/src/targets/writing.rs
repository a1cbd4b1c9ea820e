//! All writers of packets, as one.

use bytes::{Bytes, BytesMut};
use gatekeeper::{
    Frame, Side, Version,
    frame::{self, Scan},
    wire::{connack, suback, subscribe::Outgoing, unsuback},
};

use crate::reading::Any;

/// All versions.
pub(crate) const VERSIONS: [Version; 3] = [Version::V31, Version::V311, Version::V5];

/// Writes what was read, where there is a writer that changes nothing.
pub(crate) fn written(found: &Any, version: Version) -> Option<Bytes> {
    match found {
        // MQTT 3.1 lets a flag announce what is not there; that is not written again.
        Any::Connect(connect) if connect.flags_agree => connect.encode(&connect.client_id).ok(),
        Any::Connack(connack) if version == Version::V5 && !connack.v3_shaped => {
            let properties = &connack.raw_properties;
            connack::encode_v5(connack.session_present, connack.code, properties).ok()
        }
        Any::Publish(publish) if publish.topic_alias.is_none() => {
            publish.encode_with_topic(&publish.topic).ok()
        }
        Any::Subscribe(subscribe) => {
            let as_sent = vec![Outgoing::AsSent; subscribe.filters.len()];
            subscribe.encode(&as_sent).ok().flatten()
        }
        Any::Unsubscribe(unsubscribe) => {
            let filters = unsubscribe.filters.iter().map(|filter| &**filter.full());
            unsubscribe.encode_with(filters).ok()
        }
        Any::Unsuback(found) if version == Version::V5 && !found.corrected => {
            unsuback::encode_v5(found.packet_id, &found.raw_properties, &found.codes).ok()
        }
        Any::Suback(found) if !found.corrected => suback::encode(
            version,
            found.packet_id,
            &found.raw_properties,
            &found.codes,
        )
        .ok(),
        _ => None,
    }
}

/// The one packet that these bytes are.
pub(crate) fn whole(from: Side, bytes: &[u8]) -> Frame {
    let mut buffer = BytesMut::from(bytes);
    match frame::scan(&mut buffer, from, usize::MAX) {
        Ok(Scan::Frame(frame)) if buffer.is_empty() => frame,
        other => panic!("{bytes:02x?} is not one packet: {other:?}, and {buffer:02x?}"),
    }
}
