//! Names whose addresses change.

use std::{collections::VecDeque, io, sync::Mutex};

use tokio::time::advance;

use super::*;
use crate::authz::NameLookup;

type Answers = Arc<Mutex<VecDeque<io::Result<Vec<SocketAddr>>>>>;

/// Gives these answers, the last one for ever.
fn scripted(answers: impl IntoIterator<Item = io::Result<Vec<SocketAddr>>>) -> (Lookup, Answers) {
    let answers: Answers = Arc::new(Mutex::new(answers.into_iter().collect()));
    let given = Arc::clone(&answers);
    let lookup: Lookup = Arc::new(move |name| {
        assert_eq!(name, "authz.example:50051");
        let mut answers = given.lock().unwrap();
        let answer = match answers.len() {
            1 => match &answers[0] {
                Ok(addresses) => Ok(addresses.clone()),
                Err(error) => Err(error.kind().into()),
            },
            _ => answers.pop_front().unwrap(),
        };
        Box::pin(async { answer })
    });
    (lookup, answers)
}

fn start_with(lookup: Lookup) -> Authz {
    let options = AuthzOptions {
        endpoints: vec!["dns:authz.example:50051".parse().unwrap()],
        lookup: NameLookup(lookup),
        ..AuthzOptions::default()
    };
    Authz::start(&options, v1::DataPlane::default())
}

#[tokio::test]
async fn all_addresses_of_a_name_are_endpoints() {
    let (first, first_calls) = replica(ANY, well).await;
    let (second, second_calls) = replica(ANY, well).await;
    let (lookup, _) = scripted([Ok(vec![first.address, second.address])]);
    let authz = start_with(lookup);
    until_all_up(&authz, 2).await;
    settle(&authz, 50).await;
    for calls in [first_calls, second_calls] {
        assert!(calls.load(Ordering::Relaxed) > 0);
    }
}

#[tokio::test]
async fn new_addresses_are_found_when_the_old_ones_are_gone() {
    let (old, _) = replica(ANY, well).await;
    let (new, _) = replica(ANY, well).await;
    let (lookup, answers) = scripted([Ok(vec![old.address])]);
    let authz = start_with(lookup);
    settle(&authz, 3).await;
    *answers.lock().unwrap() = [Ok(vec![new.address])].into();
    old.stop().await;
    settle(&authz, 20).await;
    let endpoints = authz.counters().endpoints();
    let addresses = endpoints.iter().map(|one| one.address.as_str());
    assert_eq!(addresses.collect::<Vec<_>>(), [new.address.to_string()]);
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_is_unavailable_until_it_can() {
    let (service, _) = replica(ANY, well).await;
    let unknown = || io::Error::from(io::ErrorKind::NotFound);
    let (lookup, answers) = scripted([Err(unknown())]);
    let authz = start_with(lookup);
    assert_eq!(ask(&authz).await, Verdict::Unavailable(Why::Unavailable));
    *answers.lock().unwrap() = [Ok(vec![service.address])].into();
    settle(&authz, 3).await;
    // And then it is known, whatever becomes of the name.
    *answers.lock().unwrap() = [Err(unknown())].into();
    settle(&authz, 20).await;
}

/// What is told of a name while time passes.
#[tokio::test(start_paused = true)]
async fn a_name_is_looked_up_every_half_minute_and_soon_when_wanted() {
    let address = |n: u8| SocketAddr::from(([10, 0, 0, n], 50051));
    let (lookup, _) = scripted([
        Ok(vec![address(1)]),
        Err(io::ErrorKind::TimedOut.into()),
        Ok(vec![]),
        Ok(vec![address(2)]),
    ]);
    let told = Arc::<Mutex<Vec<Option<Vec<SocketAddr>>>>>::default();
    let wanted = Arc::new(Notify::new());
    {
        let (told, wanted) = (Arc::clone(&told), Arc::clone(&wanted));
        tokio::spawn(async move {
            let target = "dns:authz.example:50051".parse().unwrap();
            let tell = |found: Result<_, _>| told.lock().unwrap().push(found.ok());
            match resolve::follow(&target, lookup, &wanted, tell).await {}
        });
    }
    let after = async |seconds| {
        tokio::task::yield_now().await;
        advance(Duration::from_secs(seconds)).await;
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        told.lock().unwrap().len()
    };
    assert_eq!(after(0).await, 1);
    assert_eq!(after(20).await, 1);
    assert_eq!(after(17).await, 2);
    wanted.notify_one();
    assert_eq!(after(1).await, 3);
    assert_eq!(after(37).await, 4);
    let told = told.lock().unwrap();
    assert_eq!(
        *told,
        [Some(vec![address(1)]), None, None, Some(vec![address(2)])]
    );
}

// What is counted has the address for a label, so it must not be there twice.
#[tokio::test]
async fn an_endpoint_that_comes_back_is_counted_once() {
    let counters = Counters::default();
    let address = || "10.0.0.1:50051".to_owned();
    let first = counters.endpoint(HookKind::Publish, address());
    first.call(HookKind::Publish, "OK", Duration::from_millis(1));
    first.set_up(true);
    // A call of its former life still holds it.
    let again = counters.endpoint(HookKind::Publish, address());
    let _other = counters.endpoint(HookKind::Subscribe, address());
    assert_eq!(counters.endpoints().len(), 2);
    assert!(!again.is_healthy(), "it is not connected yet");
    assert_eq!(again.calls()[0].2.count(), 1);
    drop((first, again));
    assert_eq!(counters.endpoints().len(), 1, "who is gone is forgotten");
}
