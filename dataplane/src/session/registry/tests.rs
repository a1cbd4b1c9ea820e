use std::{net::Ipv4Addr, time::Duration};

use tokio_test::{assert_pending, assert_ready, task};

use super::*;

fn registry() -> Arc<Registry> {
    let epochs = Arc::new(Epochs::watched(Duration::from_secs(75)));
    Arc::new(Registry::new(epochs))
}

fn who(session: &str, client: &str, username: Option<&str>, principal: &str) -> Arc<Who> {
    Arc::new(Who {
        session_id: session.to_owned(),
        client_id: client.to_owned(),
        username: username.map(str::to_owned),
        principal: principal.to_owned(),
    })
}

fn enter(registry: &Arc<Registry>, who: &Arc<Who>) -> (Registration, Arc<Seat>) {
    let seat = Arc::new(Seat::new(Ipv4Addr::LOCALHOST.into()));
    (registry.enter(&seat, who, None), seat)
}

fn farewell(code: ReasonCode) -> Farewell {
    Farewell {
        code,
        reason_string: None,
        at_once: false,
    }
}

#[tokio::test]
async fn sessions_are_chosen_by_any_of_their_names() {
    let registry = registry();
    let (one, seat) = enter(&registry, &who("s1", "", None, ""));
    one.name(&who("s1", "c1", Some("u1"), ""));
    one.name(&who("s1", "c1", Some("u1"), "p1"));
    let (_other, other) = enter(&registry, &who("s2", "c2", None, "p2"));
    let names = ["s1", "c1", "u1", "p1"].map(str::to_owned);
    let [session, client, username, principal] = names;
    for selector in [
        Selector::Session(session),
        Selector::Client(client),
        Selector::Username(username),
        Selector::Principal(principal),
    ] {
        let epoch = registry.epochs().advance(None);
        assert_eq!(registry.choose(&selector, epoch).len(), 1, "{selector:?}");
        assert_eq!(seat.stamp().last(), epoch);
    }
    assert_eq!(other.stamp().last(), 0);
    for selector in [
        Selector::Session("c1".into()),
        Selector::Client("s1".into()),
        // It has none.
        Selector::Username(String::new()),
        Selector::Principal("p".into()),
    ] {
        assert!(registry.choose(&selector, 9).is_empty(), "{selector:?}");
    }
    assert_eq!(registry.choose(&Selector::All, 9).len(), 2);
    drop(one);
    assert_eq!(registry.choose(&Selector::All, 9).len(), 1);
    assert_eq!(registry.len(), 1);
}

#[tokio::test]
async fn orders_wake_the_session_and_become_one() {
    let registry = registry();
    let (session, _) = enter(&registry, &who("s", "c", None, ""));
    let mut orders = task::spawn(std::future::poll_fn(|cx| session.poll_orders(cx)));
    assert_pending!(orders.poll());
    let chosen = registry.choose(&Selector::All, 1);
    for slot in &chosen {
        slot.recheck(None);
        slot.recheck(None);
        slot.terminate(&farewell(ReasonCode::NOT_AUTHORIZED), None);
        slot.terminate(&farewell(ReasonCode::ADMINISTRATIVE_ACTION), None);
    }
    assert!(orders.is_woken());
    let taken = assert_ready!(orders.poll());
    assert!(taken.recheck);
    assert_eq!(taken.farewell, Some(farewell(ReasonCode::NOT_AUTHORIZED)));
    drop(orders);
    let mut orders = task::spawn(std::future::poll_fn(|cx| session.poll_orders(cx)));
    assert_pending!(orders.poll());
}

/// It keeps the memory of an idle client small.
#[test]
fn a_session_takes_little() {
    let bytes = size_of::<Slot>() + size_of::<Entry>() + size_of::<Registration>();
    assert!(bytes <= 400, "{bytes}");
}

#[tokio::test]
async fn a_page_that_lost_sessions_is_not_the_last() {
    let epochs = Arc::new(Epochs::unwatched());
    let registry = Arc::new(Registry::new(epochs).listing());
    let enter = |name: &str| {
        let seat = Arc::new(Seat::new(Ipv4Addr::LOCALHOST.into()));
        registry.enter(&seat, &who(name, "", None, ""), Some(Arrival::testing()))
    };
    let mut all: Vec<_> = (0..5).map(|number| enter(&format!("s{number}"))).collect();
    let numbers = registry.numbers(&Selector::All, None, 3);
    assert_eq!(numbers.len(), 3);
    // It ends after the page was picked, and before it is written.
    drop(all.remove(2));
    let (page, next) = registry.listed(&numbers, 3);
    assert_eq!((page.len(), next), (2, Some(numbers[2])));
    let (page, next) = registry.list(&Selector::All, next, 3);
    assert_eq!((page.len(), next), (2, None));
    let names: Vec<_> = page.iter().map(|one| &*one.who.session_id).collect();
    assert_eq!(names, ["s3", "s4"]);
}
