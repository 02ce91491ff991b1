//! What the tests link into containerd's folder of verifiers: `pullgate` with the configuration that lies
//! beside that folder. No script could do it, since the Debian suites of the tests have no shell.
#![expect(clippy::print_stdout, reason = "containerd reads it")]

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use pullgate_tests::place;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let link = PathBuf::from(arguments.next().unwrap_or_default());
    let config = link.ancestors().nth(2).unwrap_or(&link).join("config.toml");
    let error = Command::new(place::built("pullgate"))
        .arg("--config")
        .arg(config)
        .arg("image-verifier")
        .args(arguments)
        .exec();
    println!("pullgate cannot be run: {error}");
    ExitCode::FAILURE
}
