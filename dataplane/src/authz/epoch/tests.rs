use tokio::time::advance;

use super::*;

#[tokio::test(start_paused = true)]
async fn freshness_runs_out_by_itself() {
    let epochs = Epochs::watched(Duration::from_secs(75));
    advance(Duration::from_secs(1)).await;
    assert!(!epochs.is_fresh(), "nothing was heard yet");
    epochs.heard();
    assert!(epochs.is_fresh());
    advance(Duration::from_secs(74)).await;
    assert!(epochs.is_fresh());
    advance(Duration::from_secs(1)).await;
    assert!(!epochs.is_fresh());
    epochs.heard();
    advance(Duration::from_secs(2)).await;
    epochs.lost();
    assert!(!epochs.is_fresh());
    assert_eq!(epochs.silent_for(), Some(Duration::from_secs(2)));
    epochs.heard();
    assert!(epochs.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn who_watches_for_nothing_is_always_fresh() {
    let epochs = Epochs::unwatched();
    advance(Duration::from_secs(3600)).await;
    assert!(epochs.is_fresh());
    epochs.lost();
    assert!(epochs.is_fresh());
}

#[tokio::test]
async fn a_directive_outdates_what_was_asked_before_it() {
    let (epochs, stamp) = (Epochs::unwatched(), Stamp::default());
    let before = epochs.current();
    assert!(!stamp.outdates(before));
    let epoch = epochs.advance(None);
    assert!(!stamp.outdates(before), "it concerns somebody else");
    stamp.touch(epoch);
    assert!(stamp.outdates(before));
    assert!(!stamp.outdates(epochs.current()));
    stamp.touch(before);
    assert_eq!(stamp.last(), epoch, "a stamp never goes back");
}

#[tokio::test]
async fn a_principal_is_known_to_be_named_before_any_session_has_it() {
    let epochs = Epochs::unwatched();
    let before = epochs.current();
    epochs.advance(None);
    epochs.advance(Some("alice"));
    let after = epochs.current();
    epochs.advance(Some("bob"));
    assert!(epochs.named_since(before, "alice"));
    assert!(epochs.named_since(after, "bob"));
    assert!(!epochs.named_since(after, "alice"));
    assert!(!epochs.named_since(before, "carol"));
}

#[tokio::test]
async fn what_is_forgotten_may_have_named_anybody() {
    let epochs = Epochs::unwatched();
    let before = epochs.current();
    for _ in 0..REMEMBERED {
        epochs.advance(Some("alice"));
    }
    assert!(!epochs.named_since(before, "bob"));
    epochs.advance(Some("alice"));
    assert!(epochs.named_since(before, "bob"));
    assert!(!epochs.named_since(before + 1, "bob"));
    assert_eq!(epochs.lock().named.len(), REMEMBERED);
}
