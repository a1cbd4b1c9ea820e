//! The program `tidegate`; everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate::cli(std::env::args_os())
}
