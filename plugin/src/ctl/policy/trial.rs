//! `pullgate policy try`: which images seen on this node would get another verdict from a new policy,
//! decided from the evidence that the ledger keeps, without network.

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use pullgate_policy::decide;
use pullgate_policy::decision::{Basis, Listing, Subject};
use pullgate_policy::digest::{Digest, VerifiedBlob, Verifier};
use pullgate_policy::document::Dialect;
use pullgate_policy::reference::PullReference;
use serde::Serialize;

use super::lint::Found;
use super::proposal::Proposal;
use crate::audit::{Outcome, printable};
use crate::ctl::output::{Report, table};
use crate::ctl::progress::Progress;
use crate::ctl::{Context, CtlError, Exit};
use crate::ledger::{Entry, Filter, LedgerError, Search, Store};
use crate::trust::{Settings, Snapshot, Trust};

pub(super) fn run(
    file: &Path,
    namespace: Option<&str>,
    context: &Context,
) -> Result<Exit, CtlError> {
    let Proposal { linted, dialect, .. } = Proposal::read(file, namespace, context)?;
    let is_broken = linted.is_broken();
    let mut tried = Tried { findings: linted.findings, ..Tried::default() };
    if is_broken {
        context.output.print(&tried)?;
        return Ok(Exit::Usage);
    }
    let settings = context.config.trust();
    let file =
        file.canonicalize().map_err(|source| CtlError::Read { file: file.to_owned(), source })?;
    let extensions = dialect == Dialect::Extended;
    let new = Settings { policy: Some(file), extensions, ..settings.clone() };
    let trial = Trial {
        new: Trust::new(new).snapshot(None)?,
        store: Store::open_read_only(&context.config.ledger.path)?,
    };
    let seen = trial.seen(namespace, &settings)?;
    let progress = Progress::of(seen.len(), "deciding");
    for entry in seen {
        progress.next(&entry.name);
        tried.add(&entry, trial.verdict(&entry)?);
    }
    drop(progress);
    let refused = tried.images.iter().any(|image| !image.accepted);
    context.output.print(&tried)?;
    Ok(if refused { Exit::Rejected } else { Exit::Accepted })
}

/// A policy that is not in force, and what is known about the images of this node.
struct Trial {
    new: Arc<Snapshot>,
    store: Store,
}

impl Trial {
    /// The last decision about each image under each name, among the pods that the policy would be for.
    fn seen(
        &self,
        namespace: Option<&str>,
        settings: &Settings,
    ) -> Result<Vec<Entry>, LedgerError> {
        let namespace_only = namespace.map(str::to_owned);
        let filter = Filter { namespace: namespace_only, limit: u32::MAX, ..Filter::default() };
        let mut known = BTreeSet::new();
        let mut seen = self.store.history(&filter)?;
        seen.retain(|entry| {
            let own = settings.namespaces.join(format!("{}.json", entry.namespace));
            let elsewhere = namespace.is_none() && !entry.namespace.is_empty() && own.exists();
            let decided = match entry.outcome {
                // The policy refused what was let in by audit mode or by an exemption.
                Outcome::Accepted | Outcome::Audited | Outcome::Exempted | Outcome::Rejected => {
                    true
                }
                Outcome::Abandoned | Outcome::Failed | Outcome::Refused => false,
            };
            let Some(image) = entry.image.as_ref().filter(|_| decided && !elsewhere) else {
                return false;
            };
            known.insert((entry.name.clone(), image.manifest.clone()))
        });
        seen.reverse();
        Ok(seen)
    }

