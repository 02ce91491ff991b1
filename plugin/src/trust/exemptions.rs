//! Break-glass: the exemptions that lie in their folder, read anew whenever something was refused.
//!
//! Nothing here can refuse a pull: an exemption that cannot be read or does not count is passed over,
//! the refusal stands, and the journal says why.

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pullgate_policy::exemption::{Exemption, ExemptionError, Rules, UntrustedDetached};
use pullgate_policy::limits;
use pullgate_policy::reference::PullReference;
use pullgate_policy::signature::openpgp::{Keyring, KeyringError};

use super::file::{self, FileError};
use crate::audit::{chain, message_id, printable};

/// Where exemptions lie, and what makes them count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exemptions {
    /// The folder of `*.json`, each with its signatures `*.json.*.asc` or `*.json.*.sig` beside it.
    pub folder: PathBuf,
    /// Who may exempt. Without it no exemption counts.
    pub admins: Option<Admins>,
}

/// The admins, and how many of them it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admins {
    /// Files with their public keys.
    pub keys: Vec<PathBuf>,
    /// How many of them must have signed.
    pub required: NonZeroUsize,
    /// How long an exemption may last.
    pub longest: Duration,
}

impl Exemptions {
    /// An exemption that is in force at `now` and covers `reference`: the first by file name. To be
    /// asked only after a refusal.
    #[must_use]
    pub fn covering(&self, reference: &PullReference, now: SystemTime) -> Option<Exemption> {
        match self.search(reference, now) {
            Ok(found) => found,
            Err(error) => {
                ignored(&self.folder, &chain(&error));
                None
            }
        }
    }

    fn search(
        &self,
        reference: &PullReference,
        now: SystemTime,
    ) -> Result<Option<Exemption>, UnusableExemption> {
        let names = names(&self.folder)?;
        if !names.iter().any(|name| name.ends_with(TEXT)) {
            return Ok(None);
        }
        let admins = self.admins.as_ref().ok_or(UnusableExemption::NoAdmins)?;
        let keyring = admins.keyring()?;
        let rules = Rules { keyring: &keyring, required: admins.required, longest: admins.longest };
        for name in names.iter().filter(|name| name.ends_with(TEXT)) {
            match self.read(name, &names, rules, now) {
                Ok(exemption) if exemption.terms().covers(reference) => return Ok(Some(exemption)),
                Ok(_) => tracing::info!("exemption {} does not cover {reference}", printable(name)),
                Err(error) => ignored(&self.folder.join(name), &chain(&error)),
            }
        }
        Ok(None)
    }

    fn read(
        &self,
        name: &str,
        names: &[String],
        rules: Rules<'_>,
        now: SystemTime,
    ) -> Result<Exemption, UnusableExemption> {
        let text = file::read(&self.folder.join(name), limits::EXEMPTION_BYTES)?;
        let of_text = |other: &&String| {
            let rest = other.strip_prefix(name);
            rest.is_some_and(|rest| SIGNATURES.iter().any(|suffix| rest.ends_with(suffix)))
        };
        let mut signatures = Vec::new();
        for signature in names.iter().filter(of_text) {
            let content = file::read(&self.folder.join(signature), limits::SIGNATURE_BYTES)?;
            signatures.push(UntrustedDetached { name: signature.clone(), content });
        }
        Ok(Exemption::verify(name, &text, &signatures, rules, now)?)
    }
}

impl Admins {
    /// All keys. One file that cannot be read leaves every exemption out, even if the others would do.
    fn keyring(&self) -> Result<Keyring, UnusableExemption> {
        let files = self.keys.iter().map(|path| file::read(path, limits::KEYRING_BYTES));
        let files = files.collect::<Result<Vec<_>, _>>()?;
        Ok(Keyring::parse(files.iter().map(Vec::as_slice))?)
    }
}

/// The end of the name of an exemption.
const TEXT: &str = ".json";

/// The ends of the names of its signatures: as gpg names armored and binary ones.
const SIGNATURES: [&str; 2] = [".asc", ".sig"];

/// The names in the folder, sorted; none if it does not exist.
fn names(folder: &Path) -> Result<Vec<String>, FileError> {
    let unreadable = |source| FileError::Unreadable { path: folder.to_owned(), source };
    let entries = match folder.read_dir() {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(source)),
    };
    let mut names = Vec::new();
    for entry in entries {
        // A name that is no text is none of ours.
        names.extend(entry.map_err(unreadable)?.file_name().into_string());
    }
    names.sort_unstable();
    Ok(names)
}

fn ignored(what: &Path, why: &str) {
    let what = what.display().to_string();
    tracing::warn!(
        MESSAGE_ID = message_id::EXEMPTION_IGNORED,
        EXEMPTION = %printable(&what),
        "exemption {} does not count: {}",
        printable(&what),
        printable(why)
    );
}

/// Why an exemption is passed over.
#[derive(Debug, thiserror::Error)]
enum UnusableExemption {
    /// It does not count.
    #[error(transparent)]
    Exemption(#[from] ExemptionError),
    /// A file cannot be read or must not be trusted.
    #[error(transparent)]
    File(#[from] FileError),
    /// The admins' keys cannot be used.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// Nobody may exempt.
    #[error("config.toml names no `break_glass.keys`")]
    NoAdmins,
}
