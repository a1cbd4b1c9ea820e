use std::sync::{
    Mutex,
    atomic::{AtomicUsize, Ordering},
};

use futures_util::future::join_all;
use tokio::time::sleep;

use super::*;

/// What a name server does.
#[derive(Clone)]
enum Server {
    Says(Vec<SocketAddr>),
    Fails,
    Hangs,
}

/// A name server that changes, and is counted.
#[derive(Clone)]
struct Names {
    server: Arc<Mutex<Server>>,
    asked: Arc<AtomicUsize>,
}

impl Names {
    fn new(server: Server) -> (Self, Arc<Resolver>) {
        let names = Self {
            server: Arc::new(Mutex::new(server)),
            asked: Arc::default(),
        };
        let asking = names.clone();
        let resolver = Resolver::with("broker.example", 1883, move |_, _| {
            asking.asked.fetch_add(1, Ordering::Relaxed);
            let server = asking.server.lock().unwrap().clone();
            Box::pin(async move {
                sleep(Duration::from_millis(20)).await;
                match server {
                    Server::Says(addresses) => Ok(addresses),
                    Server::Fails => Err(io::Error::other("no answer")),
                    Server::Hangs => std::future::pending().await,
                }
            })
        });
        (names, Arc::new(resolver))
    }

    fn set(&self, server: Server) {
        *self.server.lock().unwrap() = server;
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A resolver that finds these addresses.
pub(in crate::upstream) fn fixed(addresses: Vec<SocketAddr>) -> Arc<Resolver> {
    Names::new(Server::Says(addresses)).1
}

fn address(last: u8) -> SocketAddr {
    ([10, 0, 0, last], 1883).into()
}

#[tokio::test(start_paused = true)]
async fn many_dials_make_one_look_up_that_is_kept() {
    let (names, resolver) = Names::new(Server::Says(vec![address(1)]));
    let all = join_all((0..1000).map(|_| resolver.addresses())).await;
    assert!(all.iter().all(|it| it.as_ref().unwrap() == &[address(1)]));
    assert_eq!(names.asked(), 1);
    names.set(Server::Says(vec![address(2)]));
    assert_eq!(resolver.addresses().await.unwrap(), [address(1)]);
    sleep(KEEP).await;
    assert_eq!(resolver.addresses().await.unwrap(), [address(2)]);
    assert_eq!(names.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn without_name_servers_the_last_addresses_stay_for_minutes() {
    let (names, resolver) = Names::new(Server::Says(vec![address(1)]));
    resolver.addresses().await.unwrap();
    names.set(Server::Fails);
    let began = Instant::now();
    while began.elapsed() < STALE - KEEP {
        assert_eq!(resolver.addresses().await.unwrap(), [address(1)]);
        sleep(Duration::from_millis(100)).await;
    }
    // However often it is asked for.
    assert!(names.asked() <= 2 + 300, "{}", names.asked());
    sleep(KEEP * 2).await;
    let error = resolver.addresses().await.unwrap_err().to_string();
    assert_eq!(error, "cannot look up broker.example: no answer");
    names.set(Server::Says(Vec::new()));
    sleep(RETRY).await;
    let error = resolver.addresses().await.unwrap_err().to_string();
    assert!(error.contains("no addresses"), "{error}");
    names.set(Server::Says(vec![address(3)]));
    sleep(RETRY).await;
    assert_eq!(resolver.addresses().await.unwrap(), [address(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_name_server_that_hangs_gets_one_question_and_holds_up_nobody_for_long() {
    let (names, resolver) = Names::new(Server::Says(vec![address(1)]));
    resolver.addresses().await.unwrap();
    names.set(Server::Hangs);
    sleep(KEEP).await;
    let began = Instant::now();
    let all = join_all((0..1000).map(|_| resolver.addresses())).await;
    assert!(all.iter().all(|it| it.as_ref().unwrap() == &[address(1)]));
    assert_eq!(began.elapsed(), PATIENCE);
    assert_eq!(names.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn dials_that_are_given_up_leave_one_look_up_behind() {
    let (names, resolver) = Names::new(Server::Hangs);
    for _ in 0..1000 {
        let dial = timeout(Duration::from_millis(10), resolver.addresses());
        dial.await.unwrap_err();
    }
    assert_eq!(names.asked(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_won_last_comes_first_for_a_while() {
    let (_, resolver) = Names::new(Server::Fails);
    let all = || vec![address(1), address(2), address(3)];
    assert_eq!(resolver.in_turn(all()), all());
    resolver.prefer(address(3));
    let turned = [address(3), address(1), address(2)];
    assert_eq!(resolver.in_turn(all()), turned);
    assert_eq!(resolver.in_turn(vec![address(1)]), [address(1)]);
    sleep(PREFER).await;
    assert_eq!(resolver.in_turn(all()), all());
}

#[tokio::test]
async fn an_address_is_no_name() {
    let resolver = Arc::new(Resolver::new("::1", 7));
    let found = resolver.addresses().await.unwrap();
    assert_eq!(found, ["[::1]:7".parse().unwrap()]);
}
