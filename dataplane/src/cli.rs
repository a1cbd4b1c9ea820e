//! The command line.

mod certificates;
mod health;
mod mproxy;
mod run;
mod show;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{CommandFactory as _, Parser, Subcommand};
use clap_complete::Shell;
use tidegate_settings::Loaded;

use crate::{
    app,
    config::{Config, Source},
};

/// Exit code for a configuration that can't be used (`EX_CONFIG` of sysexits).
const BAD_CONFIGURATION: u8 = 78;

/// The authorizing gate in front of an MQTT broker.
#[derive(Debug, Parser)]
#[command(name = "tidegate", version, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    run: Place,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the gate (the default).
    Run(Place),
    /// Read and check the configuration, and end.
    Check(Place),
    /// Show configurations.
    #[command(subcommand)]
    Config(Show),
    /// Ask a running gate on this machine whether it is ready: 0 if it is, else 1.
    Health(health::Arguments),
    /// Make certificates for trying out: an authority of its own, and what it signed.
    Certificates(certificates::Arguments),
    /// Print a script that completes the command line in a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or that of a command.
    Man {
        /// The command.
        command: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
enum Show {
    /// Print every key with its default, as a configuration file.
    Defaults,
    /// Print the JSON Schema of the configuration file.
    Schema,
    /// Print what is in force, and where each value comes from, without secrets.
    #[command(name = "show")]
    InForce(Place),
    /// Print the configuration that does what the variables MPROXY_* and MGATE_* of the environment did.
    FromMproxyEnv,
}

/// Where the configuration comes from.
#[derive(Debug, clap::Args)]
struct Place {
    /// The configuration file. Without it, defaults and environment decide.
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one key, such as `broker.url=mqtt://broker:1883`, above file and environment.
    #[arg(long, value_name = "KEY=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or("expected a key, `=` and a value")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Place {
    fn source(self) -> Source {
        let source = Source::new(self.config.as_deref(), std::env::vars_os());
        let flags = self.set.into_iter();
        flags.fold(source, |source, (key, value)| source.flag(key, value))
    }
}

/// Reads a configuration and the files that it names; an error is told.
fn load(source: &Source) -> Result<Loaded<Config>, ExitCode> {
    let loaded = source.load().map_err(|error| refuse(&error))?;
    app::check(&loaded).map_err(|error| refuse(&error))?;
    Ok(loaded)
}

fn refuse(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("tidegate: {error}");
    ExitCode::from(BAD_CONFIGURATION)
}

/// Runs the program with these arguments, the name of the program among them. Exit codes: 0 clean,
/// 1 failure, 2 usage, 78 bad configuration.
pub fn cli(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    match arguments.command {
        None => run::run(arguments.run.source()),
        Some(Command::Run(place)) => run::run(place.source()),
        Some(Command::Check(place)) => match load(&place.source()) {
            Ok(_) => print("the configuration is good\n"),
            Err(code) => code,
        },
        Some(Command::Config(what)) => config(what),
        Some(Command::Health(arguments)) => health::ask(arguments),
        Some(Command::Certificates(arguments)) => certificates::make(&arguments),
        Some(Command::Completions { shell }) => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "tidegate", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
        Some(Command::Man { command }) => manual(command.as_deref()),
    }
}

fn config(what: Show) -> ExitCode {
    match what {
        Show::Defaults => print(&show::defaults()),
        Show::Schema => print(&show::schema()),
        // Without the files that it names: keys may be for the gate's eyes only.
        Show::InForce(place) => match place.source().load() {
            Ok(loaded) => print(&show::in_force(&loaded.tree)),
            Err(error) => refuse(&error),
        },
        Show::FromMproxyEnv => match mproxy::translate(std::env::vars_os()) {
            Ok(text) => print(&text),
            Err(error) => {
                eprintln!("tidegate: {error}");
                ExitCode::from(BAD_CONFIGURATION)
            }
        },
    }
}

fn manual(command: Option<&str>) -> ExitCode {
    let mut whole = Arguments::command();
    whole.build();
    let command = match command {
        None => Some(&whole),
        Some(name) => whole.find_subcommand(name),
    };
    let Some(command) = command else {
        eprintln!("tidegate: there is no such command");
        return ExitCode::from(2);
    };
    let mut page = Vec::new();
    match clap_mangen::Man::new(command.clone()).render(&mut page) {
        Ok(()) => print(&String::from_utf8_lossy(&page)),
        Err(_) => ExitCode::FAILURE,
    }
}

/// Prints; whoever reads may have read enough.
fn print(text: &str) -> ExitCode {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
