use tokio::time::{advance, timeout};
use tokio_test::{assert_pending, assert_ready, task};

use super::*;

fn budget(per_second: u32) -> Arc<Budget> {
    Arc::new(Budget::new(per_second))
}

#[tokio::test(start_paused = true)]
async fn a_burst_is_free_and_the_rest_is_spread() {
    let budget = budget(50);
    let started_at = Instant::now();
    for _ in 0..50 {
        assert!(budget.try_take());
    }
    assert!(!budget.try_take());
    let turns: Vec<_> = (0..100).map(|_| budget.turn()).collect();
    assert_eq!(budget.waiting(), 100);
    for turn in turns {
        turn.await;
    }
    let took = started_at.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_millis(2100));
    assert_eq!(budget.waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn nobody_overtakes_and_who_leaves_holds_up_nobody() {
    let budget = budget(1);
    assert!(budget.try_take());
    let [mut first, mut second, mut third] = [0; 3].map(|_| task::spawn(budget.turn()));
    assert_pending!(first.poll());
    assert_pending!(second.poll());
    assert_pending!(third.poll());
    advance(Duration::from_secs(3)).await;
    assert!(!budget.try_take(), "there is a line");
    assert_pending!(third.poll());
    drop(first);
    assert!(second.is_woken());
    assert_ready!(second.poll());
    drop(second);
    assert!(third.is_woken());
    timeout(Duration::from_secs(3), third).await.unwrap();
    assert_eq!(budget.waiting(), 0);
}
