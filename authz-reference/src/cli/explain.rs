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

/// Whom a decision is about.
struct Who {
    /// Who it is, or why they would not even get in.
    principal: Result<Principal, Decided>,
    /// What else is to be known about that.
    hint: Option<String>,
}

/// What the user bases say.
#[derive(Default)]
struct Known {
    account: Option<Account>,
    hint: Option<String>,
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
        let (decided, hint) = self.decide(config)?;
        let hint = hint.map(|hint| format!("{hint}\n"));
        print(&(self.describe(&decided) + &hint.unwrap_or_default()))?;
        if decided.allow {
            Ok(())
        } else {
            Err(Failed::Denied)
        }
    }

    fn decide(&self, config: &Config) -> Result<(Decided, Option<String>), Failed> {
        let rules = Rules::new(&config.policy, &config.roles);
        let Who { principal, hint } = self.who(config, &rules)?;
        let principal = match principal {
            Ok(principal) => principal,
            Err(refused) => return Ok((refused, hint)),
        };
        if let Some(client_id) = &self.client_id
            && let Err(refusal) = rules.broker_client_id(&principal, client_id)
        {
            let refused = Decided::at_connect(refusal.rule(), refusal.reason());
            return Ok((refused, hint));
        }
        let client_id = self.client_id.as_deref().unwrap_or_default();
        let decided = self.ask(&rules.permissions(principal, client_id));
        Ok((decided, hint))
    }

    fn who(&self, config: &Config, rules: &Rules) -> Result<Who, Failed> {
        let Some(name) = &self.user else {
            let principal = if rules.admits_anonymous() {
                Ok(Principal::Anonymous)
            } else {
                Err(Decided::at_connect("anonymous", "a user name is required"))
            };
            let hint = None;
            return Ok(Who { principal, hint });
        };
        let Known { account, hint } = if self.superuser || !self.roles.is_empty() {
            let account = Some(Account {
                superuser: self.superuser,
                roles: self.roles.clone(),
                ..Account::default()
            });
            Known {
                account,
                hint: None,
            }
        } else {
            known(config, name)?
        };
        let principal = match account {
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
        };
        Ok(Who { principal, hint })
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
///
/// Who is in none of them may still come from one that stores nobody: then there is no answer.
fn known(config: &Config, name: &UserName) -> Result<Known, Failed> {
    let sources = config.users.sources();
    let names = |sources: &[SourceKind]| {
        let names: Vec<_> = sources.iter().map(|source| source.name()).collect();
        names.join(", ")
    };
    if config.users.stores().is_empty() {
        return Err(Failed::configuration(OpenError::NoStore(names(&sources))));
    }
    let mut others = Vec::new();
    let mut hints = Vec::new();
    for source in sources {
        if !source.stores_users() {
            others.push(source);
            continue;
        }
        if let Some(user) = super::user::find(config, source, name)? {
            let hint = format!(
                "as `{}` has this user; {}, asked before and storing nobody, may let in somebody of that name with other rights",
                source.name(),
                names(&others),
            );
            return Ok(Known {
                account: Some(user.account),
                hint: (!others.is_empty()).then_some(hint),
            });
        }
        if let Some(file) = super::user::missing_file(config, source) {
            hints.push(format!("{} is not there", file.display()));
        }
    }
    if others.is_empty() {
        return Ok(Known {
            account: None,
            hint: (!hints.is_empty()).then(|| hints.join("; ")),
        });
    }
    hints.insert(
        0,
        format!(
            "no store has the user `{name}`, who may come from {all} all the same, which can't be asked without \
             credentials: suppose what they have with --role or --superuser",
            all = names(&others),
        ),
    );
    Err(Failed::Unavailable(anyhow::anyhow!(hints.join("; "))))
}
