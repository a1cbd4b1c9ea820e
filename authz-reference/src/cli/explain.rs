//! `tidegate-authz explain`: what would be decided, by which rule, and what the others say. Offline, but for the user
//! base.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};

use super::{Failed, print};
use crate::{
    access::RoleName,
    config::{Config, SourceKind},
    identity::{Principal, UserName},
    policy::{Origin, Permissions, Publication, Rules, Subscription, explain::Line},
    topics::{is_topic_filter, is_topic_name},
    users::{Account, open::OpenError},
};

/// What to explain.
#[derive(Debug, Args)]
pub(super) struct Explain {
    /// The user; without one, an anonymous client
    #[arg(long)]
    user: Option<UserName>,
    /// The client id
    #[arg(long, value_name = "ID")]
    client_id: Option<String>,
    /// Suppose that the user has this role, and ask no user base (may be repeated)
    #[arg(long = "role", value_name = "ROLE", requires = "user")]
    roles: Vec<RoleName>,
    /// Suppose that the user is a superuser, and ask no user base
    #[arg(long, requires = "user")]
    superuser: bool,
    /// What is done
    action: Action,
    /// Where: a topic to publish to, or a topic filter to subscribe to
    topic: String,
    /// With which QoS
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// As a retained message
    #[arg(long)]
    retain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Action {
    Publish,
    Subscribe,
}

/// A decision in words.
struct Decided {
    allow: bool,
    rule: String,
    /// What goes with it: a reason, or a lower QoS.
    note: String,
    lines: Vec<Line>,
}

impl Explain {
    /// Prints the decision. A denial is [`Failed::Denied`].
    pub(super) fn run(&self, config: &Config) -> Result<(), Failed> {
        let (well_formed, what) = match self.action {
            Action::Publish => (is_topic_name(&self.topic), "topic name"),
            Action::Subscribe => (is_topic_filter(&self.topic), "topic filter"),
        };
        if !well_formed {
            return Err(Failed::Usage(format!("`{}` is not a {what}", self.topic)));
        }
        let decided = self.decide(config)?;
        print(&self.describe(&decided))?;
        if decided.allow {
            Ok(())
        } else {
            Err(Failed::Denied)
        }
    }

    fn decide(&self, config: &Config) -> Result<Decided, Failed> {
        let rules = Rules::new(&config.policy, &config.roles);
        let principal = match self.principal(config, &rules)? {
            Ok(principal) => principal,
            Err(refused) => return Ok(refused),
        };
        if let Some(client_id) = &self.client_id
            && let Err(refusal) = rules.broker_client_id(&principal, client_id)
        {
            return Ok(Decided::at_connect(refusal.rule(), refusal.reason()));
        }
        let client_id = self.client_id.as_deref().unwrap_or_default();
        Ok(self.ask(&rules.permissions(principal, client_id)))
    }

    /// Who it is, or why they would not even get in.
    fn principal(
        &self,
        config: &Config,
        rules: &Rules,
    ) -> Result<Result<Principal, Decided>, Failed> {
        let Some(name) = &self.user else {
            return Ok(if rules.admits_anonymous() {
                Ok(Principal::Anonymous)
            } else {
                Err(Decided::at_connect("anonymous", "a user name is required"))
            });
        };
        let account = if self.superuser || !self.roles.is_empty() {
            Some(Account {
                superuser: self.superuser,
                roles: self.roles.clone(),
                ..Account::default()
            })
        } else {
            account(config, name)?
        };
        Ok(match account {
            None => Err(Decided::at_connect(
                "unknown-user-or-password",
                "there is no such user",
            )),
            Some(account) if account.disabled => {
                Err(Decided::at_connect("disabled", "this user is disabled"))
            }
            Some(account) => Ok(Principal::User {
                name: name.clone(),
                superuser: account.superuser,
                roles: account.roles,
                grants: account.grants,
            }),
        })
    }

    fn ask(&self, permissions: &Permissions) -> Decided {
        let qos = u32::from(self.qos);
        let decided = match self.action {
            Action::Publish => {
                let publication = Publication {
                    topic: &self.topic,
                    response_topic: "",
                    qos,
                    retain: self.retain,
                    origin: Origin::Client,
                };
                let lines = permissions.explain_publish(&publication);
                let decided = permissions.publish(&publication);
                (decided.map(|grant| (grant, None)), lines)
            }
            Action::Subscribe => {
                let subscription = Subscription {
                    filter: &self.topic,
                    qos,
                };
                let lines = permissions.explain_subscribe(&subscription);
                let decided = permissions.subscribe(&subscription);
                (
                    decided.map(|granted| (granted.grant, granted.max_qos)),
                    lines,
                )
            }
        };
        match decided {
            (Ok((grant, max_qos)), lines) => Decided {
                allow: true,
                rule: grant.rule().to_owned(),
                note: max_qos.map_or_else(String::new, |qos| format!("with QoS {qos}")),
                lines,
            },
            (Err(refusal), lines) => Decided {
                allow: false,
                rule: refusal.rule().to_owned(),
                note: refusal.reason().to_owned(),
                lines,
            },
        }
    }

    fn describe(&self, decided: &Decided) -> String {
        let mut text = format!(
            "{}  {} {}  by {}",
            if decided.allow { "allow" } else { "deny" },
            match self.action {
                Action::Publish => "publish",
                Action::Subscribe => "subscribe",
            },
            self.topic,
            decided.rule,
        );
        if !decided.note.is_empty() {
            // A String takes everything.
            write!(text, ": {}", decided.note).ok();
        }
        text.push('\n');
        let width = |column: fn(&Line) -> &str| {
            let lines = decided.lines.iter();
            lines.map(|line| column(line).chars().count()).max()
        };
        let rules = width(|line| &line.rule).unwrap_or(0);
        let opens = width(|line| &line.opens).unwrap_or(0);
        for Line {
            rule,
            opens: what,
            says,
        } in &decided.lines
        {
            writeln!(text, "  {rule:rules$}  {what:opens$}  {says}").ok();
        }
        text
    }
}

impl Decided {
    fn at_connect(rule: &str, reason: &str) -> Self {
        Self {
            allow: false,
            rule: rule.to_owned(),
            note: format!("CONNECT is refused: {reason}"),
            lines: Vec::new(),
        }
    }
}

/// What the first user base that knows somebody has about them, of those that store users.
fn account(config: &Config, name: &UserName) -> Result<Option<Account>, Failed> {
    let sources = config.users.sources();
    if config.users.stores().is_empty() {
        let names: Vec<_> = sources.into_iter().map(SourceKind::name).collect();
        return Err(Failed::configuration(OpenError::NoStore(names.join(", "))));
    }
    for source in sources.into_iter().filter(|kind| kind.stores_users()) {
        let users = super::user::everybody(config, source)?;
        let mut found = users.into_iter().filter(|(listed, _)| listed == name);
        if let Some((_, user)) = found.next() {
            return Ok(Some(user.account));
        }
    }
    Ok(None)
}
