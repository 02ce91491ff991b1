//! The admin's command.

use std::process::ExitCode;

fn main() -> ExitCode {
    pullgate::ctl::main()
}
