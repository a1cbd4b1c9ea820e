use std::{net::SocketAddr, time::Duration};

use gatekeeper::{CloseReason, QoS};
use prost::Message as _;
use tidegate_proto::v1::{
    self,
    event_service_server::{EventService, EventServiceServer},
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tonic::{Request, Response, Status, transport::Server};

use super::{queue::MAX_BATCH, *};
use crate::authz::{AuthzOptions, Contact};

const ALL: [EventKind; 6] = [
    EventKind::Connected,
    EventKind::Published,
    EventKind::Subscribed,
    EventKind::Unsubscribed,
    EventKind::Disconnected,
    EventKind::DirectiveApplied,
];

fn options(queue_events: usize) -> EventOptions {
    EventOptions {
        kinds: ALL.to_vec(),
        queue_events,
        queue_bytes: 1024 * 1024,
        with_state: false,
    }
}

fn session() -> v1::Session {
    v1::Session {
        session_id: "s1".into(),
        client_id: "c1".into(),
        session_state: Bytes::from_static(b"canary"),
        ..v1::Session::default()
    }
}

fn unsubscribed(filter: &str) -> Happened {
    Happened::Unsubscribed {
        filter: Bytes::copy_from_slice(filter.as_bytes()),
    }
}

/// A service that answers reports as it is told to.
struct Listener {
    reports: mpsc::UnboundedSender<v1::ReportEventsRequest>,
    answers: std::sync::Mutex<Vec<Status>>,
}

#[tonic::async_trait]
impl EventService for Listener {
    async fn report_events(
        &self,
        request: Request<v1::ReportEventsRequest>,
    ) -> Result<Response<v1::ReportEventsResponse>, Status> {
        let refusal = self.answers.lock().unwrap().pop();
        match refusal {
            Some(status) => Err(status),
            None => {
                self.reports.send(request.into_inner()).unwrap();
                Ok(Response::new(v1::ReportEventsResponse {}))
            }
        }
    }
}

/// Listens, and refuses this often first.
async fn listen(at: SocketAddr, answers: Vec<Status>) -> (SocketAddr, Reports) {
    let listener = TcpListener::bind(at).await.unwrap();
    let address = listener.local_addr().unwrap();
    let (reports, received) = mpsc::unbounded_channel();
    let service = EventServiceServer::new(Listener {
        reports,
        answers: answers.into(),
    });
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    tokio::spawn(
        Server::builder()
            .add_service(service)
            .serve_with_incoming(incoming),
    );
    (address, received)
}

type Reports = mpsc::UnboundedReceiver<v1::ReportEventsRequest>;

fn start(address: SocketAddr, options: &EventOptions) -> (Reporter, Events) {
    let authz = AuthzOptions {
        endpoints: vec![format!("http://{address}").parse().unwrap()],
        ..AuthzOptions::default()
    };
    let contact = Contact::new(&authz, v1::DataPlane::default());
    let data_plane = v1::DataPlane {
        instance_id: "gate".into(),
        ..v1::DataPlane::default()
    };
    Reporter::start(options, contact, data_plane)
}

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

async fn next(reports: &mut Reports) -> v1::ReportEventsRequest {
    let next = timeout(Duration::from_secs(20), reports.recv());
    next.await.unwrap().unwrap()
}

#[test]
fn an_event_is_what_the_contract_describes() {
    let happened = [
        Happened::Connected,
        Happened::Published {
            topic: Bytes::from_static(b"t"),
            qos: QoS::AtLeastOnce,
            payload_size: 9,
        },
        Happened::Subscribed {
            filter: Bytes::from_static(b"f/#"),
            qos: QoS::ExactlyOnce,
        },
        unsubscribed("f/#"),
        Happened::Disconnected {
            cause: CloseReason::ClientGone,
        },
    ];
    let at = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
    let told = SessionField::new(&session(), false);
    let read = |happened| {
        let record = Record::new(told.0.clone(), happened, at);
        v1::Event::decode(record.encode()).unwrap()
    };
    let [connected, published, subscribed, unsubscribed, disconnected] = happened.map(read);
    assert_eq!(connected.kind(), EventKind::Connected);
    assert_eq!(connected.occurred_at.unwrap().seconds, 7);
    let who = connected.session.unwrap();
    assert_eq!((&*who.session_id, &*who.client_id), ("s1", "c1"));
    assert!(who.session_state.is_empty(), "it is for the service only");
    assert_eq!(published.kind(), EventKind::Published);
    assert_eq!((&*published.topic, published.qos), ("t", 1));
    assert_eq!(published.payload_size, 9);
    assert_eq!((&*subscribed.topic, subscribed.qos), ("f/#", 2));
    assert_eq!(unsubscribed.topic, "f/#");
    assert_eq!(disconnected.cause, "client_gone");
    let applied = Happened::DirectiveApplied {
        resume_token: "7".into(),
    };
    let applied = Record::new(Bytes::new(), applied, at);
    let applied = v1::Event::decode(applied.encode()).unwrap();
    assert_eq!(applied.session, None);
    assert_eq!(applied.resume_token, "7");
    let told = SessionField::new(&session(), true);
    let told = v1::Session::decode(told.0).unwrap();
    assert_eq!(told.session_state, "canary");
}

#[test]
fn the_queue_is_bounded_by_count_and_by_bytes_and_the_oldest_are_lost() {
    let queue = Queue::new(3, 1000);
    for n in 0..5_u8 {
        queue.push(Bytes::copy_from_slice(&[n]));
    }
    assert_eq!(queue.take(), [[2_u8], [3], [4]].map(Bytes::from_owner));
    queue.push(vec![1; 600].into());
    queue.push(vec![2; 600].into());
    queue.push(vec![3; 2000].into());
    let left = queue.take();
    assert_eq!((left.len(), left[0][0]), (1, 2));
    assert_eq!(queue.tally().dropped, 4);
    for _ in 0..3 {
        queue.push(Bytes::from_static(b"x"));
    }
    assert_eq!(queue.tally().queued, 3);
}

#[tokio::test]
async fn events_are_reported_in_their_order_and_in_batches() {
    let (address, mut reports) = listen(anywhere(), Vec::new()).await;
    let (_reporter, events) = start(address, &options(10_000));
    let told = SessionField::new(&session(), false);
    let count = MAX_BATCH * 3;
    for n in 0..count {
        events.tell(&told, unsubscribed(&n.to_string()));
    }
    let mut seen = Vec::new();
    let mut calls = 0;
    while seen.len() < count {
        let report = next(&mut reports).await;
        assert_eq!(report.data_plane.unwrap().instance_id, "gate");
        assert_eq!(report.dropped_count, 0);
        seen.extend(report.events.into_iter().map(|event| event.topic));
        calls += 1;
    }
    let expected: Vec<_> = (0..count).map(|n| n.to_string()).collect();
    assert_eq!(seen, expected);
    assert!(calls <= 4, "{calls}");
}

#[tokio::test]
async fn what_was_lost_meanwhile_is_told_when_the_service_is_back() {
    // Nobody is there.
    let absent = TcpListener::bind(anywhere()).await.unwrap();
    let away = absent.local_addr().unwrap();
    drop(absent);
    let (_reporter, events) = start(away, &options(10));
    let told = SessionField::new(&session(), false);
    for n in 0..1000 {
        events.tell(&told, unsubscribed(&n.to_string()));
    }
    let (_, mut reports) = listen(away, Vec::new()).await;
    let (mut seen, mut dropped) = (Vec::new(), 0);
    while seen.last().map(String::as_str) != Some("999") {
        let report = next(&mut reports).await;
        dropped += report.dropped_count;
        seen.extend(report.events.into_iter().map(|event| event.topic));
    }
    assert_eq!(seen.len() as u64 + dropped, 1000);
    assert_eq!(dropped, events.tally().dropped);
    while events.tally().sent < seen.len() as u64 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_report_that_nobody_wants_is_in_nobodys_way() {
    let refusals = vec![Status::invalid_argument("no"); 3];
    let (address, mut reports) = listen(anywhere(), refusals).await;
    let (_reporter, events) = start(address, &options(10));
    let told = SessionField::new(&session(), false);
    events.tell(&told, unsubscribed("bad"));
    while events.tally().dropped == 0 {
        tokio::task::yield_now().await;
    }
    events.tell(&told, unsubscribed("good"));
    let report = next(&mut reports).await;
    assert_eq!(report.events[0].topic, "good");
    assert_eq!(report.dropped_count, 1);
}

#[tokio::test]
async fn what_waits_at_the_end_is_reported_once_more() {
    let (address, mut reports) = listen(anywhere(), Vec::new()).await;
    let (reporter, events) = start(address, &options(10));
    let told = SessionField::new(&session(), false);
    events.tell(&told, unsubscribed("last"));
    reporter.finish(Duration::from_secs(20)).await;
    let report = next(&mut reports).await;
    assert_eq!(report.events[0].topic, "last");
}

#[test]
fn kinds_that_nobody_wants_cost_nothing() {
    let events = Events::new(&EventOptions {
        kinds: vec![EventKind::Connected],
        ..options(10)
    });
    let told = SessionField::new(&session(), false);
    assert!(!events.wants(EventKind::Published));
    events.tell(&told, unsubscribed("a"));
    events.directive_applied("1".into());
    assert_eq!(events.tally().queued, 0);
    events.tell(&told, Happened::Connected);
    assert_eq!(events.tally().queued, 1);
}

/// Whoever is told with its state is told to the service, and to nobody else.
#[test]
fn what_waits_is_not_shown() {
    let events = Events::new(&EventOptions {
        with_state: true,
        ..options(10)
    });
    let field = SessionField::new(&session(), true);
    events.tell(&field, Happened::Connected);
    let record = Record::new(field.0.clone(), Happened::Connected, SystemTime::now());
    let state = format!("{:?}", &b"canary"[..]);
    let state = state.trim_matches(['[', ']']);
    for shown in [
        format!("{events:?}"),
        format!("{events:#?}"),
        format!("{record:?}"),
        format!("{field:?}"),
    ] {
        assert!(
            !shown.contains("canary") && !shown.contains(state),
            "{shown}"
        );
    }
    assert_eq!(events.tally().queued, 1);
}
