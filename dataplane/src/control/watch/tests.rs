use std::{
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex},
};

use futures_util::Stream;
use tokio::{net::TcpListener, sync::mpsc, task::JoinHandle};
use tonic::{
    Response, Status,
    transport::{Server, server::TcpIncoming},
};
use v1::control_service_server::{ControlService, ControlServiceServer};

use super::*;
use crate::{
    authz::{AuthzOptions, Epochs, Seat, Who},
    control::ControlParts,
    events::Events,
    metrics::ControlMetrics,
    session::{Budget, Registry, testing::Session, testing::enter},
};

fn invalidate() -> Directive {
    Directive::Invalidate(Selector::All)
}

fn recheck() -> Directive {
    Directive::Recheck(Selector::All)
}

fn opening(resume_token: &str) -> Opening {
    let mut position = Position::default();
    position.reached(resume_token.to_owned());
    position.opening()
}

fn is_lost(resume_token: &str, directives: &[Directive]) -> bool {
    let mut opening = opening(resume_token);
    let mut signs = directives
        .iter()
        .map(|directive| opening.is_lost(directive));
    signs.any(|sign| sign)
}

#[test]
fn a_position_is_lost_if_everything_is_taken_back_first() {
    let some = Directive::Recheck(Selector::Client("c".to_owned()));
    assert!(is_lost("7", &[invalidate(), recheck()]));
    assert!(is_lost(
        "7",
        &[Directive::Heartbeat, recheck(), invalidate()]
    ));
    assert!(!is_lost("", &[invalidate(), recheck()]), "there was none");
    assert!(!is_lost("7", &[some, invalidate(), recheck()]), "later");
    assert!(!is_lost(
        "7",
        &[invalidate(), Directive::Unknown, recheck()]
    ));
    assert!(!is_lost("7", &[recheck()]));
}

#[test]
fn a_position_is_told_once() {
    let mut opening = opening("7");
    assert!(!opening.is_lost(&invalidate()));
    assert!(opening.is_lost(&recheck()));
    assert!(!opening.is_lost(&recheck()));
}

#[test]
fn a_watch_goes_on_from_the_last_position_that_is_known() {
    let mut position = Position::default();
    assert!(!position.opening().resumes, "the first");
    position.reached("7".to_owned());
    assert!(position.opening().resumes);
    // A service that names none does not take the last one back.
    position.reached(String::new());
    assert_eq!(position.resume_token, "7");
    position.reached("x".repeat(MAX_TOKEN + 1));
    assert!(!position.opening().resumes);
}

/// What a stream says: a message, or its end.
type Word = Result<v1::WatchDirectivesResponse, Status>;

/// A ControlService whose streams the test holds.
#[derive(Clone, Default)]
struct Desk {
    /// Streams that are opened are refused in this way, the last one first.
    refusals: Arc<Mutex<Vec<Status>>>,
    /// The streams that are open, in their order.
    open: Arc<Mutex<Vec<mpsc::UnboundedSender<Word>>>>,
}

#[tonic::async_trait]
impl ControlService for Desk {
    type WatchDirectivesStream = Pin<Box<dyn Stream<Item = Word> + Send>>;

    async fn watch_directives(
        &self,
        _: Request<v1::WatchDirectivesRequest>,
    ) -> Result<Response<Self::WatchDirectivesStream>, Status> {
        if let Some(status) = self.refusals.lock().unwrap().pop() {
            return Err(status);
        }
        let (words, mut said) = mpsc::unbounded_channel();
        self.open.lock().unwrap().push(words);
        let said = futures_util::stream::poll_fn(move |cx| said.poll_recv(cx));
        Ok(Response::new(Box::pin(said)))
    }
}

impl Desk {
    async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = Server::builder().add_service(ControlServiceServer::new(self.clone()));
        tokio::spawn(service.serve_with_incoming(TcpIncoming::from(listener)));
        address
    }

    fn streams(&self) -> usize {
        self.open.lock().unwrap().len()
    }

    /// Says something on the last stream.
    fn say(&self, word: Word) {
        let _ = self.open.lock().unwrap().last().unwrap().send(word);
    }

    fn heartbeat(&self, resume_token: &str) {
        use v1::watch_directives_response::Directive as Pushed;
        self.say(Ok(v1::WatchDirectivesResponse {
            resume_token: resume_token.to_owned(),
            directive: Some(Pushed::Heartbeat(v1::Heartbeat {})),
        }));
    }
}

struct Rig {
    desk: Desk,
    registry: Arc<Registry>,
    _watch: JoinHandle<()>,
}

impl Rig {
    async fn start(desk: Desk) -> Self {
        let silence = Duration::from_secs(75);
        let registry = Arc::new(Registry::new(Arc::new(Epochs::watched(silence))));
        let options = AuthzOptions {
            endpoints: vec![format!("http://{}", desk.serve().await).parse().unwrap()],
            ..AuthzOptions::default()
        };
        let parts = ControlParts {
            registry: Arc::clone(&registry),
            terminations: Arc::new(Budget::new(1)),
            events: Events::default(),
            metrics: ControlMetrics::default(),
        };
        let data_plane = v1::DataPlane::default();
        let contact = Contact::new(&options, data_plane.clone());
        let watch = Watch::new(contact, data_plane, silence, Orders::new(parts));
        Self {
            desk,
            registry,
            _watch: tokio::spawn(async move { match watch.run().await {} }),
        }
    }

    fn is_fresh(&self) -> bool {
        self.registry.epochs().is_fresh()
    }

    fn enter(&self) -> Session {
        let seat = Arc::new(Seat::new([127, 0, 0, 1].into()));
        enter(&self.registry, seat, Arc::new(Who::default()))
    }
}

/// Waits until something is so.
async fn until(is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), waiting).await.unwrap();
}

#[tokio::test]
async fn who_was_there_before_the_first_stream_is_asked_about_again() {
    let rig = Rig::start(Desk::default()).await;
    until(|| rig.desk.streams() == 1).await;
    let mut before = rig.enter();
    let asked = rig.registry.epochs().current();
    rig.desk.heartbeat("");
    until(|| rig.is_fresh()).await;
    let mut after = rig.enter();
    assert!(before.seat().stamp().outdates(asked));
    assert!(before.orders().0);
    assert!(!after.orders().0);
}

#[tokio::test]
async fn nothing_is_fresh_without_a_stream_or_before_it_says_something() {
    let rig = Rig::start(Desk::default()).await;
    for number in 1..=3 {
        until(|| rig.desk.streams() == number).await;
        assert!(!rig.is_fresh());
        rig.desk.heartbeat("7");
        until(|| rig.is_fresh()).await;
        match number {
            1 => drop(rig.desk.open.lock().unwrap().pop()),
            _ => rig.desk.say(Err(Status::internal("broken"))),
        }
        if number == 1 {
            rig.desk
                .open
                .lock()
                .unwrap()
                .insert(0, mpsc::unbounded_channel().0);
        }
        until(|| !rig.is_fresh()).await;
    }
}

/// Five minutes without revocation would be the answer to one that never was there.
#[tokio::test]
async fn one_that_was_there_is_looked_for_soon() {
    let rig = Rig::start(Desk::default()).await;
    until(|| rig.desk.streams() == 1).await;
    rig.desk.heartbeat("7");
    until(|| rig.is_fresh()).await;
    let absent = Status::unimplemented("another version");
    rig.desk
        .refusals
        .lock()
        .unwrap()
        .extend([absent.clone(), absent]);
    rig.desk.say(Err(Status::unavailable("restart")));
    until(|| rig.desk.streams() == 2).await;
}
