//! What runs where, and what to try.

use crate::{
    decision,
    screen::{Colour, Paint},
};
use std::{env, fmt, net::SocketAddr, path::Path};

/// The text for the user once all is ready.
#[derive(Debug)]
pub(crate) struct Welcome<'a> {
    pub(crate) paint: Paint,
    pub(crate) gate: SocketAddr,
    pub(crate) authz: SocketAddr,
    pub(crate) broker: &'a str,
    /// Whether the broker is the one in this executable.
    pub(crate) embedded: bool,
    pub(crate) files: &'a Path,
    /// Whether a demo follows, so that the user need not try.
    pub(crate) demo: bool,
}

impl fmt::Display for Welcome<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.house(f)?;
        if !self.demo {
            self.things_to_try(f)?;
        }
        writeln!(
            f,
            "\nCtrl-C ends everything. The decisions, as they fall:\n"
        )?;
        write!(f, "{}", self.paint.with(Colour::Dim, decision::HEADING))
    }
}

impl Welcome<'_> {
    fn house(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let title = "Tidegate is up, for this machine only.";
        let embedded = if self.embedded { " (embedded)" } else { "" };
        writeln!(f, "{}\n", self.paint.with(Colour::Bold, title))?;
        writeln!(f, "  clients  ► tidegate        mqtt://{}", self.gate)?;
        writeln!(f, "  tidegate ► tidegate-authz  http://{}", self.authz)?;
        writeln!(
            f,
            "           ► broker          {}{embedded}\n",
            self.broker
        )?;
        writeln!(
            f,
            "  users      alice and bob; the password of each is the name"
        )?;
        writeln!(
            f,
            "  rule       each may use the topics under their own name: alice/…, bob/…"
        )?;
        writeln!(f, "  files      {} (until the end)", self.files.display())?;
        if let Some(collector) = collector() {
            writeln!(f, "  traces     to {collector}")?;
            writeln!(
                f,
                "             Jaeger on this machine shows them at http://localhost:16686"
            )?;
        }
        Ok(())
    }

    fn things_to_try(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bold = |text: &str| self.paint.with(Colour::Bold, text);
        let allowed = self.paint.with(Colour::Green, "allowed");
        let refused = self.paint.with(Colour::Red, "refused");
        let alice = format!("-p {} -u alice -P alice", self.gate.port());
        let guess = format!("-p {} -u alice -P guess", self.gate.port());

        writeln!(f, "\n{}\n", bold("Try it. In a second terminal:"))?;
        writeln!(f, "  mosquitto_sub {alice} -t 'alice/#' -v\n")?;
        writeln!(f, "{}\n", bold("In a third:"))?;
        writeln!(f, "  mosquitto_pub {alice} -t alice/hello -m hi")?;
        writeln!(
            f,
            "      {allowed}: the second terminal shows `alice/hello hi`"
        )?;
        writeln!(f, "  mosquitto_pub -V 5 -q 1 {alice} -t bob/hello -m hi")?;
        writeln!(
            f,
            "      {refused}: `Warning: Publish 1 failed: Not authorized.`"
        )?;
        writeln!(f, "  mosquitto_sub -V 5 -d {alice} -t 'alice/#' -t 'bob/#'")?;
        writeln!(
            f,
            "      the second filter {refused}: `Subscribed (mid: 1): 0, 135`"
        )?;
        writeln!(f, "  mosquitto_pub {guess} -t alice/hello -m hi")?;
        writeln!(
            f,
            "      {refused}: `Connection Refused: bad user name or password.`\n"
        )?;
        writeln!(
            f,
            "No MQTT client at hand? Start this with --demo: it brings one."
        )
    }
}

/// Where traces go: the children read the same variables.
fn collector() -> Option<String> {
    let names = [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ];
    let mut values = names.iter().filter_map(|name| env::var(name).ok());
    values.find(|value| !value.is_empty())
}
