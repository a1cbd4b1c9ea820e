//! Calls to services that misbehave, over real connections.

use std::time::Duration;

use bytes::Bytes;
use gatekeeper::Why;
use h2::Reason;
use tidegate_proto::v1;
use tower::ServiceExt;

use super::*;
use crate::authz::{
    HookKind, hook,
    testing::{
        self, publish,
        service::{Play, Scripted, allow_first, framed},
    },
    wire::Said,
};

async fn call(service: &Scripted) -> Result<Vec<v1::PublishResult>, Cause> {
    call_within(service, Duration::from_secs(30)).await
}

async fn call_within(service: &Scripted, time: Duration) -> Result<Vec<v1::PublishResult>, Cause> {
    attempt(service, time).await.map_err(|failed| failed.cause)
}

async fn attempt(service: &Scripted, time: Duration) -> Result<Vec<v1::PublishResult>, Failed> {
    let options = AuthzOptions {
        max_response_bytes: 4096,
        ..testing::options([service.address])
    };
    let endpoints = Endpoints::new(
        &options,
        v1::DataPlane::default(),
        HookKind::Publish,
        Arc::default(),
    );
    let call = Call::<hook::Publish>::new(Arc::new(endpoints), None, &options);
    let shipment = Shipment {
        request: testing::request(vec![publish("t").message]),
        size: 1,
        spans: Vec::new(),
        deadline: Instant::now() + time,
        is_apart: false,
    };
    let attempt = Attempt {
        request: shipment,
        number: 0,
        avoided: None,
    };
    let answers = call.oneshot(attempt).await?;
    let results = answers.results.into_iter().map(|said| match said {
        Said::Plain(item_id) => testing::result(item_id, testing::yes()),
        Said::Full(result) => *result,
    });
    Ok(results.collect())
}

async fn cause_of(play: Play) -> Cause {
    let service = Scripted::start(play).await;
    call(&service).await.unwrap_err()
}

#[tokio::test]
async fn an_answer_with_status_ok_is_the_only_answer() {
    let service = Scripted::start(Play::Answer(framed(&allow_first()), 0)).await;
    assert_eq!(call(&service).await.unwrap(), allow_first().results);
}

#[tokio::test]
async fn a_status_is_the_word_of_the_service() {
    for code in 1..=16 {
        let expected = match Code::from_i32(code) {
            Code::Unavailable => Why::Unavailable,
            Code::ResourceExhausted => Why::Overloaded,
            Code::DeadlineExceeded => Why::Timeout,
            _ => Why::GrpcStatus,
        };
        for play in [
            Play::OnlyStatus(code),
            Play::Answer(Bytes::new(), code),
            // A message that says yes changes nothing.
            Play::Answer(framed(&allow_first()), code),
        ] {
            let cause = cause_of(play.clone()).await;
            assert!(
                matches!(&cause, Cause::Status { code: told, .. } if *told as i32 == code),
                "{play:?}: {cause:?}"
            );
            assert_eq!(cause.why(), expected, "{play:?}");
        }
    }
}

#[tokio::test]
async fn a_status_that_does_not_exist_is_none_to_trust() {
    for code in [-1, 17, 4711] {
        let cause = cause_of(Play::Answer(framed(&allow_first()), code)).await;
        assert_eq!(cause.why(), Why::GrpcStatus, "{code}");
    }
}

#[tokio::test]
async fn an_end_without_a_status_is_the_transport() {
    for play in [
        Play::NoTrailers(framed(&allow_first())),
        Play::NoTrailers(Bytes::new()),
        Play::EmptyTrailers(framed(&allow_first())),
        Play::Reset(Reason::REFUSED_STREAM),
        Play::Reset(Reason::CANCEL),
        Play::Reset(Reason::NO_ERROR),
        Play::Reset(Reason::ENHANCE_YOUR_CALM),
        Play::ResetMidway(Reason::INTERNAL_ERROR),
        Play::ResetMidway(Reason::NO_ERROR),
        Play::BreakMidway,
        Play::GoAway,
    ] {
        let cause = cause_of(play.clone()).await;
        assert!(matches!(cause, Cause::Transport(_)), "{play:?}: {cause:?}");
        assert_eq!(cause.why(), Why::Unavailable);
    }
}

