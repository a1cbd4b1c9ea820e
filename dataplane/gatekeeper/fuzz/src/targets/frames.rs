//! Any bytes, in any pieces, through the scanner, and every packet that comes out of it through the
//! readers.
//!
//! ```text
//! input   side (bit 0), limit, size of odd and of even pieces, then the stream
//! ```

mod changed;

use bytes::BytesMut;
use gatekeeper::{
    Frame, Side, Version, Violation,
    frame::{self, PacketType, Scan},
};

use super::writing::{self, VERSIONS};
use crate::packet;
use crate::reading::{self, Any};

/// A fixed header is no longer than this.
const LONGEST_HEADER: usize = 5;

pub(crate) fn run(data: &[u8]) {
    let Some((&[side, limit, odd, even], stream)) = data.split_first_chunk() else {
        return;
    };
    let side = [Side::Client, Side::Broker][usize::from(side & 1)];
    let limit = match limit {
        0 => usize::MAX,
        1..128 => usize::from(limit),
        128.. => usize::from(limit - 127) << 6,
    };
    let cut = cut(stream, side, limit, [usize::MAX; 2]);
    check_cut(stream, limit, &cut);
    let sizes = [usize::from(odd) + 1, usize::from(even) + 1];
    let again = self::cut(stream, side, limit, sizes);
    assert_eq!(again, cut, "in pieces of {sizes:?}");
    for frame in &cut.frames {
        VERSIONS.iter().for_each(|version| check(frame, *version));
    }
}

/// What became of a stream.
#[derive(Debug, PartialEq)]
struct Cut {
    frames: Vec<Frame>,
    end: End,
    /// Bytes that were not taken.
    rest: usize,
}

#[derive(Debug, PartialEq)]
enum End {
    /// More bytes are needed, so many in the buffer.
    Waits(usize),
    Violation(Violation),
}

/// Cuts a stream that comes in pieces, in the way of the driver: it does not ask again before there
/// are as many bytes as the scanner said. At the end it asks all the same, because of two bytes that
/// were waited for the first may be wrong already.
fn cut(stream: &[u8], from: Side, limit: usize, sizes: [usize; 2]) -> Cut {
    let (mut rest, mut input, mut needed) = (stream, BytesMut::new(), 0);
    let mut frames = Vec::new();
    let mut sizes = sizes.into_iter().cycle();
    loop {
        if rest.is_empty() {
            needed = 0;
        }
        while input.len() >= needed {
            match take(&mut input, from, limit) {
                Ok(Scan::Frame(frame)) => {
                    frames.push(frame);
                    needed = 0;
                }
                Ok(Scan::Incomplete { needed: more }) => needed = more,
                Err(violation) => {
                    return Cut {
                        frames,
                        end: End::Violation(violation),
                        rest: input.len() + rest.len(),
                    };
                }
            }
        }
        if rest.is_empty() {
            return Cut {
                frames,
                end: End::Waits(needed),
                rest: input.len(),
            };
        }
        let size = sizes.next().unwrap_or(1).min(rest.len());
        let (piece, behind) = rest.split_at(size);
        input.extend_from_slice(piece);
        rest = behind;
    }
}

/// One scan, and what it does to the buffer.
fn take(input: &mut BytesMut, from: Side, limit: usize) -> Result<Scan, Violation> {
    let before = input.clone();
    let found = frame::scan(input, from, limit);
    match &found {
        Ok(Scan::Frame(frame)) => {
            assert_eq!([frame.bytes(), &**input].concat(), before, "{frame:?}");
        }
        Ok(Scan::Incomplete { needed }) => {
            assert_eq!(*input, before, "bytes are taken of half a packet");
            assert!(*needed > before.len(), "{needed} bytes are there");
            assert!(*needed <= limit.max(LONGEST_HEADER), "{needed} of {limit}");
        }
        Err(violation) => {
            assert_eq!(*input, before, "bytes are taken of a violation");
            let again = frame::scan(input, from, limit);
            assert_eq!(again, Err(*violation), "a way on behind a violation");
        }
    }
    found
}

/// The packets are the stream, byte by byte.
fn check_cut(stream: &[u8], limit: usize, cut: &Cut) {
    let mut stream = stream;
    for frame in &cut.frames {
        let (bytes, behind) = stream.split_at(frame.len());
        assert_eq!(frame.bytes(), bytes);
        assert!(frame.len() <= limit, "{frame:?} beyond {limit}");
        assert_eq!(bytes[0], (frame.kind() as u8) << 4 | frame.flags());
        assert!(bytes.ends_with(&frame.body()));
        let header = bytes.len() - frame.body().len();
        assert!((2..=LONGEST_HEADER).contains(&header), "{frame:?}");
        stream = behind;
    }
    assert_eq!(stream.len(), cut.rest);
}

/// What a reader accepts it accepts again, as the same, in the form that goes on to the broker; and
/// what can be written is written as it was.
fn check(frame: &Frame, version: Version) {
    let canonical = frame.clone().into_canonical();
    let again = writing::whole(frame.from(), &canonical);
    assert!(again.is_minimal());
    assert_eq!(again.kind(), frame.kind());
    assert_eq!(again.body(), frame.body());
    assert_eq!(again.clone().into_canonical(), canonical);

    let Ok(found) = reading::read(frame, version) else {
        return;
    };
    assert!(version != Version::V5 || frame.is_minimal());
    let has_dup = frame.kind() != PacketType::Publish && frame.flags() & 0b1000 != 0;
    assert!(!has_dup || version == Version::V31, "{found:?} with DUP");
    match reading::read(&again, version) {
        Ok(same) => assert_eq!(same, found, "in its canonical form"),
        Err(refusal) => panic!("{found:?} is refused in its canonical form: {refusal:?}"),
    }
    if let Some(written) = writing::written(&found, version) {
        assert_eq!(written, canonical, "{found:?} is written as another packet");
    }
    // The reader of the tests knows less, so it has to accept more, of all that it reads at all.
    let unread = matches!(&found, Any::Auth(_))
        || matches!(&found, Any::Connack(connack) if connack.v3_shaped);
    if version != Version::V31 && !unread {
        let known = packet::read(version, &canonical);
        assert!(known.is_some(), "{found:?} is no packet of {version:?}");
    }
    changed::check(&again, &found, version);
}