    /// What the new policy says; none if the ledger does not have what it takes to say.
    fn verdict(&self, entry: &Entry) -> Result<Option<Ruling>, LedgerError> {
        let (Ok(reference), Some(image)) = (PullReference::parse(&entry.name), &entry.image) else {
            return Ok(None);
        };
        let applicable = self.new.policy().applicable(&reference);
        let Some((manifest, _)) = self.document(&image.manifest)? else { return Ok(None) };
        let search = |digest: &Digest| -> Result<Option<Search>, LedgerError> {
            if !applicable.requirements.needs_signatures() {
                return Ok(Some(nothing(digest)));
            }
            self.store.search(&reference.reference().repository(), digest)
        };
        let Some(found) = search(&image.manifest)? else { return Ok(None) };
        let index = match &image.index {
            Some(index) if applicable.requirements.may_accept_index() => {
                self.document(index)?.zip(search(index)?)
            }
            Some(_) | None => None,
        };
        let listing = index.as_ref().and_then(|((proof, body), of_index)| {
            Listing::new(proof, body, &manifest, &of_index.signatures)
        });
        let subject = Subject {
            reference: &reference,
            manifest: &manifest,
            signatures: &found.signatures,
            searched: &found.searched,
            listing,
        };
        let material = Snapshot::material(applicable.requirements);
        Ok(Some(match decide(applicable, subject, &material, SystemTime::now()).verdict {
            Ok(admission) => Ruling {
                accepted: true,
                reason: match admission.basis() {
                    // `decide` knows neither audit mode nor exemptions.
                    Basis::Signed(_) => "SIGNED",
                    Basis::Audited | Basis::Exempted { .. } | Basis::Unverified => "UNVERIFIED",
                },
                message: None,
            },
            Err(rejection) => Ruling {
                accepted: false,
                reason: rejection.code().as_str(),
                message: Some(rejection.message().to_owned()),
            },
        }))
    }

    /// A manifest or index, hashed again.
    fn document(&self, digest: &Digest) -> Result<Option<(VerifiedBlob, Vec<u8>)>, LedgerError> {
        let Some(body) = self.store.document(digest)? else { return Ok(None) };
        let proof = Verifier::verify(digest, &body).ok();
        Ok(proof.map(|proof| (proof, body.to_vec())))
    }
}

/// What is searched where no signature counts.
fn nothing(document: &Digest) -> Search {
    Search {
        repository: String::new(),
        document: document.clone(),
        searched: Vec::new(),
        signatures: Vec::new(),
    }
}

struct Ruling {
    accepted: bool,
    reason: &'static str,
    message: Option<String>,
}

/// What the new policy would change.
#[derive(Debug, Default, Serialize)]
struct Tried {
    /// The images with another verdict.
    images: Vec<Changed>,
    /// How many would get the same.
    same: usize,
    /// Of how many the ledger knows too little.
    unknown: usize,
    findings: Vec<Found>,
}

/// An image with another verdict.
#[derive(Debug, Serialize)]
struct Changed {
    reference: String,
    manifest: Option<String>,
    namespace: String,
    /// The reason code until now.
    before: String,
    accepted: bool,
    reason: &'static str,
    message: Option<String>,
}

impl Tried {
    fn add(&mut self, entry: &Entry, ruling: Option<Ruling>) {
        let Some(Ruling { accepted, reason, message }) = ruling else {
            self.unknown += 1;
            return;
        };
        if accepted == (entry.outcome == Outcome::Accepted) {
            self.same += 1;
            return;
        }
        self.images.push(Changed {
            reference: entry.name.clone(),
            manifest: entry.image.as_ref().map(|image| image.manifest.to_string()),
            namespace: entry.namespace.clone(),
            before: entry.reason.clone(),
            accepted,
            reason,
            message,
        });
    }
}

impl Report for Tried {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for found in &self.findings {
            found.text(out)?;
        }
        if !self.images.is_empty() {
            let rows: Vec<_> = self
                .images
                .iter()
                .map(|image| {
                    let verdict = if image.accepted { "accepted" } else { "refused" };
                    [
                        printable(&image.reference).into_owned(),
                        printable(&image.before).into_owned(),
                        verdict.to_owned(),
                        image.reason.to_owned(),
                        printable(image.message.as_deref().unwrap_or("-")).into_owned(),
                    ]
                })
                .collect();
            table(out, ["IMAGE", "UNTIL NOW", "WOULD BE", "REASON", "BECAUSE"], &rows)?;
        }
        let changed = self.images.len();
        writeln!(out, "{changed} would change, {} stay, {} unknown", self.same, self.unknown)
    }
}