#[tokio::test]
async fn what_is_not_grpc_is_told_apart() {
    for (status, content_type) in [
        (200, "text/html"),
        (404, "text/html"),
        (404, "application/grpc"),
        (503, "application/grpc"),
        (302, "application/grpc"),
    ] {
        let cause = cause_of(Play::Http(status, content_type)).await;
        assert_eq!(cause, Cause::NotGrpc(status));
        assert_eq!(cause.why(), Why::Unavailable);
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_no_answer() {
    let mut too_large = allow_first();
    too_large.policy_revision = "r".repeat(5000);
    for message in [
        Bytes::new(),
        Bytes::from_static(b"<html>"),
        Bytes::from_static(&[0, 0, 0, 0, 3, 0xff, 0xff, 0xff]),
        Bytes::from_static(&[0, 0xff, 0xff, 0xff, 0xff, 0]),
        Bytes::from_static(&[1, 0, 0, 0, 0]),
        framed(&too_large),
    ] {
        let cause = cause_of(Play::Answer(message.clone(), 0)).await;
        assert!(
            matches!(cause, Cause::Unreadable(_)),
            "{message:?}: {cause:?}"
        );
        assert_eq!(cause.why(), Why::InvalidResult);
    }
    let cause = cause_of(Play::OnlyStatus(0)).await;
    assert!(matches!(cause, Cause::Unreadable(_)), "{cause:?}");
}

#[tokio::test]
async fn what_is_not_http2_is_the_transport() {
    for bytes in [
        &b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n"[..],
        b"220 smtp.example ESMTP\r\n",
        b"\x15\x03\x01\x00\x02\x02\x16",
        b"",
        &[0xff; 4096],
    ] {
        let service = Scripted::raw(bytes).await;
        let cause = call(&service).await.unwrap_err();
        // It depends on when the connection is found to be none.
        let is_told = matches!(cause, Cause::Transport(_) | Cause::Unreachable(_));
        assert!(is_told, "{bytes:?}: {cause:?}");
    }
}

#[tokio::test]
async fn a_closed_port_cannot_be_reached() {
    let service = Scripted::start(Play::Hang).await;
    service.stop().await;
    let cause = call(&service).await.unwrap_err();
    assert!(matches!(cause, Cause::Unreachable(_)), "{cause:?}");
    assert!(cause.to_string().contains("refused"), "{cause}");
}

#[tokio::test]
async fn a_service_that_hangs_holds_nothing_beyond_the_deadline() {
    let service = Scripted::start(Play::Hang).await;
    let cause = call_within(&service, Duration::from_millis(50)).await;
    assert_eq!(cause.unwrap_err(), Cause::Timeout);
}

// tonic takes the first one, and does not look whether the second says no.
#[tokio::test]
async fn two_messages_are_no_answer() {
    let allow = framed(&allow_first());
    let both = [&allow[..], &allow].concat().into();
    let cause = cause_of(Play::Answer(both, 0)).await;
    assert_eq!(cause.why(), Why::InvalidResult, "{cause}");
}

#[test]
fn what_a_session_that_travels_alone_may_cause_is_no_sign() {
    let status = |code| Cause::Status {
        code,
        message: String::new(),
    };
    for (cause, of_others, of_alone) in [
        (Cause::Timeout, Sign::Bad, Sign::None),
        (status(Code::DeadlineExceeded), Sign::Bad, Sign::None),
        (status(Code::ResourceExhausted), Sign::Bad, Sign::None),
        (status(Code::Unavailable), Sign::Bad, Sign::Bad),
        (Cause::Transport(String::new()), Sign::Bad, Sign::Bad),
        (status(Code::Internal), Sign::None, Sign::None),
    ] {
        let result = Err::<(), _>(cause);
        assert_eq!(sign(&result, false), of_others, "{result:?}");
        assert_eq!(sign(&result, true), of_alone, "{result:?}");
    }
}

#[tokio::test]
async fn a_request_is_not_shown() {
    let shipment = Shipment {
        request: Bytes::from_static(b"canary"),
        size: 1,
        spans: Vec::new(),
        deadline: Instant::now(),
        is_apart: false,
    };
    let shown = format!("{shipment:?}");
    let bytes = format!("{:?}", &b"canary"[..]);
    assert!(
        !shown.contains("canary") && !shown.contains(&bytes),
        "{shown}"
    );
    assert!(shown.contains("6 bytes"), "{shown}");
}
