//! All addresses of a name, one after the other and soon side by side: happy eyeballs (RFC 8305).

use std::{io, net::SocketAddr, pin::pin, time::Duration};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::{
    net::TcpStream,
    select,
    time::{Instant, sleep},
};

use super::resolver::Resolver;

/// The wait for one address before the next is tried beside it ("Connection Attempt Delay").
const STAGGER: Duration = Duration::from_millis(250);

/// Connects to whichever of the addresses answers first. To be bounded in time by the caller.
///
/// # Errors
///
/// No address could be connected to: the first failure is told.
pub(super) async fn connect(
    addresses: Vec<SocketAddr>,
    resolver: &Resolver,
) -> io::Result<TcpStream> {
    if let [only] = addresses[..] {
        return attempt(only).await;
    }
    let addresses = resolver.in_turn(interleaved(addresses));
    let first = addresses.first().copied();
    let (stream, winner) = race(addresses, |address| async move {
        attempt(address).await.map(|stream| (stream, address))
    })
    .await?;
    if first != Some(winner) {
        resolver.prefer(winner);
    }
    Ok(stream)
}

async fn attempt(address: SocketAddr) -> io::Result<TcpStream> {
    TcpStream::connect(address).await.map_err(|error| {
        io::Error::new(
            error.kind(),
            format!("cannot connect to {address}: {error}"),
        )
    })
}

/// Both families by turns, each in the order of the look-up, the first one first.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (first, second): (Vec<_>, Vec<_>) = addresses
        .into_iter()
        .partition(|address| address.is_ipv6() == first_is_v6);
    let (mut first, mut second) = (first.into_iter(), second.into_iter());
    std::iter::from_fn(|| {
        std::mem::swap(&mut first, &mut second);
        second.next().or_else(|| first.next())
    })
    .collect()
}

/// Tries the addresses in their order, the next one as soon as an attempt fails or takes long, and
/// keeps what comes first. The other attempts are given up.
async fn race<S, F>(
    addresses: Vec<SocketAddr>,
    mut attempt: impl FnMut(SocketAddr) -> F,
) -> io::Result<S>
where
    F: Future<Output = io::Result<S>>,
{
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut first_failure = None;
    let mut stagger = pin!(sleep(Duration::ZERO));
    loop {
        select! {
            biased;
            Some(outcome) = attempts.next() => match outcome {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    first_failure.get_or_insert(error);
                    stagger.as_mut().reset(Instant::now());
                }
            },
            () = &mut stagger, if waiting.len() > 0 => {
                attempts.extend(waiting.next().map(&mut attempt));
                stagger.as_mut().reset(Instant::now() + STAGGER);
            }
            else => {
                let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no addresses");
                return Err(first_failure.unwrap_or_else(nothing));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, future::pending};

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    const BOTH: [&str; 4] = ["[::1]:1", "[::2]:1", "0.0.0.1:1", "0.0.0.2:1"];

    #[test]
    fn families_take_turns() {
        let mixed = interleaved(addresses(&BOTH));
        let expected = ["[::1]:1", "0.0.0.1:1", "[::2]:1", "0.0.0.2:1"];
        assert_eq!(mixed, addresses(&expected));
        let one = ["0.0.0.1:1", "0.0.0.2:1", "0.0.0.3:1", "[::1]:1"];
        let expected = ["0.0.0.1:1", "[::1]:1", "0.0.0.2:1", "0.0.0.3:1"];
        assert_eq!(interleaved(addresses(&one)), addresses(&expected));
    }

    /// Who was tried when, in milliseconds, and what came of it.
    async fn run(
        answers: &[(&str, Option<Duration>, bool)],
    ) -> (Vec<(String, u128)>, Result<SocketAddr, String>) {
        let began = Instant::now();
        let tried = RefCell::new(Vec::new());
        let places = answers.iter().map(|(text, ..)| text.parse().unwrap());
        let outcome = race(places.collect(), |address| {
            let at = began.elapsed().as_millis();
            tried.borrow_mut().push((address.to_string(), at));
            let known = |(text, ..): &&(&str, _, _)| *text == address.to_string();
            let (_, delay, works) = *answers.iter().find(known).unwrap();
            async move {
                match delay {
                    Some(delay) => sleep(delay).await,
                    None => pending().await,
                }
                works
                    .then_some(address)
                    .ok_or_else(|| io::Error::other(format!("{address} refuses")))
            }
        })
        .await;
        (
            tried.into_inner(),
            outcome.map_err(|error| error.to_string()),
        )
    }

    fn ms(count: u64) -> Option<Duration> {
        Some(Duration::from_millis(count))
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_does_not_hold_up_the_others() {
        let (tried, won) = run(&[
            ("[::1]:1", None, true),
            ("0.0.0.1:1", None, true),
            ("[::2]:1", ms(10), true),
            ("0.0.0.2:1", ms(1), true),
        ])
        .await;
        assert_eq!(won, Ok("[::2]:1".parse().unwrap()));
        let at = |text: &str, at| (text.to_owned(), at);
        assert_eq!(
            tried,
            [at("[::1]:1", 0), at("0.0.0.1:1", 250), at("[::2]:1", 500)]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_the_next_is_tried_at_once() {
        let (tried, won) = run(&[("[::1]:1", ms(5), false), ("0.0.0.1:1", ms(5), true)]).await;
        assert_eq!(won, Ok("0.0.0.1:1".parse().unwrap()));
        assert_eq!(tried[1], ("0.0.0.1:1".to_owned(), 5));
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_slow_may_still_win() {
        let (_, won) = run(&[("[::1]:1", ms(300), true), ("0.0.0.1:1", None, true)]).await;
        assert_eq!(won, Ok("[::1]:1".parse().unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_answers() {
        let (tried, won) = run(&[("[::1]:1", ms(1), false), ("0.0.0.1:1", ms(1), false)]).await;
        assert_eq!(won, Err("[::1]:1 refuses".to_owned()));
        assert_eq!(tried.len(), 2);
        let (_, won) = run(&[]).await;
        assert_eq!(won, Err("the name has no addresses".to_owned()));
    }
}
