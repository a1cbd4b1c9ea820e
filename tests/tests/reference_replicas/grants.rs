//! What a user may do no longer is taken from live sessions, and nothing else is.

use std::time::Instant;

use tidegate_tests::{
    Client, Version,
    gate::Settings,
    packet::Kind,
    process::Signal,
    reference::Reference,
    wait::{PATIENCE, eventually},
};
use toml::{Table, Value};

use super::scene::Scene;

const NOT_AUTHORIZED: u8 = 0x87;

#[test]
fn a_grant_that_is_revoked_unsubscribes() {
    let scene = Scene::replicated(&Settings::default());
    for user in ["alice", "alice2"] {
        scene.user(&["grant", user, "news/#", "--subscribe"], "");
    }
    let mut readers = Readers::subscribed(&scene);
    let done = scene.user(&["revoke", "alice", "news/#"], "");
    let left = readers.lose("alice");
    println!("user revoke: unsubscribed {}", done.and(&left));
}

#[test]
fn a_role_that_is_taken_from_a_user_unsubscribes() {
    let scene = Scene::replicated(&with_readers());
    for user in ["alice", "alice2"] {
        scene.user(&["grant", user, "--role", "readers"], "");
    }
    let mut readers = Readers::subscribed(&scene);
    let done = scene.user(&["revoke", "alice", "--role", "readers"], "");
    let left = readers.lose("alice");
    println!("user revoke --role: unsubscribed {}", done.and(&left));
}

#[test]
fn a_role_that_is_taken_from_the_configuration_unsubscribes() {
    let scene = Scene::replicated(&with_readers());
    scene.user(&["grant", "alice", "--role", "readers"], "");
    scene.user(&["grant", "alice2", "news/#", "--subscribe"], "");
    let mut readers = Readers::subscribed(&scene);
    let begun = Instant::now();
    for replica in &scene.replicas {
        scene.reconfigure(replica, &Settings::default());
        replica.signal(Signal::HUP);
    }
    let left = readers.lose("alice");
    let after: Vec<_> = left.iter().map(|at| *at - begun).collect();
    println!("role removed by reload: unsubscribed {after:.0?} after the files were written");
}

/// A gate watches one replica and asks both. While they are given a new policy one after the other, its question may be
/// answered by the old one.
#[test]
fn replicas_that_reload_one_after_the_other_leave_nothing_open() {
    let scene = Scene::replicated(&with_readers());
    scene.user(&["grant", "alice", "--role", "readers"], "");
    scene.user(&["grant", "alice2", "news/#", "--subscribe"], "");
    let mut readers = Readers::subscribed(&scene);
    for (replica, gate) in scene.replicas.iter().zip(&scene.gates) {
        let metrics = gate.gate().metrics();
        let (name, labels) = ("tidegate_control_directives_total", [("kind", "recheck")]);
        let before = metrics.value(name, &labels);
        scene.reconfigure(replica, &Settings::default());
        replica.signal(Signal::HUP);
        // Its own gate has asked whatever it asks because of this one.
        eventually(
            "a recheck, what the replicas tell each other, and its echo",
            || (metrics.value(name, &labels) >= before + 3).then_some(()),
        );
    }
    readers.lose("alice");
}

/// A role by which news can be read.
fn with_readers() -> Settings {
    let mut grant = Table::new();
    grant.insert("topic".into(), "news/#".into());
    grant.insert("subscribe".into(), true.into());
    let grants: Value = vec![Value::Table(grant)].into();
    Settings::default().set("roles.readers.grants", grants)
}

/// Sessions of alice and alice2 at all gates, which read news and what is their own.
struct Readers {
    publisher: Client,
    sessions: Vec<(&'static str, Client)>,
    published: u32,
}

impl Readers {
    #[track_caller]
    fn subscribed(scene: &Scene) -> Self {
        let mut sessions = Vec::new();
        for user in ["alice", "alice2"] {
            for mut client in scene.everywhere(user) {
                // Until the replica that is asked has heard of what was granted a moment ago.
                eventually("they may read news", || {
                    client.subscribe(&["news/#", &format!("{user}/marker")]);
                    (client.expect(Kind::Suback).codes() == [2, 2]).then_some(())
                });
                sessions.push((user, client));
            }
        }
        let publisher = scene.gates[0].connect(Version::V5, "root");
        let mut readers = Self {
            publisher,
            sessions,
            published: 0,
        };
        assert!(readers.round().iter().all(|gets| *gets));
        readers
    }

    /// Publishes until none of the sessions of a user gets news; when each of them was found to get none. Nobody gets
    /// news again, nobody else loses them, and every session goes on.
    #[track_caller]
    fn lose(&mut self, loser: &str) -> Vec<Instant> {
        let mut lost = vec![None; self.sessions.len()];
        let begun = Instant::now();
        let is_loser: Vec<_> = self
            .sessions
            .iter()
            .map(|(user, _)| *user == loser)
            .collect();
        while lost.iter().flatten().count() < 2 {
            assert!(begun.elapsed() < PATIENCE, "still gets news: {lost:?}");
            self.look(&mut lost, &is_loser);
        }
        for _ in 0..20 {
            self.look(&mut lost, &is_loser);
        }
        for (user, client) in &mut self.sessions {
            client.expect_nothing_before_pong();
            let id = client.subscribe(&["news/#", &format!("{user}/more")]);
            let news = if *user == loser { NOT_AUTHORIZED } else { 2 };
            client.expect_suback(id, &[news, 2]);
            let id = client.publish(1, &format!("{user}/own"), "");
            client.complete(1, id);
        }
        lost.into_iter().flatten().collect()
    }

    #[track_caller]
    fn look(&mut self, lost: &mut [Option<Instant>], is_loser: &[bool]) {
        let gets = self.round();
        let now = Instant::now();
        for ((lost, gets), is_loser) in lost.iter_mut().zip(gets).zip(is_loser) {
            assert!(*is_loser || gets, "somebody else lost the news");
            assert!(!gets || lost.is_none(), "news came again");
            if !gets && lost.is_none() {
                *lost = Some(now);
            }
        }
    }

    /// Publishes news and then something else to each user. Which sessions get the news?
    #[track_caller]
    fn round(&mut self) -> Vec<bool> {
        self.published += 1;
        let text = self.published.to_string();
        for topic in ["news/today", "alice/marker", "alice2/marker"] {
            let id = self.publisher.publish(1, topic, &text);
            self.publisher.complete(1, id);
        }
        let read = |(user, client): &mut (&'static str, Client)| {
            let packet = client.expect(Kind::Publish);
            client.acknowledge(&packet);
            let gets = packet.topic() == "news/today";
            if gets {
                assert_eq!(packet.payload(), text.as_bytes());
                client.expect_publish(&format!("{user}/marker"), &text);
            } else {
                assert_eq!(packet.topic(), format!("{user}/marker"));
                assert_eq!(packet.payload(), text.as_bytes());
            }
            gets
        };
        self.sessions.iter_mut().map(read).collect()
    }
}

impl Scene {
    /// Gives a replica another configuration, with the same users.
    fn reconfigure(&self, replica: &Reference, settings: &Settings) {
        match &self.postgres {
            Some(postgres) => replica.configure(&super::scene::users_in(settings, postgres)),
            None => replica.configure(settings),
        }
    }
}
