//! The reference authorization service of Tidegate. See the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    tidegate_authz::cli(std::env::args_os())
}
