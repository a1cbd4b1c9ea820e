use super::*;

type Mapping = fn(ReasonCode) -> ReasonCode;

fn all() -> impl Iterator<Item = ReasonCode> {
    (0..=u8::MAX).map(ReasonCode::new)
}

fn legal(place: Place, sender: Sender) -> Vec<u8> {
    all()
        .filter(|code| code.is_legal(place, sender))
        .map(ReasonCode::get)
        .collect()
}

#[test]
fn each_place_takes_the_codes_of_its_table() {
    const PUBLISH_ACK: &[u8] = &[0x00, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    let from_server: &[(Place, &[u8])] = &[
        (
            Place::Connack,
            &[
                0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90,
                0x95, 0x97, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9F,
            ],
        ),
        (
            Place::Puback,
            &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        ),
        (
            Place::Pubrec,
            &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99],
        ),
        (Place::Pubrel, &[0x00, 0x92]),
        (Place::Pubcomp, &[0x00, 0x92]),
        (
            Place::Suback,
            &[
                0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2,
            ],
        ),
        (Place::Unsuback, &[0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91]),
        (
            Place::Disconnect,
            &[
                0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94,
                0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
            ],
        ),
        (Place::Auth, &[0x00, 0x18]),
    ];
    let from_client: &[(Place, &[u8])] = &[
        (Place::Connack, &[]),
        (Place::Puback, PUBLISH_ACK),
        (Place::Pubrec, PUBLISH_ACK),
        (Place::Pubrel, &[0x00, 0x92]),
        (Place::Pubcomp, &[0x00, 0x92]),
        (Place::Suback, &[]),
        (Place::Unsuback, &[]),
        (
            Place::Disconnect,
            &[
                0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
            ],
        ),
        (Place::Auth, &[0x18, 0x19]),
    ];
    for (place, codes) in from_server {
        assert_eq!(
            legal(*place, Sender::Server),
            *codes,
            "{place:?} of a server"
        );
    }
    for (place, codes) in from_client {
        assert_eq!(
            legal(*place, Sender::Client),
            *codes,
            "{place:?} of a client"
        );
    }
}

#[test]
fn what_a_refusal_becomes_is_a_refusal_and_legal_where_it_goes() {
    let mappings: [(Mapping, &[Place]); 4] = [
        (ReasonCode::for_connack, &[Place::Connack]),
        (ReasonCode::for_publish_ack, &[Place::Puback, Place::Pubrec]),
        (ReasonCode::for_suback, &[Place::Suback]),
        (ReasonCode::for_disconnect, &[Place::Disconnect]),
    ];
    for (mapping, places) in mappings {
        for code in all() {
            let mapped = mapping(code);
            assert!(mapped.is_refusal(), "{code} became {mapped}");
            for place in places {
                assert!(
                    mapped.is_legal(*place, Sender::Server),
                    "{code} became {mapped}, illegal in {place:?}"
                );
            }
        }
    }
}

#[test]
fn a_refusal_that_is_legal_stays_what_it_is() {
    let mappings: [(Mapping, Place); 4] = [
        (ReasonCode::for_connack, Place::Connack),
        (ReasonCode::for_publish_ack, Place::Puback),
        (ReasonCode::for_suback, Place::Suback),
        (ReasonCode::for_disconnect, Place::Disconnect),
    ];
    for (mapping, place) in mappings {
        for code in all().filter(|code| code.is_refusal() && code.is_legal(place, Sender::Server)) {
            assert_eq!(mapping(code), code, "in {place:?}");
        }
    }
}

