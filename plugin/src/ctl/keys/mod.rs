//! `pullgate keys`: the keys and certificates that policies trust.

mod held;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use pullgate_policy::namespace::Namespace;
use serde::Serialize;
use serde_json::{Value, json};

pub(super) use held::{Held, of};

use super::output::{Report, complain, table};
use super::replace::replace;
use super::{Context, CtlError, Exit};
use crate::audit::{chain, printable};
use crate::trust::Trust;

/// Where keys are kept unless the command line says otherwise.
pub(super) const DIRECTORY: &str = "/etc/pullgate/keys";

/// Look after the keys and certificates that policies trust
#[derive(Debug, Args)]
pub(super) struct Keys {
    /// The folder that keys are kept in
    #[arg(long, global = true, value_name = "DIR", default_value = DIRECTORY)]
    directory: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Put the keys of a file into the folder, and show the line of policy.json that trusts them
    Import {
        /// An OpenPGP key, or a public key or certificates in PEM
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The name in the folder; without it the file's own
        #[arg(long, value_name = "NAME")]
        name: Option<String>,
        /// Replace a file of this name
        #[arg(long)]
        force: bool,
    },
    /// List every key that the policy names or the folder holds, and whether it can be used
    List,
    /// Remove a file from the folder
    Remove {
        /// Its name in the folder
        #[arg(value_name = "NAME")]
        name: String,
        /// Remove it although the policy names it
        #[arg(long)]
        force: bool,
    },
    /// Show everything about the keys of a file, or the key with a fingerprint
    Show {
        /// A file, its name in the folder, or a fingerprint
        #[arg(value_name = "KEY")]
        key: String,
    },
}

impl Keys {
    pub(super) fn run(mut self, context: &Context) -> Result<Exit, CtlError> {
        // A policy takes no relative path.
        if let Ok(directory) = std::path::absolute(&self.directory) {
            self.directory = directory;
        }
        match &self.command {
            Command::Import { file, name, force } => {
                self.import(file, name.as_deref(), *force, context)
            }
            Command::List => self.list(context),
            Command::Remove { name, force } => self.remove(name, *force, context),
            Command::Show { key } => self.show(key, context),
        }
    }

    fn list(&self, context: &Context) -> Result<Exit, CtlError> {
        let keys: Vec<Listed> = self.all(context)?;
        let exit = exit(&keys);
        context.output.print(&Listing { keys })?;
        Ok(exit)
    }

    fn show(&self, key: &str, context: &Context) -> Result<Exit, CtlError> {
        let path = [PathBuf::from(key), self.directory.join(key)];
        let keys: Vec<Listed> = match path.iter().find(|path| path.is_file()) {
            Some(path) => {
                let trusted = trusted(context);
                held::in_file(path).into_iter().map(|held| Listed::new(held, &trusted)).collect()
            }
            None => {
                let wanted = key.to_uppercase();
                let is_wanted = |it: &Listed| it.key.fingerprint() == Some(wanted.as_str());
                self.all(context)?.into_iter().filter(is_wanted).collect()
            }
        };
        if keys.is_empty() {
            return Err(CtlError::NoSuchKey { key: key.to_owned() });
        }
        let exit = exit(&keys);
        context.output.print(&Details { keys })?;
        Ok(exit)
    }

    fn import(
        &self,
        file: &Path,
        name: Option<&str>,
        force: bool,
        context: &Context,
    ) -> Result<Exit, CtlError> {
        let content = super::read(file)?;
        let keys = held::in_content(&file.display().to_string(), &content);
        if let Some(why) =
            keys.iter().find(|key| key.kind.is_none()).and_then(|key| key.fault.clone())
        {
            return Err(CtlError::NotAKey { file: file.to_owned(), why });
        }
        let own = file.file_name().map(|name| name.to_string_lossy().into_owned());
        let target = self.file(name.or(own.as_deref()).unwrap_or_default())?;
        if target.exists() && !force {
            return Err(CtlError::Exists { file: target });
        }
        let failed = |source| CtlError::Write { file: target.clone(), source };
        std::fs::create_dir_all(&self.directory).map_err(failed)?;
        replace(&target, &content).map_err(failed)?;
        let trusted = trusted(context);
        let keys: Vec<Listed> =
            held::in_file(&target).into_iter().map(|held| Listed::new(held, &trusted)).collect();
        let exit = exit(&keys);
        let requirement = requirement(&target, &keys);
        context.output.print(&Imported { keys, requirement })?;
        Ok(exit)
    }

    fn remove(&self, name: &str, force: bool, context: &Context) -> Result<Exit, CtlError> {
        let target = self.file(name)?;
        if trusted(context).contains(&target) && !force {
            return Err(CtlError::InUse { file: target });
        }
        std::fs::remove_file(&target)
            .map_err(|source| CtlError::Write { file: target.clone(), source })?;
        context.output.print(&Removed { removed: target.display().to_string() })?;
        Ok(Exit::Accepted)
    }

    /// The file of this name in the folder. A name that leads out of it is none.
    fn file(&self, name: &str) -> Result<PathBuf, CtlError> {
        if Path::new(name).file_name().is_none_or(|last| last != name) || name.starts_with('.') {
            return Err(CtlError::NoSuchKey { key: name.to_owned() });
        }
        Ok(self.directory.join(name))
    }

