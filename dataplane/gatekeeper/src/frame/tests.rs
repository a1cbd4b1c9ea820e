use super::*;
use crate::wire::tests::support::{frame, packet, try_frame};

const SIDES: [Side; 2] = [Side::Client, Side::Broker];

fn scan_all(bytes: &[u8], max: usize) -> Result<Scan, Violation> {
    scan(&mut BytesMut::from(bytes), Side::Client, max)
}

fn code(result: Result<impl Sized, Violation>) -> Option<u8> {
    result.err().map(|violation| violation.code.get())
}

/// What the standard says about the first byte (§2.1.2, §2.1.3, §3.3.1): 0 if it is legal.
fn judgement(first: u8, from: Side) -> u8 {
    let (kind, flags) = (first >> 4, first & 0x0F);
    let (both, client, broker) = ([3, 4, 5, 6, 7, 14, 15], [1, 8, 10, 12], [2, 9, 11, 13]);
    let allowed = match from {
        Side::Client => [both.as_slice(), &client].concat(),
        Side::Broker => [both.as_slice(), &broker].concat(),
    };
    let flags_are_legal = match kind {
        3 => ![0b0110, 0b0111, 0b1110, 0b1111, 0b1000, 0b1001].contains(&flags),
        // With DUP on MQTT 3.1: which version it is, the scanner does not know.
        6 | 8 | 10 => [0b0010, 0b1010].contains(&flags),
        _ => flags == 0,
    };
    match (kind, allowed.contains(&kind), flags_are_legal) {
        (0, ..) => 0x81,
        (_, false, _) => 0x82,
        (_, true, false) => 0x81,
        (_, true, true) => 0,
    }
}

/// [MQTT-3.14.1-1] [MQTT-3.15.1-1] [3.1.1: MQTT-2.2.2-1] [3.1.1: MQTT-2.2.2-2]
#[test]
fn every_first_byte_is_judged_by_type_flags_and_sender() {
    for from in SIDES {
        for first in 0..=u8::MAX {
            let expected = Some(judgement(first, from)).filter(|&code| code != 0);
            let whole = try_frame(from, &[first, 0]);
            assert_eq!(code(whole), expected, "{first:#04x} from {from:?}");
            // Already before the length has arrived.
            let begun = scan(&mut BytesMut::from([first].as_slice()), from, usize::MAX);
            assert_eq!(code(begun), expected, "{first:#04x} from {from:?}, alone");
        }
    }
}

#[test]
fn kind_flags_and_body_are_those_of_the_packet() {
    let frame = frame(Side::Client, &[0x3D, 4, 0, 1, b'a', b'!']);
    assert_eq!(frame.kind(), PacketType::Publish);
    assert_eq!(frame.flags(), 0x0D);
    assert_eq!(frame.from(), Side::Client);
    assert_eq!(frame.body().as_ref(), [0, 1, b'a', b'!']);
    assert_eq!(frame.len(), 6);
    assert!(frame.is_minimal());
}

#[test]
fn a_packet_of_any_length_is_cut_out_whole() {
    for len in [
        0, 1, 127, 128, 16_383, 16_384, 65_535, 65_536, 2_097_151, 2_097_152,
    ] {
        let bytes = packet(0x30, &vec![7; len]);
        let mut buffer = BytesMut::from([bytes.as_slice(), &[0xC0, 0]].concat().as_slice());
        let Scan::Frame(frame) = scan(&mut buffer, Side::Client, bytes.len()).unwrap() else {
            panic!("a packet with a body of {len} bytes is incomplete");
        };
        assert_eq!(frame.body().len(), len);
        assert_eq!(frame.into_canonical(), bytes);
        assert_eq!(buffer.as_ref(), [0xC0, 0]);
    }
}

#[test]
fn the_beginning_of_a_packet_stays_in_the_buffer() {
    let bytes = packet(0x30, &[7; 200]);
    for cut in 0..bytes.len() {
        let mut buffer = BytesMut::from(&bytes[..cut]);
        let needed = match cut {
            // The first byte may be enough to refuse it, and so each of the length.
            0..3 => cut + 1,
            _ => bytes.len(),
        };
        let found = scan(&mut buffer, Side::Client, usize::MAX).unwrap();
        assert_eq!(found, Scan::Incomplete { needed }, "after {cut} bytes");
        assert_eq!(buffer, &bytes[..cut]);
    }
}

#[test]
fn an_announced_size_is_not_reserved() {
    let mut buffer = BytesMut::from([0x30, 0xFF, 0xFF, 0xFF, 0x7F].as_slice());
    let capacity = buffer.capacity();
    let found = scan(&mut buffer, Side::Client, usize::MAX).unwrap();
    assert_eq!(
        found,
        Scan::Incomplete {
            needed: 5 + 268_435_455
        }
    );
    assert_eq!(buffer.capacity(), capacity);
}

