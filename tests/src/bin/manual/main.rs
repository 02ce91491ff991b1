//! `manual CONFIG DIRECTORY`: writes the parts of the manual that have a source of truth elsewhere.
//! From the tables of commands come the pages of section 1 and the shells' completions, from the
//! shipped `config.toml` (CONFIG) its page, into `DIRECTORY/{man1,man5,bash,fish,zsh}`.

mod config;

use std::error::Error;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let [config, directory] = arguments.as_slice() else {
        return Err("usage: manual CONFIG DIRECTORY".into());
    };
    let directory = Path::new(directory);
    let command = pullgate::ctl::command();
    let (pages, settings) = (directory.join("man1"), directory.join("man5"));
    fs::create_dir_all(&pages)?;
    clap_mangen::generate_to(command.clone(), &pages)?;
    fs::create_dir_all(&settings)?;
    fs::write(settings.join("pullgate-config.toml.5"), config::page(&fs::read_to_string(config)?))?;
    for command in [command, pullgate::daemon::command()] {
        complete(&command, directory)?;
    }
    Ok(())
}

fn complete(command: &Command, directory: &Path) -> std::io::Result<()> {
    for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
        let folder = directory.join(shell.to_string());
        fs::create_dir_all(&folder)?;
        clap_complete::generate_to(shell, &mut command.clone(), command.get_name(), &folder)?;
    }
    Ok(())
}