/// [3.1.1: MQTT-3.2.2-6]
#[test]
fn refusals_become_what_the_table_says() {
    // Code, CONNACK, its v3 form after a denial and after a failure, PUBACK, SUBACK, DISCONNECT.
    type Row = (u8, u8, Option<u8>, Option<u8>, u8, u8, u8);
    const ROWS: &[Row] = &[
        (0x80, 0x80, Some(5), Some(3), 0x80, 0x80, 0x80),
        (0x81, 0x81, None, None, 0x80, 0x80, 0x81),
        (0x82, 0x82, None, None, 0x80, 0x80, 0x82),
        (0x83, 0x83, Some(5), Some(3), 0x83, 0x83, 0x83),
        (0x84, 0x84, Some(1), Some(1), 0x80, 0x80, 0x80),
        (0x85, 0x85, Some(2), Some(2), 0x87, 0x87, 0x87),
        (0x86, 0x86, Some(4), Some(4), 0x87, 0x87, 0x87),
        (0x87, 0x87, Some(5), Some(5), 0x87, 0x87, 0x87),
        (0x88, 0x88, Some(3), Some(3), 0x80, 0x80, 0x89),
        (0x89, 0x89, Some(3), Some(3), 0x97, 0x97, 0x89),
        (0x8A, 0x8A, Some(5), Some(5), 0x87, 0x87, 0x87),
        (0x8B, 0x88, Some(3), Some(3), 0x80, 0x80, 0x8B),
        (0x8C, 0x8C, Some(5), Some(5), 0x87, 0x87, 0x87),
        (0x8D, 0x80, Some(5), Some(3), 0x80, 0x80, 0x8D),
        (0x8E, 0x80, Some(5), Some(3), 0x80, 0x80, 0x8E),
        (0x8F, 0x87, Some(5), Some(5), 0x90, 0x8F, 0x8F),
        (0x90, 0x90, Some(5), Some(5), 0x90, 0x8F, 0x90),
        (0x91, 0x80, Some(5), Some(3), 0x91, 0x91, 0x82),
        (0x92, 0x80, Some(5), Some(3), 0x80, 0x80, 0x82),
        (0x93, 0x80, Some(5), Some(3), 0x80, 0x80, 0x93),
        (0x94, 0x80, Some(5), Some(3), 0x80, 0x80, 0x94),
        (0x95, 0x95, Some(5), None, 0x97, 0x97, 0x95),
        (0x96, 0x97, Some(3), Some(3), 0x97, 0x97, 0x96),
        (0x97, 0x97, Some(3), Some(3), 0x97, 0x97, 0x97),
        (0x98, 0x87, Some(5), Some(5), 0x87, 0x87, 0x98),
        (0x99, 0x99, Some(5), Some(5), 0x99, 0x83, 0x99),
        (0x9A, 0x9A, Some(5), Some(5), 0x83, 0x83, 0x9A),
        (0x9B, 0x9B, Some(5), Some(5), 0x83, 0x83, 0x9B),
        (0x9C, 0x9C, Some(3), Some(3), 0x83, 0x83, 0x9C),
        (0x9D, 0x9D, Some(3), Some(3), 0x83, 0x83, 0x9D),
        (0x9E, 0x87, Some(5), Some(5), 0x87, 0x9E, 0x9E),
        (0x9F, 0x9F, Some(3), Some(3), 0x97, 0x97, 0x9F),
        (0xA0, 0x87, Some(5), Some(5), 0x87, 0x87, 0xA0),
        (0xA1, 0x87, Some(5), Some(5), 0x87, 0xA1, 0xA1),
        (0xA2, 0x87, Some(5), Some(5), 0x87, 0xA2, 0xA2),
    ];
    for &(code, connack, denial, failure, puback, suback, disconnect) in ROWS {
        let code = ReasonCode::new(code);
        assert_eq!(code.for_connack().get(), connack, "{code} in CONNACK");
        assert_eq!(code.for_connack_v3(Origin::Denial), denial, "{code} denied");
        assert_eq!(
            code.for_connack_v3(Origin::Failure),
            failure,
            "{code} failed"
        );
        assert_eq!(code.for_publish_ack().get(), puback, "{code} in PUBACK");
        assert_eq!(code.for_suback().get(), suback, "{code} in SUBACK");
        assert_eq!(
            code.for_disconnect().get(),
            disconnect,
            "{code} in DISCONNECT"
        );
    }
    let named = all().filter(|code| code.is_refusal() && code.name() != "Unknown");
    assert_eq!(named.count(), ROWS.len());
}

#[test]
fn what_is_no_refusal_is_refused_as_not_authorized() {
    for code in all().filter(|code| !code.is_refusal() || code.get() > 0xA2) {
        assert_eq!(code.for_connack(), ReasonCode::NOT_AUTHORIZED);
        assert_eq!(code.for_publish_ack(), ReasonCode::NOT_AUTHORIZED);
        assert_eq!(code.for_suback(), ReasonCode::NOT_AUTHORIZED);
        assert_eq!(code.for_disconnect(), ReasonCode::NOT_AUTHORIZED);
        assert_eq!(code.for_connack_v3(Origin::Denial), Some(5));
        assert_eq!(code.for_connack_v3(Origin::Failure), Some(3));
    }
}

#[test]
fn a_v3_connack_never_tells_of_a_success() {
    for code in all() {
        for origin in [Origin::Denial, Origin::Failure] {
            let mapped = code.for_connack_v3(origin);
            assert!(mapped.is_none_or(|code| (1..=5).contains(&code)), "{code}");
        }
    }
}

#[test]
fn a_v3_connack_is_understood() {
    let table = [0x00, 0x84, 0x85, 0x88, 0x86, 0x87, 0x80];
    for (return_code, meaning) in (0..).zip(table) {
        let code = ReasonCode::from_connack_v3(return_code);
        assert_eq!(code.get(), meaning);
        assert!(code.is_legal(Place::Connack, Sender::Server));
    }
}

#[test]
fn a_code_shows_its_number_and_name() {
    assert_eq!(
        ReasonCode::NOT_AUTHORIZED.to_string(),
        "0x87 Not authorized"
    );
    assert_eq!(ReasonCode::new(3).to_string(), "0x03 Unknown");
}
