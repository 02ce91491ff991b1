//! The daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    pullgate::daemon::main()
}
