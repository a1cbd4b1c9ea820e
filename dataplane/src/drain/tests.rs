use tokio::time::Instant;

use super::*;

fn draining(delay: u64, duration: u64) -> Draining {
    Draining {
        times: config::Drain {
            delay: Duration::from_secs(delay),
            duration: Duration::from_secs(duration),
            timeout: Duration::from_secs(10),
        },
        accept: CancellationToken::new(),
        accepting: TaskTracker::new(),
        waves: Waves::default(),
        sessions: TaskTracker::new(),
        stop: Stop::default(),
    }
}

/// Sessions that go when they are told, and when each of them went.
fn sessions(draining: &Draining, count: usize) -> Vec<tokio::task::JoinHandle<Duration>> {
    let begun = Instant::now();
    let session = |_| {
        let told = draining.waves.next();
        draining.sessions.spawn(async move {
            told.cancelled_owned().await;
            begun.elapsed()
        })
    };
    (0..count).map(session).collect()
}

#[tokio::test(start_paused = true)]
async fn sessions_go_one_after_the_other_once_the_delay_is_over() {
    let draining = draining(3, 10);
    let (accept, sessions) = (draining.accept.clone(), sessions(&draining, 1280));
    let drain = tokio::spawn(draining.run());
    sleep(Duration::from_millis(2900)).await;
    assert!(!accept.is_cancelled(), "it serves during the delay");
    drain.await.unwrap();
    let mut gone = Vec::new();
    for session in sessions {
        gone.push(session.await.unwrap());
    }
    gone.sort();
    assert!(gone[0] >= Duration::from_secs(3), "{:?}", gone[0]);
    assert!(gone[1279] <= Duration::from_secs(14), "{:?}", gone[1279]);
    for (index, second) in (4..13).enumerate() {
        let until = gone.iter().filter(|at| **at <= Duration::from_secs(second));
        let expected = (index + 1) * 128;
        assert!(until.count().abs_diff(expected) <= 30, "after {second} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_few_sessions_do_not_take_the_whole_time() {
    let draining = draining(0, 60);
    let sessions = sessions(&draining, 2);
    let begun = Instant::now();
    draining.run().await;
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert!(sessions.iter().all(|session| session.is_finished()));
}

#[tokio::test(start_paused = true)]
async fn nobody_there_is_the_end_at_once() {
    let begun = Instant::now();
    draining(0, 60).run().await;
    assert_eq!(begun.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn quit_cuts_it_short_and_cannot_be_taken_back() {
    let draining = draining(60, 60);
    let (stop, _sessions) = (draining.stop.clone(), sessions(&draining, 1000));
    let begun = Instant::now();
    let drain = tokio::spawn(draining.run());
    sleep(Duration::from_secs(5)).await;
    stop.ask(Ending::Quit);
    stop.ask(Ending::Drain);
    assert_eq!(stop.asked(), Ending::Quit);
    drain.await.unwrap();
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
}

#[tokio::test(start_paused = true)]
async fn a_session_that_does_not_go_is_not_waited_for_for_ever() {
    let draining = draining(0, 5);
    let _stuck = draining.sessions.spawn(std::future::pending::<()>());
    let begun = Instant::now();
    draining.run().await;
    assert!(begun.elapsed() < Duration::from_secs(16));
}
