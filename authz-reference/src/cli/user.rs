//! `tidegate-authz user` and `import`: looking at user bases and changing them.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use clap::{Args, Subcommand};
use serde::Serialize;
use tokio::runtime;

use super::{Failed, print, secret};
use crate::{
    access::{Access, RoleName, TopicTemplate},
    config::{Config, PolicyConfig, SourceKind},
    identity::UserName,
    password::{Password, PasswordHash},
    users::{
        User,
        file::{self, FileFormat},
        open::open_store,
        store::{Edit, StoreError, Tally, UserEdit, UserStore},
    },
};

#[derive(Debug, Args)]
pub(super) struct UserCommand {
    #[command(subcommand)]
    action: Action,
    /// Which of `users.sources`; without it the first that stores users
    #[arg(long, global = true, value_name = "SOURCE")]
    source: Option<SourceKind>,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add a user, with a password from standard input or a prompt
    Add(Add),
    /// Give a user another password, from standard input or a prompt; their sessions end
    Passwd {
        /// The user
        name: UserName,
    },
    /// Remove a user; their sessions end
    Rm {
        /// The user
        name: UserName,
    },
    /// Keep a user from logging in; their sessions end
    Disable {
        /// The user
        name: UserName,
    },
    /// Let a disabled user log in again
    Enable {
        /// The user
        name: UserName,
    },
    /// Give a user a grant, or roles
    Grant(Grant),
    /// Take a grant, or roles, from a user
    Revoke(Revoke),
    /// List all users
    List {
        /// As JSON, with roles and grants
        #[arg(long)]
        json: bool,
    },
}

#[derive(Debug, Args)]
struct Add {
    /// The user; also the first level of their topics
    name: UserName,
    /// Allow them everything
    #[arg(long)]
    superuser: bool,
    /// Replace password and --superuser if there is a user of this name
    #[arg(long)]
    replace: bool,
}

#[derive(Debug, Args)]
struct Grant {
    /// The user
    name: UserName,
    /// A topic filter, in which {username} and {client_id} may stand for a level
    #[arg(value_parser = template, required_unless_present = "role")]
    topic: Option<TopicTemplate>,
    /// They may publish there
    #[arg(long, requires = "topic")]
    publish: bool,
    /// They may subscribe there
    #[arg(long, requires = "topic")]
    subscribe: bool,
    /// The highest QoS
    #[arg(long, requires = "topic", default_value_t = 2, value_parser = clap::value_parser!(u8).range(0..=2))]
    qos: u8,
    /// They may not retain what they publish there
    #[arg(long, requires = "topic")]
    no_retain: bool,
    /// A role, whose grants are in the configuration; may be repeated
    #[arg(long)]
    role: Vec<RoleName>,
}

#[derive(Debug, Args)]
struct Revoke {
    /// The user
    name: UserName,
    /// The topic filter of the grant
    #[arg(value_parser = template, required_unless_present = "role")]
    topic: Option<TopicTemplate>,
    /// A role; may be repeated
    #[arg(long)]
    role: Vec<RoleName>,
}

#[derive(Debug, Args)]
pub(super) struct Import {
    /// A password file of another program
    file: PathBuf,
    /// How it is written
    #[arg(long, default_value = "auto")]
    format: FileFormat,
    /// Give users that are there already the password of the file
    #[arg(long)]
    replace: bool,
    /// Which of `users.sources`; without it the first that stores users
    #[arg(long, value_name = "SOURCE")]
    source: Option<SourceKind>,
}

fn template(text: &str) -> Result<TopicTemplate, String> {
    TopicTemplate::new(text).map_err(|error| error.to_string())
}

impl UserCommand {
    pub(super) fn run(self, config: &Config) -> Result<(), Failed> {
        let hash = |password: Password| PasswordHash::of(&password).map_err(anyhow::Error::from);
        let (name, edit) = match self.action {
            Action::List { json } => return list(config, self.source, json),
            Action::Add(add) => {
                let edit = Edit::Add {
                    password: hash(secret::read()?)?,
                    superuser: Some(add.superuser),
                    replace: add.replace,
                };
                (add.name, edit)
            }
            Action::Passwd { name } => (name, Edit::Password(hash(secret::read()?)?)),
            Action::Rm { name } => (name, Edit::Remove),
            Action::Disable { name } => (name, Edit::Disabled(true)),
            Action::Enable { name } => (name, Edit::Disabled(false)),
            Action::Grant(grant) => (grant.name.clone(), grant.edit(&config.policy)?),
            Action::Revoke(revoke) => (
                revoke.name,
                Edit::Revoke(revoke.topic.into_iter().collect(), revoke.role),
            ),
        };
        change(config, self.source, vec![UserEdit { name, edit }]).map(|_| ())
    }
}

