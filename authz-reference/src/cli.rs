//! The command line.
//!
//! Exit codes: 0 clean, 1 failed, 2 wrong usage, 78 bad configuration.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use tidegate_settings::Tree;

use crate::{
    app,
    config::Config,
    identity::UserName,
    password::PasswordHash,
    users::{edit, file},
};

mod health;
mod run;
mod secret;
mod systemd;

/// `EX_CONFIG` of sysexits.h: what supervisors need not retry.
const EXIT_CONFIGURATION: u8 = 78;

/// The reference authorization service of Tidegate.
#[derive(Debug, Parser)]
#[command(name = "tidegate-authz", version)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// The configuration file; without one, defaults and the environment count
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default)
    Run,
    /// Check the configuration and the files it names
    Check,
    /// Look at and change the users file
    #[command(subcommand)]
    User(UserCommand),
    /// Ask a running service on this machine whether it is ready: 0 if it is, else 1
    Health(health::Arguments),
    /// Show configurations
    #[command(subcommand)]
    Config(Show),
    /// Print the hash of a password from standard input or a prompt
    Hash,
}

#[derive(Debug, Subcommand)]
enum Show {
    /// Print every key that has a default
    Defaults,
    /// Print what is in force, and where each value comes from, without secrets
    Show,
}

#[derive(Debug, Subcommand)]
enum UserCommand {
    /// Add a user, with a password from standard input or a prompt
    Add(AddUser),
    /// List all users
    List,
    /// Remove a user; their open sessions go on until they connect again
    Rm {
        /// The user
        name: UserName,
    },
}

#[derive(Debug, Args)]
struct AddUser {
    /// The user; also the first level of their topics
    name: UserName,
    /// Allow them everything
    #[arg(long)]
    superuser: bool,
    /// Replace the user if there is one of this name
    #[arg(long)]
    replace: bool,
}

/// Runs the program; `args` begin with its name.
#[must_use]
pub fn cli<T: Into<OsString> + Clone>(args: impl IntoIterator<Item = T>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version come this way too, with code 0. Nothing to do if nobody listens.
            error.print().ok();
            return u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
        }
    };
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            writeln!(io::stderr(), "tidegate-authz: {failed}").ok();
            failed.exit_code()
        }
    }
}

impl Cli {
    fn run(self) -> Result<(), Failed> {
        let config =
            || Config::load(self.config.as_deref(), environment()).map_err(Failed::configuration);
        match self.command {
            None | Some(Command::Run) => run::run(self.config.as_deref()),
            Some(Command::Check) => check(&config()?),
            Some(Command::User(UserCommand::Add(user))) => add_user(&config()?, &user),
            Some(Command::User(UserCommand::List)) => list_users(&config()?),
            Some(Command::User(UserCommand::Rm { name })) => {
                Ok(edit::remove(&config()?.users.file, &name).map_err(anyhow::Error::from)?)
            }
            Some(Command::Health(arguments)) => health::ask(&arguments, config),
            Some(Command::Config(show)) => show_config(&show, self.config.as_deref()),
            Some(Command::Hash) => Ok(hash()?),
        }
    }
}

/// Names or values that are not Unicode cannot be ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn check(config: &Config) -> Result<(), Failed> {
    let users = match file::load(&config.users.file) {
        Err(error) if error.is_missing() => {
            writeln!(io::stderr(), "warning: {error}; nobody can log in").ok();
            0
        }
        users => users.map_err(Failed::configuration)?.len(),
    };
    app::check(config)?;
    Ok(print(&format!(
        "the configuration is good; {users} users\n"
    ))?)
}

fn show_config(show: &Show, file: Option<&Path>) -> Result<(), Failed> {
    let tree = match show {
        Show::Defaults => Tree::of_defaults(&Config::default()),
        Show::Show => Config::loaded(file, environment()).map(|loaded| loaded.tree),
    };
    let tree = tree.map_err(Failed::configuration)?;
    let entries = tree.entries().map(|entry| format!("{entry}\n"));
    Ok(print(&entries.collect::<String>())?)
}

fn add_user(config: &Config, user: &AddUser) -> Result<(), Failed> {
    let password = secret::read()?;
    let hash = PasswordHash::of(&password).map_err(anyhow::Error::from)?;
    let new = edit::NewUser {
        name: &user.name,
        password: &hash,
        superuser: user.superuser,
        replace: user.replace,
    };
    Ok(edit::add(&config.users.file, &new).map_err(anyhow::Error::from)?)
}

fn list_users(config: &Config) -> Result<(), Failed> {
    let users = match file::load(&config.users.file) {
        Err(error) if error.is_missing() => return Ok(()),
        users => users.map_err(Failed::configuration)?,
    };
    let line = |(name, account): (&UserName, &crate::users::Account)| {
        format!(
            "{name}{}\n",
            if account.superuser { "\tsuperuser" } else { "" }
        )
    };
    Ok(print(
        &users.list().into_iter().map(line).collect::<String>(),
    )?)
}

fn hash() -> anyhow::Result<()> {
    let hash = PasswordHash::of(&secret::read()?)?;
    print(&format!("{hash}\n"))
}

/// Unlike `print!`, survives `| head`.
fn print(text: &str) -> anyhow::Result<()> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// How a command failed, which decides about the exit code.
#[derive(Debug)]
enum Failed {
    Configuration(anyhow::Error),
    Runtime(anyhow::Error),
}

impl Failed {
    fn configuration(error: impl Into<anyhow::Error>) -> Self {
        Self::Configuration(error.into())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => EXIT_CONFIGURATION.into(),
            Self::Runtime(_) => ExitCode::FAILURE,
        }
    }
}

impl From<anyhow::Error> for Failed {
    fn from(error: anyhow::Error) -> Self {
        Self::Runtime(error)
    }
}

impl From<app::AppError> for Failed {
    fn from(error: app::AppError) -> Self {
        if error.is_configuration() {
            Self::Configuration(error.into())
        } else {
            Self::Runtime(error.into())
        }
    }
}

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (Self::Configuration(error) | Self::Runtime(error)) = self;
        // With what lies behind it, on one line.
        write!(f, "{error:#}")
    }
}
