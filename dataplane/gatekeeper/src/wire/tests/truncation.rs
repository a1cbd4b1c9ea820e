//! Packets that end too early, or too late.

use bytes::BytesMut;

use super::samples::samples;
use super::support::{Any, frame, packet, read_any};
use crate::frame::{Scan, scan};

#[test]
fn a_packet_that_has_not_arrived_is_waited_for() {
    for sample in samples() {
        let bytes = sample.bytes();
        for cut in 0..bytes.len() {
            let mut buffer = BytesMut::from(&bytes[..cut]);
            let found = scan(&mut buffer, sample.from, usize::MAX).unwrap();
            let Scan::Incomplete { needed } = found else {
                panic!("{} at {cut} is {found:?}", sample.name);
            };
            assert!(
                cut < needed && needed <= bytes.len(),
                "{} at {cut}",
                sample.name
            );
            assert_eq!(buffer, &bytes[..cut]);
        }
    }
}

#[test]
fn a_body_that_was_cut_is_refused_or_is_a_shorter_packet() {
    for sample in samples() {
        for cut in 0..sample.body.len() {
            let bytes = packet(sample.first, &sample.body[..cut]);
            let found = read_any(&frame(sample.from, &bytes), sample.version);
            let expected = sample.cuts.contains(&cut);
            assert_eq!(
                found.is_some(),
                expected,
                "{} {:?} cut to {cut} is {found:?}",
                sample.name,
                sample.version
            );
        }
    }
}

#[test]
fn a_byte_more_is_refused_or_part_of_the_payload() {
    for sample in samples()
        .into_iter()
        .filter(|sample| !sample.body.is_empty())
    {
        for extra in [0x00, 0x26, 0xC0, 0xFF] {
            let body = [sample.body.as_slice(), &[extra]].concat();
            let bytes = packet(sample.first, &body);
            match read_any(&frame(sample.from, &bytes), sample.version) {
                None => {}
                Some(Any::Publish(publish)) => {
                    assert_eq!(
                        publish.payload.as_ref(),
                        [b"payload", &[extra][..]].concat()
                    );
                }
                // One more code: a success, or a refusal in whatever words.
                Some(Any::Suback(suback)) => assert!(suback.codes.len() == 3 && extra != 0x26),
                Some(Any::Unsuback(unsuback)) => {
                    assert!(unsuback.codes.len() == 3 && extra != 0x26);
                }
                Some(found) => panic!("{} is {found:?}", sample.name),
            }
        }
    }
}

#[test]
fn a_length_that_is_not_minimal_is_refused_on_v5_only() {
    for sample in samples()
        .into_iter()
        .filter(|sample| sample.body.len() < 128)
    {
        let length = [sample.first, sample.body.len() as u8 | 0x80, 0];
        let bytes = [&length, sample.body.as_slice()].concat();
        let frame = frame(sample.from, &bytes);
        let found = read_any(&frame, sample.version);
        let accepted = sample.version == crate::question::Version::V311;
        assert_eq!(
            found.is_some(),
            accepted,
            "{} {:?}",
            sample.name,
            sample.version
        );
        assert_eq!(frame.into_canonical().as_ref(), sample.bytes());
    }
}
