//! The command line.
//!
//! Exit codes: 0 clean, 1 failed (`explain`: deny), 2 wrong usage, 69 user base unavailable, 78 bad configuration.

use std::{
    ffi::OsString,
    io::{self, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tidegate_settings::Tree;

use crate::{
    app,
    config::{Config, SourceKind},
    password::{HashFormat, PasswordHash},
};

mod explain;
mod health;
mod run;
mod secret;
mod systemd;
mod user;

/// `EX_CONFIG` of sysexits.h: what supervisors need not retry.
const EXIT_CONFIGURATION: u8 = 78;
/// `EX_UNAVAILABLE`: asking again later may help.
const EXIT_UNAVAILABLE: u8 = 69;
const EXIT_USAGE: u8 = 2;

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
    /// Look at users and change them
    User(user::UserCommand),
    /// Add the users of a password file of another program
    Import(user::Import),
    /// Ask a running service on this machine whether it is ready: 0 if it is, else 1
    Health(health::Arguments),
    /// Show configurations
    #[command(subcommand)]
    Config(Show),
    /// Print the hash of a password from standard input or a prompt
    Hash {
        /// For which program
        #[arg(long, default_value = "argon2id")]
        format: HashFormat,
    },
    /// Tell what would be decided, and by which rule: 0 is allow, 1 is deny
    Explain(explain::Explain),
}

#[derive(Debug, Subcommand)]
enum Show {
    /// Print every key that has a default
    Defaults,
    /// Print what is in force, and where each value comes from, without secrets
    Show,
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
        // Said already, on standard output.
        Err(denied @ Failed::Denied) => denied.exit_code(),
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
            Some(Command::User(command)) => command.run(&config()?),
            Some(Command::Import(import)) => import.run(&config()?),
            Some(Command::Health(arguments)) => health::ask(&arguments, config),
            Some(Command::Config(show)) => show_config(&show, self.config.as_deref()),
            Some(Command::Hash { format }) => Ok(hash(format)?),
            Some(Command::Explain(explain)) => explain.run(&config()?),
        }
    }
}

/// Names or values that are not Unicode cannot be ours.
fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
}

fn check(config: &Config) -> Result<(), Failed> {
    let told = user::counts(config)?.into_iter().map(|(source, users)| {
        if users == 0 {
            let place = match source {
                SourceKind::File => Some(config.users.file()),
                SourceKind::Sqlite => Some(config.users.sqlite.path.clone()),
                _ => None,
            };
            let hint = match place.filter(|place| !place.exists()) {
                Some(place) => format!(" ({} is not there)", place.display()),
                None => String::new(),
            };
            let source = source.name();
            writeln!(
                io::stderr(),
                "warning: {source} holds no users{hint}; nobody can log in by it"
            )
            .ok();
        }
        format!("; {users} users in {}", source.name())
    });
    let told: String = told.collect();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async { app::check(config) })?;
    Ok(print(&format!("the configuration is good{told}\n"))?)
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

fn hash(format: HashFormat) -> anyhow::Result<()> {
    let hash = PasswordHash::of_format(&secret::read()?, format)?;
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
    Unavailable(anyhow::Error),
    Usage(String),
    Denied,
}

impl Failed {
    fn configuration(error: impl Into<anyhow::Error>) -> Self {
        Self::Configuration(error.into())
    }

    fn exit_code(&self) -> ExitCode {
        match self {
            Self::Configuration(_) => EXIT_CONFIGURATION.into(),
            Self::Unavailable(_) => EXIT_UNAVAILABLE.into(),
            Self::Usage(_) => EXIT_USAGE.into(),
            Self::Runtime(_) | Self::Denied => ExitCode::FAILURE,
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
        match self {
            // With what lies behind it, on one line.
            Self::Configuration(error) | Self::Runtime(error) | Self::Unavailable(error) => {
                write!(f, "{error:#}")
            }
            Self::Usage(text) => f.write_str(text),
            Self::Denied => f.write_str("denied"),
        }
    }
}
