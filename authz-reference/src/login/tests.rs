use std::{
    num::NonZeroUsize,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use argon2::{Argon2, Params, PasswordHasher as _};

use super::*;
use crate::{hashing::HashingLimits, password::PasswordHash, users::Account};

/// A store with one user, or somebody who says who it is.
#[derive(Debug)]
struct Source {
    asked: Arc<AtomicUsize>,
    user: Arc<Mutex<Option<Arc<User>>>>,
    stored: bool,
}

#[tonic::async_trait]
impl UserSource for Source {
    fn name(&self) -> &'static str {
        "test"
    }

    async fn find(&self, login: &Login<'_>, _: Deadline) -> Result<Found, SourceError> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let name = UserName::new(login.username.unwrap()).unwrap();
        let user = self.user.lock().unwrap().clone();
        let right = login.password.unwrap().expose() == b"right";
        Ok(match user {
            None => Found::NotMine,
            Some(user) if self.stored => Found::Stored(name, Credential::Known(user)),
            Some(user) if right => Found::Verified(Verified {
                name,
                account: user.account.clone(),
                expires_at: None,
                rule: "test",
            }),
            Some(_) => Found::Refused(Refusal::UnknownUserOrPassword),
        })
    }
}

struct Rig {
    logins: Logins,
    asked: Arc<AtomicUsize>,
    user: Arc<Mutex<Option<Arc<User>>>>,
}

const MINUTE: Duration = Duration::from_secs(60);

fn rig(stored: bool, ttl: Duration) -> Rig {
    let asked = Arc::default();
    let user = Arc::new(Mutex::new(Some(alice("right"))));
    let source = Source {
        asked: Arc::clone(&asked),
        user: Arc::clone(&user),
        stored,
    };
    let pool = HashingPool::new(HashingLimits {
        workers: NonZeroUsize::MIN,
        queue: 0,
    });
    let believed = Believed::new(ttl).unwrap();
    Rig {
        logins: Logins::new(vec![Box::new(source)], pool, believed),
        asked,
        user,
    }
}

fn alice(password: &str) -> Arc<User> {
    let cheap = Argon2::from(Params::new(64, 1, 1, None).unwrap());
    let hash = cheap.hash_password(password.as_bytes()).unwrap();
    Arc::new(User {
        password: PasswordHash::parse(&hash.to_string()).unwrap(),
        account: Account::default(),
    })
}

impl Rig {
    async fn log_in(&self, password: &str) -> Result<(), NotIn> {
        let password = Password::new(password.as_bytes());
        let login = Login {
            username: Some("alice"),
            password: Some(&password),
            client_id: "c1",
            tls: None,
            listener: "mqtt",
        };
        let logged_in = self
            .logins
            .log_in(&login, Deadline::NONE, &Span::none())
            .await?;
        assert_eq!(logged_in.unwrap().verified.name.as_str(), "alice");
        Ok(())
    }

    /// With the one worker taken, only what needs none gets in.
    async fn log_in_without_hashing(&self, password: &str) -> Result<(), NotIn> {
        let (done, wait) = std::sync::mpsc::channel::<()>();
        let (running, begun) = tokio::sync::oneshot::channel();
        let pool = self.logins.pool.clone();
        let worker = tokio::spawn(async move {
            let job = move || {
                running.send(()).ok();
                wait.recv().ok();
            };
            pool.run(Deadline::NONE, job).await
        });
        begun.await.unwrap();
        let logged_in = self.log_in(password).await;
        drop(done);
        worker.await.unwrap().unwrap();
        logged_in
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

fn wrong() -> Result<(), NotIn> {
    Err(Refusal::UnknownUserOrPassword.into())
}

fn busy() -> Result<(), NotIn> {
    Err(Busy::QueueFull.into())
}

#[tokio::test]
async fn a_right_password_is_hashed_once() {
    let rig = rig(true, MINUTE);
    assert_eq!(rig.log_in_without_hashing("right").await, busy());
    assert_eq!(rig.log_in("right").await, Ok(()));
    assert_eq!(rig.log_in_without_hashing("right").await, Ok(()));
    assert_eq!(rig.asked(), 3, "the store is asked each time");
}

#[tokio::test]
async fn a_wrong_password_is_hashed_each_time() {
    let rig = rig(true, MINUTE);
    assert_eq!(rig.log_in("right").await, Ok(()));
    for _ in 0..2 {
        assert_eq!(rig.log_in("wrong").await, wrong());
        assert_eq!(rig.log_in_without_hashing("wrong").await, busy());
    }
}

#[tokio::test]
async fn the_old_password_is_wrong_at_once() {
    let rig = rig(true, MINUTE);
    assert_eq!(rig.log_in("right").await, Ok(()));
    *rig.user.lock().unwrap() = Some(alice("other"));
    assert_eq!(rig.log_in("right").await, wrong());
    *rig.user.lock().unwrap() = None;
    assert_eq!(rig.log_in("right").await, wrong());
}

#[tokio::test]
async fn who_has_been_disabled_is_not_let_in_by_memory() {
    let rig = rig(true, MINUTE);
    assert_eq!(rig.log_in("right").await, Ok(()));
    let user = rig.user.lock().unwrap().clone().unwrap();
    let account = Account {
        disabled: true,
        ..Account::default()
    };
    let password = user.password.clone();
    *rig.user.lock().unwrap() = Some(Arc::new(User { password, account }));
    assert_eq!(rig.log_in("right").await, Err(Refusal::Disabled.into()));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_believed_for_ever() {
    let rig = rig(true, MINUTE);
    assert_eq!(rig.log_in("right").await, Ok(()));
    tokio::time::advance(MINUTE).await;
    assert_eq!(rig.log_in_without_hashing("right").await, busy());
}

#[tokio::test]
async fn nor_at_all_if_the_operator_says_so() {
    let rig = rig(true, Duration::ZERO);
    assert_eq!(rig.log_in("right").await, Ok(()));
    assert_eq!(rig.log_in_without_hashing("right").await, busy());
}

#[tokio::test]
async fn equal_logins_at_the_same_time_are_one_verification() {
    let rig = rig(true, MINUTE);
    // One worker, and no queue: a second verification would be told that the pool is busy.
    let all = futures_util::future::join_all((0..20).map(|_| rig.log_in("right"))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    let all = futures_util::future::join_all((0..20).map(|_| rig.log_in("wrong"))).await;
    assert!(all.iter().all(|in_or_not| *in_or_not == wrong()), "{all:?}");
}

#[tokio::test]
async fn what_a_source_says_is_asked_for_each_time() {
    let rig = rig(false, MINUTE);
    for asked in 1..3 {
        assert_eq!(rig.log_in("right").await, Ok(()));
        assert_eq!(rig.asked(), asked);
    }
}
