//! Who is removed, disabled or has another password is disconnected, wherever their sessions are.

use std::{thread, time::Instant};

use tidegate_tests::{Client, gate::Settings, reference::password};

use super::scene::Scene;

/// Administrative action.
const ENDED: u8 = 0x98;

#[test]
fn who_is_removed_is_disconnected_everywhere() {
    let scene = Scene::replicated(&Settings::default());
    ends(&scene, "user rm", &["rm", "alice"], "");
    assert_eq!(scene.codes("alice", &password("alice")), [0x86; 2]);
}

#[test]
fn who_is_disabled_is_disconnected_everywhere() {
    let scene = Scene::replicated(&Settings::default());
    ends(&scene, "user disable", &["disable", "alice"], "");
    assert_eq!(scene.codes("alice", &password("alice")), [0x8A; 2]);
    scene.user(&["enable", "alice"], "");
    assert_eq!(scene.codes("alice", &password("alice")), [0; 2]);
}

#[test]
fn who_has_another_password_is_disconnected_everywhere() {
    let scene = Scene::replicated(&Settings::default());
    // What was right a moment ago is believed without being verified again, but not against another hash.
    assert_eq!(scene.codes("alice", &password("alice")), [0; 2]);
    ends(&scene, "user passwd", &["passwd", "alice"], "another one");
    assert_eq!(scene.codes("alice", &password("alice")), [0x86; 2]);
    assert_eq!(scene.codes("alice", "another one"), [0; 2]);
}

#[test]
fn one_replica_on_sqlite_does_the_same() {
    let scene = Scene::small(&Settings::default());
    let what = ["user passwd", "user disable", "user rm"].map(|what| format!("SQLite, {what}"));
    ends(&scene, &what[0], &["passwd", "alice"], &password("alice"));
    ends(&scene, &what[1], &["disable", "alice"], "");
    scene.user(&["enable", "alice"], "");
    ends(&scene, &what[2], &["rm", "alice"], "");
    assert_eq!(scene.codes("alice", &password("alice")), [0x86]);
}

/// Ends alice's sessions, and nobody else's.
#[track_caller]
fn ends(scene: &Scene, what: &str, arguments: &[&str], input: &str) {
    let alices = scene.everywhere("alice");
    let mut others = scene.everywhere("alice2");
    let (done, ended) = thread::scope(|scope| {
        let waiting: Vec<_> = alices
            .into_iter()
            .map(|alice| scope.spawn(|| end_of(alice)))
            .collect();
        let done = scene.user(arguments, input);
        let ended: Vec<_> = waiting.into_iter().map(|it| it.join().unwrap()).collect();
        (done, ended)
    });
    println!("{what}: sessions ended {}", done.and(&ended));
    for other in &mut others {
        other.expect_nothing_before_pong();
    }
}

fn end_of(mut client: Client) -> Instant {
    client.expect_end(ENDED);
    Instant::now()
}