    /// Every key that the policy names or the folder holds.
    fn all(&self, context: &Context) -> Result<Vec<Listed>, CtlError> {
        let trusted = trusted(context);
        let mut files = trusted.clone();
        match self.directory.read_dir() {
            Ok(entries) => {
                for entry in entries {
                    let path = entry.map_err(|source| self.unreadable(source))?.path();
                    files.extend(Some(path).filter(|path| path.is_file()));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(self.unreadable(source)),
        }
        let held = files.iter().flat_map(|path| held::in_file(path));
        Ok(held.map(|held| Listed::new(held, &trusted)).collect())
    }

    fn unreadable(&self, source: io::Error) -> CtlError {
        CtlError::Read { file: self.directory.clone(), source }
    }
}

/// Every file that the node's policy or a namespace's names. A broken policy names none, which is said.
fn trusted(context: &Context) -> BTreeSet<PathBuf> {
    let trust = Trust::new(context.config.trust());
    let mut files = BTreeSet::new();
    for whose in std::iter::once(None).chain(namespaces(context).into_iter().map(Some)) {
        match trust.snapshot(whose.as_ref()) {
            Ok(snapshot) => files.extend(snapshot.policy().files().into_iter().map(Path::to_owned)),
            Err(error) => complain(&format!("pullgate: {}", printable(&chain(&error)))),
        }
    }
    files
}

/// The namespaces with a policy of their own.
fn namespaces(context: &Context) -> Vec<Namespace> {
    let entries = context.config.trust().namespaces.read_dir();
    let paths = entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
    let own = paths.filter(|path| path.extension().is_some_and(|it| it == "json"));
    own.filter_map(|path| Namespace::parse(path.file_stem()?.to_str()?).ok()).collect()
}

fn exit(keys: &[Listed]) -> Exit {
    if keys.iter().all(|key| key.key.fault.is_none()) { Exit::Accepted } else { Exit::Rejected }
}

/// The requirement that trusts the keys of a file.
fn requirement(file: &Path, keys: &[Listed]) -> Value {
    match keys.first().and_then(|key| key.key.kind) {
        Some("certificate") => json!({
            "type": "sigstoreSigned",
            "pki": {"caRootsPath": file, "subjectEmail": "WHO@EXAMPLE.COM"},
            "signedIdentity": {"type": "matchRepository"},
        }),
        Some("public-key") => json!({
            "type": "sigstoreSigned",
            "keyPath": file,
            "signedIdentity": {"type": "matchRepository"},
        }),
        Some(_) | None => json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": file}),
    }
}

/// A key, and whether the policy names its file.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    key: Held,
    in_policy: bool,
}

impl Listed {
    fn new(key: Held, trusted: &BTreeSet<PathBuf>) -> Self {
        let in_policy = trusted.contains(Path::new(&key.file));
        Self { key, in_policy }
    }
}

#[derive(Debug, Serialize)]
struct Listing {
    keys: Vec<Listed>,
}

impl Report for Listing {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        const HEAD: [&str; 8] =
            ["FILE", "FINGERPRINT", "NAME", "ALGORITHM", "CREATED", "EXPIRES", "POLICY", "STATE"];
        let text = |text: Option<&str>| printable(text.unwrap_or("-")).into_owned();
        let rows: Vec<_> = self
            .keys
            .iter()
            .map(|Listed { key, in_policy }| {
                [
                    text(Some(&key.file)),
                    text(key.fingerprint()),
                    text(key.names.first().map(String::as_str)),
                    text(key.algorithm.as_deref()),
                    Held::day(key.created.as_ref()),
                    Held::day(key.expires.as_ref()),
                    text(Some(if *in_policy { "yes" } else { "no" })),
                    text(Some(key.fault.as_deref().unwrap_or("usable"))),
                ]
            })
            .collect();
        table(out, HEAD, &rows)
    }
}

#[derive(Debug, Serialize)]
struct Details {
    keys: Vec<Listed>,
}

impl Report for Details {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for (position, Listed { key, in_policy }) in self.keys.iter().enumerate() {
            if position > 0 {
                writeln!(out)?;
            }
            writeln!(out, "{}", printable(&key.file))?;
            let mut line = |label: &str, value: Option<&str>| match value {
                Some(value) => writeln!(out, "  {label:<12} {}", printable(value)),
                None => Ok(()),
            };
            line("kind", key.kind)?;
            line("fingerprint", key.fingerprint())?;
            for name in &key.names {
                line("name", Some(name))?;
            }
            line("algorithm", key.algorithm.as_deref())?;
            line("created", key.created.as_deref())?;
            line("expires", Some(key.expires.as_deref().unwrap_or("never")))?;
            line("in policy", Some(if *in_policy { "yes" } else { "no" }))?;
            line("state", Some(key.fault.as_deref().unwrap_or("usable")))?;
        }
        Ok(())
    }
}

#[derive(Debug, Serialize)]
struct Imported {
    keys: Vec<Listed>,
    /// What to write into policy.json to trust them.
    requirement: Value,
}

impl Report for Imported {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for Listed { key, .. } in &self.keys {
            writeln!(out, "imported {}", printable(&key.line()))?;
        }
        writeln!(out, "to trust it, write in policy.json:")?;
        writeln!(out, "  {}", self.requirement)
    }
}

#[derive(Debug, Serialize)]
struct Removed {
    removed: String,
}

impl Report for Removed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "removed {}", printable(&self.removed))
    }
}
