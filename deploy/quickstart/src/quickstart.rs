//! Starts everything, shows what happens, and ends everything.

use crate::{
    child::{Child, Event},
    demo,
    files::{self, Files},
    leash::GRACE,
    line::Said,
    options::{BrokerChoice, Options},
    role::Role,
    screen::Screen,
    welcome::Welcome,
};
use anyhow::{Context as _, bail};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    time::Duration,
};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::mpsc,
    time::{sleep, timeout},
};

/// From the start of a program to its word that it is ready.
const START: Duration = Duration::from_secs(20);

/// For the last decisions of a demo to be shown.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// Runs the quick start until the user ends it.
pub(crate) fn run(options: &Options) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let mut stop = Stop::new().context("cannot handle signals")?;
        let mut quickstart = Quickstart::new()?;
        let result = tokio::select! {
            result = quickstart.show(options) => result,
            () = stop.requested() => Ok(()),
        };
        tokio::select! {
            ended = quickstart.end() => result.and(ended),
            () = stop.requested() => bail!("ended at once, by a second signal"),
        }
    })
}

/// The programs that run, in the order in which they were started.
struct Quickstart {
    screen: Screen,
    files: Files,
    children: Vec<Child>,
    events: mpsc::UnboundedReceiver<Event>,
    /// For the children to come.
    sender: mpsc::UnboundedSender<Event>,
}

impl Quickstart {
    fn new() -> anyhow::Result<Self> {
        let (sender, events) = mpsc::unbounded_channel();
        Ok(Self {
            screen: Screen::new(),
            files: Files::new().context("cannot make a temporary directory")?,
            children: Vec::new(),
            events,
            sender,
        })
    }

    /// Starts everything and shows what happens, for ever or until the demo is over.
    async fn show(&mut self, options: &Options) -> anyhow::Result<()> {
        let gate = self.start_all(options).await?;
        if options.demo {
            self.demonstrate(gate).await?;
        }
        if !options.exit {
            self.watch().await?;
        }
        Ok(())
    }

    async fn start_all(&mut self, options: &Options) -> anyhow::Result<SocketAddr> {
        check_port(options.port)?;
        let broker = self.broker(&options.broker).await?;
        self.files.prepare_authz().await?;
        let authz = self
            .start(Role::Authz, &["run", "--config", files::AUTHZ])
            .await?;
        self.files.prepare_gate(options.port, &broker, authz)?;
        let gate = self
            .start(Role::Gate, &["run", "--config", files::GATE])
            .await?;

        self.screen.show(Welcome {
            paint: self.screen.paint(),
            gate,
            authz,
            broker: &broker,
            embedded: options.broker == BrokerChoice::Embedded,
            files: self.files.directory(),
            demo: options.demo,
        })?;
        Ok(gate)
    }

    /// Starts the broker, if it does not run already, and returns its URL.
    async fn broker(&mut self, choice: &BrokerChoice) -> anyhow::Result<String> {
        let role = match choice {
            BrokerChoice::Embedded => Role::Broker,
            BrokerChoice::Mosquitto => Role::Mosquitto,
            BrokerChoice::Running(url) => return Ok(url.clone()),
        };
        let address = self.start(role, &[]).await?;
        Ok(format!("mqtt://{address}"))
    }

    /// Starts a program and returns its address once it is ready.
    async fn start(&mut self, role: Role, arguments: &[&str]) -> anyhow::Result<SocketAddr> {
        let directory = self.files.directory();
        let child = Child::start(role, arguments, directory, self.sender.clone())?;
        self.children.push(child);
        let ready = timeout(START, async {
            loop {
                match self.next_event().await? {
                    Event::Said(from, Said::Listening(address)) if from == role => {
                        return Ok(address);
                    }
                    event => self.handle(event)?,
                }
            }
        });
        let late = || format!("{} is not ready after {START:?}", role.name());
        ready.await.with_context(late)?
    }

    /// Runs the demo, and shows what happens meanwhile and shortly after.
    async fn demonstrate(&mut self, gate: SocketAddr) -> anyhow::Result<()> {
        let demo = demo::run(gate, self.screen);
        tokio::select! {
            result = demo => result.context("the demo failed")?,
            ended = self.watch() => ended?,
        }
        tokio::select! {
            () = sleep(LAST_WORDS) => {}
            ended = self.watch() => ended?,
        }
        Ok(())
    }

    /// Shows what happens until something fails.
    async fn watch(&mut self) -> anyhow::Result<()> {
        loop {
            let event = self.next_event().await?;
            self.handle(event)?;
        }
    }

    async fn next_event(&mut self) -> anyhow::Result<Event> {
        // There is always a sender: the one for the children to come.
        self.events.recv().await.context("no child is left")
    }

    fn handle(&mut self, event: Event) -> anyhow::Result<()> {
        match event {
            // The service logs what it decided too; what the gate made of it is what counts.
            Event::Said(Role::Gate, Said::Decision(decision)) => self.screen.decision(&decision)?,
            Event::Said(role, Said::Notice(text)) => self.screen.notice(role, &text)?,
            Event::Said(..) => {}
            Event::Ended(role, status) => {
                self.children.retain(|child| child.role != role);
                bail!("{} ended unexpectedly: {}", role.name(), status?);
            }
        }
        Ok(())
    }

    /// Ends the programs, the last one first: the gate drains while the broker still lives.
    async fn end(&mut self) -> anyhow::Result<()> {
        while let Some(mut child) = self.children.pop() {
            child.release();
            let ended = timeout(GRACE, async {
                while let Some(event) = self.events.recv().await {
                    match event {
                        Event::Ended(role, _) if role == child.role => break,
                        // Also of one that was to end later: it is all the same now.
                        Event::Ended(role, _) => self.children.retain(|child| child.role != role),
                        event => {
                            // Perhaps nobody reads it any more, which is no reason to stay.
                            let _ = self.handle(event);
                        }
                    }
                }
            });
            let late = || format!("{} did not end in time", child.role.name());
            ended.await.with_context(late)?;
        }
        Ok(())
    }
}

/// Tells early and clearly what the gate could only tell late.
fn check_port(port: u16) -> anyhow::Result<()> {
    match TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => bail!(
            "port {port} is taken, perhaps by a broker. \
             Choose another with --port, or a free one with --port 0"
        ),
        Err(error) => Err(error).with_context(|| format!("cannot use port {port}; try --port 0")),
    }
}

/// The signals that end the quick start.
struct Stop([Signal; 3]);

impl Stop {
    fn new() -> io::Result<Self> {
        Ok(Self([
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
            // The terminal was closed.
            signal(SignalKind::hangup())?,
        ]))
    }

    async fn requested(&mut self) {
        let [interrupt, terminate, hangup] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
