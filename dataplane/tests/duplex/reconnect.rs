//! A client that comes back while its last session still waits for decisions.

use gatekeeper::Deadlines;
use tidegate_tests::service::Hook;

use super::*;

const BOTH: [Version; 2] = [Version::V311, Version::V5];

/// What a client has said, undecided, and what there is of its session.
struct Last {
    said: Vec<u8>,
    broker: DuplexStream,
    client: Option<DuplexStream>,
    session: JoinHandle<CloseReason>,
}

impl Last {
    /// The broker has got all of it, and the end.
    async fn comes_to_its_end(self) {
        assert_eq!(read_to_end(self.broker).await, self.said);
        self.session.await.unwrap();
    }
}

impl Rig {
    /// The client connects, says this after a message, and connects once more.
    async fn come_back(
        mut self,
        service: &Scripted,
        version: Version,
        goodbye: &[u8],
    ) -> (Self, Last) {
        let broker = self.connect(&Connect::new("client"), version).await;
        let message = Publish::new("t", "last words").encode(version);
        let said = [&message, goodbye].concat();
        self.client.write_all(&said).await.unwrap();
        while service.checks_of(Hook::Publish).is_empty() {
            tokio::task::yield_now().await;
        }
        let next = Self::serve(self.shared, self.origin, self.brokers);
        let last = Last {
            said,
            broker,
            client: Some(self.client),
            session: self.session,
        };
        (next, last)
    }

    /// The client says this first, and nobody goes to the broker for it.
    async fn waits_with(&mut self, hello: &[u8]) {
        self.client.write_all(hello).await.unwrap();
        let dialled = timeout(PATIENCE, self.brokers.recv()).await;
        assert!(dialled.is_err(), "it overtakes what was said before");
    }

    /// The broker's end of the connection on which this CONNECT comes.
    async fn arrives_with(&mut self, hello: &[u8]) -> DuplexStream {
        let mut broker = self.brokers.recv().await.unwrap();
        assert_eq!(read(&mut broker, hello.len()).await, hello);
        broker
    }
}

/// A service that lets messages wait.
fn hold_messages(service: &Scripted) -> Hold {
    let hold = Hold::new();
    let held = hold.clone();
    service.answer_hook(Hook::Publish, move |_| Answer::Allow.held_by(&held));
    hold
}

/// [MQTT-3.14.4-3] [MQTT-3.1.2-10]: the DISCONNECT comes before the next CONNECT, and so takes the
/// will with it.
#[test]
fn a_client_does_not_overtake_its_goodbye() {
    for version in BOTH {
        with_service(async |service| {
            let hold = hold_messages(service);
            let rig = Rig::start(service, 1 << 16);
            let (mut rig, last) = rig.come_back(service, version, DISCONNECT).await;
            let hello = Connect::new("client").encode(version);
            rig.waits_with(&hello).await;
            hold.release();
            last.comes_to_its_end().await;
            rig.arrives_with(&hello).await;
        });
    }
}

/// [MQTT-3.1.2-8]: the will of a client that left without a word belongs to its old session.
#[test]
fn a_client_does_not_overtake_its_end() {
    for version in BOTH {
        with_service(async |service| {
            let hold = hold_messages(service);
            let rig = Rig::start(service, 1 << 16);
            let (mut rig, mut last) = rig.come_back(service, version, &[]).await;
            last.client = None;
            let hello = Connect::new("client").encode(version);
            rig.waits_with(&hello).await;
            hold.release();
            last.comes_to_its_end().await;
            rig.arrives_with(&hello).await;
        });
    }
}

/// [MQTT-3.1.4-3]: whoever takes a client over that is still there does it at once, and a client of
/// another name has nothing to do with it.
#[test]
fn a_client_that_has_not_left_is_taken_over_at_once() {
    with_service(async |service| {
        let hold = hold_messages(service);
        let rig = Rig::start(service, 1 << 16);
        let (mut rig, last) = rig.come_back(service, Version::V5, &[]).await;
        let hello = Connect::new("client").encode(Version::V5);
        rig.client.write_all(&hello).await.unwrap();
        rig.arrives_with(&hello).await;
        assert!(!last.session.is_finished());
        hold.release();
    });
    with_service(async |service| {
        let _hold = hold_messages(service);
        let rig = Rig::start(service, 1 << 16);
        let (mut rig, last) = rig.come_back(service, Version::V5, DISCONNECT).await;
        let hello = Connect::new("another client").encode(Version::V5);
        rig.client.write_all(&hello).await.unwrap();
        rig.arrives_with(&hello).await;
        assert!(!last.session.is_finished());
    });
}

/// The last session has a whole second for its message.
#[test]
fn a_session_that_does_not_end_is_not_waited_for_for_ever() {
    with_service(async |service| {
        let _hold = hold_messages(service);
        let rig = Rig::start(service, 1 << 16);
        let (mut rig, last) = rig.come_back(service, Version::V5, DISCONNECT).await;
        let hurried = Deadlines {
            broker_connect: Duration::from_millis(200),
            ..Deadlines::default()
        };
        rig.origin.rules = Arc::new(Rules {
            deadlines: hurried,
            ..rules()
        });
        let mut rig = Rig::serve(rig.shared, rig.origin, rig.brokers);
        let hello = Connect::new("client").encode(Version::V5);
        rig.client.write_all(&hello).await.unwrap();
        rig.arrives_with(&hello).await;
        assert!(!last.session.is_finished(), "it was waited for after all");
    });
}

/// Whoever waits is free to leave, and is not in the way of a drain.
#[test]
fn waiting_can_be_given_up() {
    with_service(async |service| {
        let hold = hold_messages(service);
        let rig = Rig::start(service, 1 << 16);
        let (mut rig, last) = rig.come_back(service, Version::V5, DISCONNECT).await;
        let hello = Connect::new("client").encode(Version::V5);
        rig.waits_with(&hello).await;
        drop(rig.client);
        assert_eq!(rig.session.await.unwrap(), CloseReason::ClientGone);

        let mut rig = Rig::serve(rig.shared, rig.origin, rig.brokers);
        rig.waits_with(&hello).await;
        rig.drain.cancel();
        let connack = [0x20, 3, 0, 0x88, 0];
        assert_eq!(read_to_end(rig.client).await, connack);
        assert_eq!(rig.session.await.unwrap(), CloseReason::Drain);

        let mut rig = Rig::serve(rig.shared, rig.origin, rig.brokers);
        rig.waits_with(&hello).await;
        hold.release();
        last.comes_to_its_end().await;
        rig.arrives_with(&hello).await;
    });
}
