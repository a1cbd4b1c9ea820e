use super::*;

fn hub() -> Hub {
    Hub::new("p1".to_owned())
}

/// `<word> <whom> <token>`
async fn next(watcher: &mut Watcher) -> String {
    let message = watcher.next().await.unwrap();
    let whom = |sessions: Option<SessionSelector>| match sessions.unwrap().selector.unwrap() {
        Selector::Principal(name) => name,
        Selector::SelectAll(true) => "all".to_owned(),
        other => panic!("{other:?}"),
    };
    let what = match message.directive.unwrap() {
        Directive::Heartbeat(_) => "heartbeat".to_owned(),
        Directive::Invalidate(invalidate) => format!("invalidate {}", whom(invalidate.sessions)),
        Directive::Recheck(recheck) => format!("recheck {}", whom(recheck.sessions)),
        Directive::Terminate(terminate) => format!("terminate {}", whom(terminate.sessions)),
    };
    format!("{what} {}", message.resume_token)
}

#[tokio::test(start_paused = true)]
async fn a_new_watch_hears_where_it_is_and_what_comes() {
    let hub = hub();
    hub.terminate("before", "");
    let mut watcher = hub.watch("").unwrap();
    assert_eq!(next(&mut watcher).await, "heartbeat p1-1");
    hub.terminate("alice", "gone");
    hub.recheck(Whom::Principal("bob"));
    assert_eq!(next(&mut watcher).await, "terminate alice p1-2");
    assert_eq!(next(&mut watcher).await, "invalidate bob p1-3");
    assert_eq!(next(&mut watcher).await, "recheck bob p1-4");
    let begun = Instant::now();
    assert_eq!(next(&mut watcher).await, "heartbeat p1-4");
    assert!(begun.elapsed() <= HEARTBEAT_EVERY);
    let counts = Counts {
        invalidate: 1,
        recheck: 1,
        terminate: 2,
    };
    assert_eq!(hub.counts(), counts);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_broke_goes_on_where_it_was() {
    let hub = hub();
    hub.terminate("alice", "");
    hub.terminate("bob", "");
    let mut watcher = hub.watch("p1-1").unwrap();
    assert!(watcher.is_resumed());
    assert_eq!(next(&mut watcher).await, "heartbeat p1-1");
    assert_eq!(next(&mut watcher).await, "terminate bob p1-2");
}

#[tokio::test(start_paused = true)]
async fn who_comes_from_an_unknown_position_doubts_everything() {
    let hub = hub();
    hub.terminate("alice", "");
    for token in ["p2-1", "p1-2", "p1-", "p1-+1", "p1-01", "p1", "-1", "x"] {
        let mut watcher = hub.watch(token).unwrap();
        assert!(!watcher.is_resumed(), "{token}");
        // Without a position: who breaks off here has not heard all.
        assert_eq!(next(&mut watcher).await, "invalidate all ", "{token}");
        assert_eq!(next(&mut watcher).await, "recheck all p1-1", "{token}");
        assert_eq!(next(&mut watcher).await, "heartbeat p1-1", "{token}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_is_too_slow_has_to_begin_again() {
    let hub = hub();
    let mut slow = hub.watch("").unwrap();
    let mut quick = hub.watch("").unwrap();
    next(&mut slow).await;
    next(&mut quick).await;
    for number in 0..=KEPT {
        hub.terminate("alice", "");
        let token = number + 1;
        assert_eq!(
            next(&mut quick).await,
            format!("terminate alice p1-{token}")
        );
    }
    assert_eq!(slow.next().await, Err(Behind));
    // Nor is its position kept.
    let mut again = hub.watch("p1-0").unwrap();
    assert_eq!(next(&mut again).await, "invalidate all ");
    let mut kept = hub.watch("p1-1").unwrap();
    assert_eq!(next(&mut kept).await, "heartbeat p1-1");
}

#[tokio::test]
async fn watches_are_bounded_and_give_their_place_back() {
    let hub = hub();
    let watchers: Vec<_> = (0..MAX_WATCHES).map(|_| hub.watch("").unwrap()).collect();
    assert!(hub.watch("").is_none());
    assert_eq!(hub.watches(), MAX_WATCHES);
    drop(watchers);
    assert_eq!(hub.watches(), 0);
    assert!(hub.watch("").is_some());
}
