//! One session whose checks hang at the service, which decides all others at once.

use super::*;

/// What became of the checks of the others, once there was time to find out who it is.
#[derive(Debug, Default, PartialEq, Eq)]
struct Others {
    decided: usize,
    failed: usize,
}

struct Seen {
    others: Others,
    is_apart: bool,
    most_calls: usize,
}

/// For which they are counted, in milliseconds.
const COUNTED: u64 = 2000;

/// Checks that hang, one each so many milliseconds, from these sessions in turns; and 200 a second of others.
async fn seen(sessions: &[Arc<Seat>], hangs_every: u64, found_out: u64) -> Seen {
    let mut scene = Scene::new(|_| ());
    let (mut hanging, mut open, mut asked) = (Vec::new(), Vec::new(), Vec::new());
    let (mut others, mut most_calls) = (Others::default(), 0);
    for ms in 0..found_out + COUNTED {
        if ms % hangs_every == 0 {
            let turn = usize::try_from(ms / hangs_every).unwrap() % sessions.len();
            let check = of_one_session(&sessions[turn], "hangs");
            hanging.push(scene.lane.call(check));
        }
        if ms % 5 == 0 {
            asked.push((Instant::now(), scene.ask("t")));
        }
        for _ in 0..2 {
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            while let Ok(call) = scene.calls.try_recv() {
                match call.topics().contains(&"hangs") {
                    true => open.push(call),
                    false => call.allow_all(),
                }
            }
        }
        most_calls = most_calls.max(open.len());
        let now = Instant::now();
        let late = |call: &mut Received| call.shipment.deadline <= now;
        for call in open.extract_if(.., late) {
            call.reply.send(Err(Cause::Timeout)).unwrap();
        }
        asked.retain_mut(|(at, answer)| {
            let is_decided = match answer.poll() {
                Poll::Ready(outcome) => outcome.is_ok(),
                Poll::Pending if *at + Duration::from_secs(1) <= now => false,
                Poll::Pending => return true,
            };
            if ms >= found_out {
                others.decided += usize::from(is_decided);
                others.failed += usize::from(!is_decided);
            }
            false
        });
        advance(Duration::from_millis(1)).await;
    }
    for call in open {
        call.reply.send(Err(Cause::Timeout)).unwrap();
    }
    Seen {
        others,
        is_apart: sessions
            .iter()
            .all(|seat| seat.standing(HookKind::Publish).is_apart()),
        most_calls,
    }
}

const ALL: Others = Others {
    decided: 400,
    failed: 0,
};

#[tokio::test(start_paused = true)]
async fn a_session_whose_checks_hang_is_found_out_and_costs_the_others_nothing() {
    for (principal, every) in [
        ("hangs", 100),
        ("hangs", 2),
        // The others have none either, and are of one address.
        ("", 2),
    ] {
        let seat = publish("").context.seat;
        seat.identify(principal);
        let seen = seen(&[seat], every, 3000).await;
        let case = format!("{principal:?}, one each {every} ms");
        assert!(seen.is_apart, "{case}");
        assert_eq!(seen.others, ALL, "{case}");
        assert!(seen.most_calls <= 40, "{case}: {}", seen.most_calls);
    }
}

// All of them have to be found out; until then they do not have all calls.
#[tokio::test(start_paused = true)]
async fn nor_do_many_sessions_of_one_principal() {
    let sessions = std::iter::repeat_with(|| publish("").context.seat);
    let sessions: Vec<_> = sessions.take(8).collect();
    sessions.iter().for_each(|seat| seat.identify("hangs"));
    let seen = seen(&sessions, 2, 6000).await;
    assert!(seen.is_apart);
    assert_eq!(seen.others, ALL);
    assert!(seen.most_calls < 64, "{}", seen.most_calls);
}

// Then it is the service.
#[tokio::test(start_paused = true)]
async fn nobody_is_to_blame_if_all_checks_hang() {
    let mut scene = Scene::new(|_| ());
    let seats = [(); 4].map(|()| publish("").context.seat);
    for _ in 0..20 {
        let _asked = seats
            .each_ref()
            .map(|seat| scene.lane.call(of_one_session(seat, "t")));
        scene.settle().await;
        advance(Duration::from_secs(1)).await;
        while let Ok(call) = scene.calls.try_recv() {
            call.reply.send(Err(Cause::Timeout)).unwrap();
        }
        scene.settle().await;
    }
    let is_apart = |seat: &Arc<Seat>| seat.standing(HookKind::Publish).is_apart();
    assert!(!seats.iter().any(is_apart));
}