impl Grant {
    fn edit(self, policy: &PolicyConfig) -> anyhow::Result<Edit> {
        ensure!(
            !self
                .topic
                .as_ref()
                .is_some_and(|topic| policy.is_anybodys(topic)),
            "`{{client_id}}` without `{{username}}` opens nothing unless policy.client_ids is \"bound\": \
             anybody may choose any client id"
        );
        let granted = self.topic.map(|topic| Access {
            topic,
            publish: self.publish,
            subscribe: self.subscribe,
            retain: !self.no_retain,
            qos: self.qos,
        });
        ensure!(
            granted
                .as_ref()
                .is_none_or(|access| access.publish || access.subscribe),
            "a grant for a topic needs --publish, --subscribe or both"
        );
        Ok(Edit::Grant(granted.into_iter().collect(), self.role))
    }
}

impl Import {
    pub(super) fn run(self, config: &Config) -> Result<(), Failed> {
        let users = file::read(&self.file, self.format).map_err(anyhow::Error::from)?;
        let edit = |(name, user): (UserName, User)| UserEdit {
            name,
            edit: Edit::Add {
                password: user.password,
                superuser: user.account.superuser.then_some(true),
                replace: self.replace,
            },
        };
        let edits = users.into_iter().map(edit).collect();
        let tally = change(config, self.source, edits)?;
        Ok(print(&format!(
            "{} added, {} replaced, {} unchanged\n",
            tally.added, tally.changed, tally.unchanged
        ))?)
    }
}

fn change(
    config: &Config,
    source: Option<SourceKind>,
    edits: Vec<UserEdit>,
) -> Result<Tally, Failed> {
    with_store(config, source, async |store| store.change(edits).await)
}

fn list(config: &Config, source: Option<SourceKind>, json: bool) -> Result<(), Failed> {
    let users = with_store(config, source, async |store| store.list().await)?;
    if json {
        let listed: Vec<_> = users.iter().map(Listed::of).collect();
        let text = serde_json::to_string_pretty(&listed).context("cannot write JSON")?;
        return Ok(print(&format!("{text}\n"))?);
    }
    let line = |(name, user): &(UserName, User)| {
        let mut line = name.to_string();
        for (word, is) in [
            ("superuser", user.account.superuser),
            ("disabled", user.account.disabled),
        ] {
            if is {
                line += &format!("\t{word}");
            }
        }
        line + "\n"
    };
    Ok(print(&users.iter().map(line).collect::<String>())?)
}

/// A user as `list --json` tells of them: all but the hash.
#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    superuser: bool,
    disabled: bool,
    roles: &'a [RoleName],
    grants: &'a [Access],
    hash: String,
}

impl<'a> Listed<'a> {
    fn of((name, user): &'a (UserName, User)) -> Self {
        Self {
            name: name.as_str(),
            superuser: user.account.superuser,
            disabled: user.account.disabled,
            roles: &user.account.roles,
            grants: &user.account.grants,
            hash: user.password.format().to_string(),
        }
    }
}

/// The file of a source that is not there: nobody is in it, as for a service, which would make it or wait for it.
pub(super) fn missing_file(config: &Config, source: SourceKind) -> Option<PathBuf> {
    let place = match source {
        SourceKind::File => Some(config.users.file()),
        SourceKind::Sqlite => Some(config.users.sqlite.path.clone()),
        _ => None,
    };
    place.filter(|place| !place.exists())
}

/// What a source that stores users has about one. Makes no SQLite file. A store that can't be read is no answer.
pub(super) fn find(
    config: &Config,
    source: SourceKind,
    name: &UserName,
) -> Result<Option<User>, Failed> {
    if missing_file(config, source).is_some() {
        return Ok(None);
    }
    with_store(config, Some(source), async |store| store.find(name).await).map_err(|failed| {
        match failed {
            Failed::Runtime(error) => Failed::Unavailable(error),
            failed => failed,
        }
    })
}

/// How many users each source that stores users has. Makes no SQLite file.
pub(super) fn counts(config: &Config) -> Result<Vec<(SourceKind, usize)>, Failed> {
    let sources = config.users.sources().into_iter();
    let count = |kind| {
        if kind == SourceKind::Sqlite && !config.users.sqlite.path.exists() {
            return Ok((kind, 0));
        }
        let count = with_store(config, Some(kind), async |store| store.count().await)?;
        Ok((kind, count))
    };
    sources
        .filter(|kind| kind.stores_users())
        .map(count)
        .collect()
}

fn with_store<T>(
    config: &Config,
    source: Option<SourceKind>,
    what: impl AsyncFnOnce(&dyn UserStore) -> Result<T, StoreError>,
) -> Result<T, Failed> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        let store = open_store(&config.users, source).map_err(Failed::configuration)?;
        what(&*store).await.map_err(|error| match error {
            // The file that the configuration names is not good.
            StoreError::File(error) => Failed::configuration(error),
            error => Failed::Runtime(error.into()),
        })
    })
}
