//! A client that tries what is allowed and what is not, and says what it saw.

mod client;

use crate::screen::{Colour, Screen};
use anyhow::{Context as _, ensure};
use client::{Answer, Client};
use std::{net::SocketAddr, time::Duration};
use tokio::time::{sleep, timeout};

/// For the gate's answer to anything.
const PATIENCE: Duration = Duration::from_secs(10);

/// Decisions and answers reach the screen by different ways. After this long, the decision has.
const DECISION_FIRST: Duration = Duration::from_millis(100);

/// Plays the demo. Fails if anything goes otherwise than it should.
pub(crate) async fn run(gate: SocketAddr, screen: Screen) -> anyhow::Result<()> {
    let demo = Demo { screen };

    let mut stranger = Client::new(gate).await.context("cannot reach the gate")?;
    demo.see(
        "alice connects with a wrong password",
        stranger.connect("alice", "guess"),
        Answer::codes("CONNACK", &[0x86]),
    )
    .await?;

    let mut alice = Client::new(gate).await.context("cannot reach the gate")?;
    demo.see(
        "alice connects with her password",
        alice.connect("alice", "alice"),
        Answer::codes("CONNACK", &[0x00]),
    )
    .await?;
    demo.see(
        "alice subscribes to alice/# and bob/# in one packet",
        alice.subscribe(&["alice/#", "bob/#"]),
        Answer::codes("SUBACK", &[0x01, 0x87]),
    )
    .await?;
    demo.see(
        "alice publishes to bob/hello",
        alice.publish("bob/hello", "hi"),
        Answer::codes("PUBACK", &[0x87]),
    )
    .await?;
    demo.see(
        "alice publishes to alice/hello",
        alice.publish("alice/hello", "hi"),
        Answer::codes("PUBACK", &[0x00]),
    )
    .await?;
    demo.see(
        "alice is sent what she subscribed to",
        alice.message(),
        Answer::Message("alice/hello hi".to_owned()),
    )
    .await?;
    alice.disconnect().await
}

/// The demo's view of the screen.
struct Demo {
    screen: Screen,
}

impl Demo {
    /// Tells what the client tried and what came of it, which must be what is expected.
    async fn see(
        &self,
        what: &str,
        answer: impl Future<Output = anyhow::Result<Answer>>,
        expected: Answer,
    ) -> anyhow::Result<()> {
        let answer = timeout(PATIENCE, answer).await.context("no answer");
        let answer = answer.flatten().with_context(|| what.to_owned())?;
        sleep(DECISION_FIRST).await;

        let client = self.screen.paint().with(Colour::Bold, "  client");
        let line = format!("{client}  {what}: {answer}");
        self.screen.show(line)?;
        ensure!(answer == expected, "{what}: expected {expected}");
        Ok(())
    }
}
