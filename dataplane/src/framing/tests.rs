use std::{future::poll_fn, time::Duration};

use tokio::{
    io::{AsyncWriteExt, DuplexStream},
    time::advance,
};

use super::*;

#[test]
fn output_is_taken_across_packets() {
    let (large, huge) = (vec![b'x'; SMALL + 1], vec![b'y'; 2 * SMALL]);
    let parts: [&[u8]; 7] = [b"ab", b"cde", &large, &huge, b"", b"f", b"gh"];
    let all = parts.concat();
    for step in [1, 3, 100, SMALL, all.len()] {
        let mut output = Output::default();
        for part in parts {
            output.push(Bytes::copy_from_slice(part));
        }
        let mut slices = [IoSlice::new(&[]); 8];
        assert_eq!(output.chunks_vectored(&mut slices), 4, "small ones are one");
        let mut taken = Vec::new();
        while output.has_remaining() {
            assert_eq!(output.remaining(), all.len() - taken.len());
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = output.chunks_vectored(&mut slices);
            let slices = slices[..filled].iter().flat_map(|slice| slice.iter());
            let mut next: Vec<u8> = slices.copied().collect();
            assert_eq!(next.len(), output.remaining());
            assert!(next.starts_with(output.chunk()) && !output.chunk().is_empty());
            next.truncate(step);
            output.advance(next.len());
            taken.extend(next);
        }
        assert_eq!(taken, all);
        assert_eq!(output.chunk(), b"");
    }
}

#[tokio::test]
async fn an_idle_leg_keeps_no_buffers() {
    let (mut peer, mut leg) = leg_with(&[0xC0, 0]).await;
    assert!(leg.next_frame(LIMITS.0).unwrap().is_some());
    for _ in 0..100 {
        leg.push(Bytes::from_static(&[0xD0, 0]));
    }
    let writing = poll_fn(|cx| {
        let _ = leg.poll_write(cx);
        assert!(leg.poll_read(cx).is_pending());
        match leg.output.has_remaining() {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    });
    let reading = async {
        let mut written = [0; 200];
        tokio::io::AsyncReadExt::read_exact(&mut peer, &mut written)
            .await
            .unwrap();
    };
    tokio::join!(writing, reading);
    leg.rest();
    assert_eq!(leg.input.capacity() + leg.output.tail.capacity(), 0);
}

/// A PUBLISH that announces 1 MiB and brings three bytes.
const GIANT: &[u8] = &[0x30, 0x80, 0x80, 0x40, 0, 1, b'a'];

/// Limits below and above what the giant announces.
const LIMITS: (usize, usize) = (1024 * 1024, 2 * 1024 * 1024);

async fn leg_with(bytes: &[u8]) -> (DuplexStream, Leg<DuplexStream>) {
    let (mut peer, stream) = tokio::io::duplex(64);
    let mut leg = Leg::new(Side::Client, stream);
    peer.write_all(bytes).await.unwrap();
    read(&mut leg).await;
    (peer, leg)
}

async fn read(leg: &mut Leg<DuplexStream>) {
    poll_fn(|cx| leg.poll_read(cx)).await.unwrap();
}

#[tokio::test]
async fn announced_giants_cost_what_they_bring() {
    let mut legs = Vec::new();
    for _ in 0..1000 {
        let (peer, mut leg) = leg_with(GIANT).await;
        assert_eq!(leg.next_frame(LIMITS.1), Ok(None));
        legs.push((peer, leg));
    }
    let held: usize = legs.iter().map(|(_, leg)| leg.input.capacity()).sum();
    assert!(held <= legs.len() * 2 * READ_SIZE, "{held} bytes");
}

#[tokio::test]
async fn a_packet_above_the_limit_is_refused_by_its_header() {
    let (_peer, mut leg) = leg_with(&GIANT[..4]).await;
    assert!(leg.next_frame(LIMITS.0).is_err());
}

#[tokio::test]
async fn a_first_byte_that_nobody_may_send_is_refused_alone() {
    for first in [0x00, 0x60, 0xD0, 0xF1] {
        let (mut peer, mut leg) = leg_with(&[0xC0, 0]).await;
        assert!(leg.next_frame(LIMITS.0).unwrap().is_some());
        assert_eq!(leg.next_frame(LIMITS.0), Ok(None), "nothing is there yet");
        peer.write_all(&[first]).await.unwrap();
        read(&mut leg).await;
        assert!(leg.next_frame(LIMITS.0).is_err(), "{first:#04x}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_packet_is_unfinished_from_its_first_byte_to_its_last() {
    let (mut peer, mut leg) = leg_with(&[0x30]).await;
    assert_eq!(leg.unfinished(), None, "nobody has asked for it");
    let begun_at = Instant::now();
    assert_eq!(leg.next_frame(1024), Ok(None));
    assert_eq!(leg.unfinished(), Some((begun_at, 2)));
    advance(Duration::from_secs(1)).await;
    peer.write_all(&[5, 0]).await.unwrap();
    read(&mut leg).await;
    assert_eq!(leg.next_frame(1024), Ok(None));
    assert_eq!(leg.unfinished(), Some((begun_at, 7)));
    peer.write_all(b"\x01a:)\x30").await.unwrap();
    read(&mut leg).await;
    assert_eq!(leg.unfinished(), None, "it is whole, though nobody took it");
    assert!(leg.next_frame(1024).unwrap().is_some());
    assert_eq!(leg.unfinished(), None, "nobody has asked for the next");
    assert_eq!(leg.next_frame(1024), Ok(None));
    assert_eq!(leg.unfinished(), Some((Instant::now(), 2)));
    drop(peer);
    read(&mut leg).await;
    assert_eq!(leg.unfinished(), None, "nothing more will come");
}

/// Takes everything, and keeps it to itself: TLS before a socket that is full.
#[derive(Default)]
struct Hoard {
    is_passing: bool,
}

impl AsyncRead for Hoard {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

impl AsyncWrite for Hoard {
    fn poll_write(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.is_passing {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn what_waits_inside_the_stream_is_not_written() {
    let mut leg = Leg::new(Side::Broker, Hoard::default());
    leg.push(Bytes::from_static(&[0xC0, 0]));
    let mut cx = Context::from_waker(std::task::Waker::noop());
    assert!(leg.poll_write(&mut cx).is_ready(), "it begins to stall");
    let since = leg.stalled_since().unwrap();
    advance(Duration::from_secs(1)).await;
    assert!(leg.poll_write(&mut cx).is_pending());
    assert_eq!(leg.stalled_since(), Some(since));
    leg.push(Bytes::from_static(&[0xC0, 0]));
    assert!(leg.poll_write(&mut cx).is_pending());
    assert_eq!(
        leg.stalled_since(),
        Some(since),
        "the peer has seen none of it"
    );
    leg.stream.is_passing = true;
    assert!(leg.poll_write(&mut cx).is_pending());
    assert_eq!(leg.stalled_since(), None);
}
