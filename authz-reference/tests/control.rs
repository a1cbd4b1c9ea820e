//! Directives, as a data plane hears them.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

mod support;

use std::{fs, time::Duration};

use support::{program::Serving, *};
use tidegate_proto::v1::{
    DataPlane, SessionSelector, WatchDirectivesRequest, WatchDirectivesResponse,
    control_service_client::ControlServiceClient, session_selector::Selector,
    watch_directives_response::Directive,
};
use tokio::time::timeout;
use tonic::{Streaming, transport::Channel};

/// Long enough for a loaded machine, and only waited for in vain by a test that fails.
const LONG: Duration = Duration::from_secs(30);

async fn watch(channel: Channel, resume_token: &str) -> Streaming<WatchDirectivesResponse> {
    let request = WatchDirectivesRequest {
        data_plane: Some(DataPlane {
            instance_id: "gate-1".to_owned(),
            ..DataPlane::default()
        }),
        resume_token: resume_token.to_owned(),
    };
    let mut client = ControlServiceClient::new(channel);
    client.watch_directives(request).await.unwrap().into_inner()
}

/// What is directed, and the token beside it.
async fn next(watch: &mut Streaming<WatchDirectivesResponse>) -> (String, String) {
    let message = timeout(LONG, watch.message())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let all = SessionSelector {
        selector: Some(Selector::SelectAll(true)),
    };
    let everybody = |sessions: &Option<SessionSelector>| sessions.as_ref() == Some(&all);
    let word = match &message.directive {
        Some(Directive::Heartbeat(_)) => "heartbeat",
        Some(Directive::Invalidate(it)) if everybody(&it.sessions) => "invalidate all",
        Some(Directive::Recheck(it)) if everybody(&it.sessions) => "recheck all",
        other => panic!("{other:?}"),
    };
    (word.to_owned(), message.resume_token)
}

#[tokio::test]
async fn a_watch_hears_at_once_where_it_is_and_ends_in_good_order() {
    let running = Running::start().await;
    let mut first = watch(running.channel().await, "").await;
    let (word, token) = next(&mut first).await;
    assert_eq!(word, "heartbeat");
    assert!(!token.is_empty());

    // Where it was is known here, and nothing has been missed.
    let mut again = watch(running.channel().await, &token).await;
    assert_eq!(next(&mut again).await, ("heartbeat".to_owned(), token));

    // A position of another process: everything is in doubt.
    let mut strange = watch(running.channel().await, "0123456789abcdef-7").await;
    assert_eq!(next(&mut strange).await.0, "invalidate all");
    assert_eq!(next(&mut strange).await.0, "recheck all");

    running.stop.send(()).unwrap();
    for mut watch in [first, again, strange] {
        let end = timeout(LONG, watch.message()).await.unwrap();
        assert_eq!(end.unwrap(), None, "in good order");
    }
    timeout(LONG, running.served).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_policy_that_changes_holds_before_data_planes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(folder.path(), "");
    let channel = channel(serving.addr).await;
    let mut client = Client::new(channel.clone());
    let mut watch = watch(channel, "").await;
    let (_, before) = next(&mut watch).await;
    let anonymous = || vec![connect(None, None)];
    let results = connect_all(&mut client, anonymous()).await;
    let refused = "deny NotAuthorized anonymous";
    assert_eq!(summary!(results[0], connect_result), refused);

    let config = "bind = \"127.0.0.1:0\"\n[policy]\nanonymous = true\n";
    fs::write(folder.path().join("authz.toml"), config).unwrap();
    serving.signal("HUP");
    assert_eq!(next(&mut watch).await.0, "invalidate all");
    let results = connect_all(&mut client, anonymous()).await;
    let allowed = "allow anonymous";
    assert_eq!(summary!(results[0], connect_result), allowed);
    assert_eq!(next(&mut watch).await.0, "recheck all");
    drop(watch);

    // Whoever was away meanwhile hears of it.
    let channel = support::channel(serving.addr).await;
    let mut resumed = self::watch(channel, &before).await;
    for word in ["heartbeat", "invalidate all", "recheck all"] {
        assert_eq!(next(&mut resumed).await.0, word);
    }
}
