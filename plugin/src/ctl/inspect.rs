//! `pullgate inspect`: what a name stands for, each digest by its own name, and who signed each tag.

use std::io::{self, Write};

use clap::Args;
use pullgate_policy::decision::Outcome;
use pullgate_policy::reference::PullReference;
use serde::Serialize;

use super::output::{Report, table};
use super::progress::Progress;
use super::{Context, CtlError, Exit, credentials, request};
use crate::audit::printable;
use crate::pull::{Checked, Gate, Resolution};

/// Show what an image name stands for: each digest, the platforms, and who signed which tag
#[derive(Debug, Args)]
pub(super) struct Inspect {
    /// An image, named as in a pod
    #[arg(value_name = "IMAGE")]
    image: String,
    /// Check every tag of the repository, and show its signers
    #[arg(long)]
    tags: bool,
    #[command(flatten)]
    credentials: credentials::Arguments,
}

impl Inspect {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, CtlError> {
        let inspected = context.block_on(self.inspect(context))??;
        context.output.print(&inspected)?;
        Ok(Exit::Accepted)
    }

    async fn inspect(&self, context: &Context) -> Result<Inspected, CtlError> {
        let gate = context.gate()?;
        let auth = self.credentials.read()?.for_image(&self.image)?;
        let ask = |image: &str| request(image, auth.clone(), String::new());
        let found = gate.inspect(ask(&self.image)).await?;
        // What was resolved has a name that can be parsed.
        let reference = PullReference::parse(&self.image).map_err(crate::pull::PullError::from)?;
        let mut inspected = Inspected::new(&reference, &found);
        if self.tags {
            inspected.tags = Some(self.tags(&gate, &reference, ask).await?);
        }
        Ok(inspected)
    }

    async fn tags(
        &self,
        gate: &Gate,
        reference: &PullReference,
        ask: impl Fn(&str) -> crate::pull::PullRequest,
    ) -> Result<Vec<Tag>, CtlError> {
        let names = gate.tags(ask(&self.image)).await?;
        let names: Vec<String> = names.into_iter().filter(|name| !is_attachment(name)).collect();
        let progress = Progress::of(names.len(), "checking");
        let mut tags = Vec::with_capacity(names.len());
        for name in names {
            progress.next(&name);
            let image = format!("{}:{name}", reference.reference().repository());
            tags.push(Tag::new(name, &gate.check(ask(&image)).await));
        }
        Ok(tags)
    }
}

/// Whether the tag is one of those that signatures and the like are attached by.
fn is_attachment(tag: &str) -> bool {
    let digest = tag.strip_prefix("sha256-").map(|rest| rest.split('.').next().unwrap_or(rest));
    digest.is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|it| it.is_ascii_hexdigit()))
}

/// What a name stands for.
#[derive(Debug, Serialize)]
struct Inspected {
    reference: String,
    /// The digest of the index, if the name stands for one.
    index_digest: Option<String>,
    /// The digest of the manifest for this node.
    manifest_digest: String,
    /// The digest of the configuration: the image ID of CRI and docker.
    config_digest: String,
    /// What CRI lists as repo digest.
    repo_digest: String,
    /// The name at the endpoint that served it, where that is another one.
    served_as: Option<String>,
    platforms: Vec<Listed>,
    /// With `--tags`.
    tags: Option<Vec<Tag>>,
}

/// A manifest of the index.
#[derive(Debug, Serialize)]
struct Listed {
    platform: Option<String>,
    digest: String,
    /// Whether it is the one for this node.
    here: bool,
}

/// One tag of the repository.
#[derive(Debug, Serialize)]
struct Tag {
    tag: String,
    digest: Option<String>,
    accepted: bool,
    reason: &'static str,
    /// Every valid signature, in order.
    signers: Vec<String>,
}

impl Inspected {
    fn new(reference: &PullReference, found: &Resolution) -> Self {
        let name = reference.reference();
        let listed = found.platforms.iter().map(|(platform, digest)| Listed {
            platform: platform.as_ref().map(ToString::to_string),
            digest: digest.to_string(),
            here: *digest == found.manifest,
        });
        Self {
            reference: reference.to_string(),
            index_digest: found.index.as_ref().map(ToString::to_string),
            manifest_digest: found.manifest.to_string(),
            config_digest: found.config.to_string(),
            repo_digest: name.at_digest(found.top().clone()).to_string(),
            served_as: (found.physical != *name).then(|| found.physical.to_string()),
            platforms: listed.collect(),
            tags: None,
        }
    }
}

impl Tag {
    fn new(tag: String, checked: &Checked) -> Self {
        let verdicts = checked.findings.trace.iter().flat_map(|trace| &trace.verdicts);
        let signers = verdicts.flat_map(|verdict| match &verdict.outcome {
            Outcome::Accepted(signers) => signers.as_slice(),
            Outcome::Refused(_) => &[],
        });
        let signers = signers.map(|signer| {
            let name = signer.name.as_deref().unwrap_or("unnamed key");
            format!("{name} {}", signer.fingerprint)
        });
        Self {
            tag,
            digest: checked.findings.image.as_ref().map(|found| found.top().to_string()),
            accepted: checked.verdict.is_ok(),
            reason: checked.reason().code(),
            signers: signers.collect(),
        }
    }
}

impl Report for Inspected {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", printable(&self.reference))?;
        let mut line = |label: &str, value: Option<&str>, note: &str| match value {
            Some(value) => {
                let text = format!("  {label:<16} {} {note}", printable(value));
                writeln!(out, "{}", text.trim_end())
            }
            None => Ok(()),
        };
        line("index digest", self.index_digest.as_deref(), "")?;
        line("manifest digest", Some(&self.manifest_digest), "")?;
        line("config digest", Some(&self.config_digest), "= image ID")?;
        line("repo digest", Some(&self.repo_digest), "")?;
        line("served as", self.served_as.as_deref(), "")?;
        if !self.platforms.is_empty() {
            let rows: Vec<_> = self
                .platforms
                .iter()
                .map(|Listed { platform, digest, here }| {
                    let platform = platform.as_deref().unwrap_or("-");
                    let here = if *here { "this node's" } else { "" };
                    [printable(platform).into_owned(), digest.clone(), here.to_owned()]
                })
                .collect();
            table(out, ["PLATFORM", "MANIFEST DIGEST", ""], &rows)?;
        }
        let Some(tags) = &self.tags else { return Ok(()) };
        let rows: Vec<_> = tags
            .iter()
            .map(|tag| {
                let signers = tag.signers.join(", ");
                let signers = if signers.is_empty() { "-" } else { &signers };
                [
                    printable(&tag.tag).into_owned(),
                    tag.digest.clone().unwrap_or_else(|| "-".to_owned()),
                    if tag.accepted { "accepted" } else { "refused" }.to_owned(),
                    tag.reason.to_owned(),
                    printable(signers).into_owned(),
                ]
            })
            .collect();
        table(out, ["TAG", "DIGEST", "VERDICT", "REASON", "SIGNERS"], &rows)
    }
}