#[test]
fn the_maximum_packet_size_counts_the_header() {
    let bytes = packet(0x30, &[7; 200]);
    assert!(matches!(scan_all(&bytes, bytes.len()), Ok(Scan::Frame(_))));
    // Before the body has arrived.
    let header = &bytes[..3];
    assert_eq!(code(scan_all(header, bytes.len() - 1)), Some(0x95));
    assert_eq!(
        scan_all(header, bytes.len()),
        Ok(Scan::Incomplete {
            needed: bytes.len()
        })
    );
}

#[test]
fn a_fifth_byte_of_length_is_not_waited_for() {
    let announced = [0x30, 0x80, 0x80, 0x80, 0x80];
    assert_eq!(
        scan_all(&announced[..4], usize::MAX),
        Ok(Scan::Incomplete { needed: 5 })
    );
    assert_eq!(code(scan_all(&announced, usize::MAX)), Some(0x81));
}

#[test]
fn a_ping_with_a_body_is_refused_on_its_header() {
    for (first, from) in [(0xC0, Side::Client), (0xD0, Side::Broker)] {
        let mut buffer = BytesMut::from([first, 2].as_slice());
        assert_eq!(code(scan(&mut buffer, from, usize::MAX)), Some(0x81));
        assert!(try_frame(from, &[first, 0]).is_ok());
    }
}

#[test]
fn a_violation_is_found_again() {
    let mut buffer = BytesMut::from([0xC1, 0, 0xC0, 0].as_slice());
    let first = scan(&mut buffer, Side::Client, usize::MAX);
    assert_eq!(code(first.clone()), Some(0x81));
    assert_eq!(scan(&mut buffer, Side::Client, usize::MAX), first);
    assert_eq!(buffer.len(), 4);
}

#[test]
fn a_length_in_more_bytes_than_needed_is_known_and_put_right() {
    let canonical = [0x40, 2, 0, 1];
    for length in [&[0x82, 0][..], &[0x82, 0x80, 0], &[0x82, 0x80, 0x80, 0]] {
        let bytes = [&[0x40], length, &[0, 1]].concat();
        let frame = frame(Side::Client, &bytes);
        assert!(!frame.is_minimal());
        assert_eq!(frame.body().as_ref(), [0, 1]);
        assert_eq!(frame.bytes().as_ref(), bytes);
        assert_eq!(frame.check_minimal(Version::V311), Ok(()));
        assert_eq!(code(frame.check_minimal(Version::V5)), Some(0x81));
        assert_eq!(frame.into_canonical().as_ref(), canonical);
    }
    let empty = frame(Side::Client, &[0xC0, 0x80, 0]);
    assert!(!empty.is_minimal());
    assert_eq!(empty.into_canonical().as_ref(), [0xC0, 0]);
}

/// DUP on SUBSCRIBE, UNSUBSCRIBE and PUBREL is a word of MQTT 3.1, and stays at the gate.
#[test]
fn a_stray_dup_is_known_and_put_right() {
    for first in [0x6A, 0x8A, 0xAA] {
        for length in [&[2][..], &[0x82, 0]] {
            let bytes = [&[first], length, &[0, 1]].concat();
            let frame = frame(Side::Client, &bytes);
            assert_eq!(frame.check_dup(Version::V31), Ok(()));
            assert_eq!(code(frame.check_dup(Version::V311)), Some(0x81));
            assert_eq!(code(frame.check_dup(Version::V5)), Some(0x81));
            let canonical = [first & 0xF7, 2, 0, 1];
            assert_eq!(frame.into_canonical().as_ref(), canonical);
        }
    }
    let publish = [0x3A, 5, 0, 1, b'a', 0, 1];
    let frame = frame(Side::Client, &publish);
    assert_eq!(frame.check_dup(Version::V5), Ok(()));
    assert_eq!(frame.into_canonical().as_ref(), publish);
}

#[test]
fn a_frame_does_not_show_its_bytes() {
    let shown = format!("{:?}", frame(Side::Client, &packet(0x30, b"\0\x06secret")));
    assert!(!shown.contains("secret"), "{shown}");
}

#[test]
fn sides_have_the_roles_of_the_standard() {
    assert_eq!(Side::Client.sender(), Sender::Client);
    assert_eq!(Side::Broker.sender(), Sender::Server);
}

#[test]
fn a_packet_that_was_cut_before_is_a_frame_again() {
    let bytes = packet(0x32, b"\0\x01a\0\x07payload");
    let cut = frame(Side::Client, &bytes);
    assert_eq!(
        Frame::of_packet(bytes.clone().into(), Side::Client),
        Ok(cut)
    );
    let refused = |bytes: &[u8]| {
        let bytes = Bytes::copy_from_slice(bytes);
        Frame::of_packet(bytes, Side::Client).is_err()
    };
    assert!(refused(&[]) && refused(&[0x30]) && refused(&[0x30, 0x80]));
    assert!(refused(&bytes[..bytes.len() - 1]));
    assert!(refused(&[bytes.as_slice(), b"x"].concat()));
    // What only a server sends, and reserved flags.
    assert!(refused(&[0xD0, 0]) && refused(&[0x36, 2, 0, 0]));
}
