//! `pullgate scrub`: hashes what containerd stores, and takes out what differs.

mod hash;
mod state;

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::Args;
use pullgate_policy::digest::Digest;
use serde::Serialize;

use super::output::{Report, complain};
use super::progress::Progress;
use super::{Context, CtlError, Exit};
use crate::audit::printable;
use crate::containerd::Containerd;
use crate::containerd::store::Inventory;
use state::{State, StateFile};

/// How often the state is written.
const SAVE: Duration = Duration::from_secs(5);

/// Hash the stored content of all images, and find what is damaged
///
/// Runs only while the node has nothing else to do. A run that was ended goes on where it stood.
#[derive(Debug, Args)]
pub(super) struct Scrub {
    /// Remove what is damaged with the images that consist of it: the next pull fetches it again
    #[arg(long)]
    remove: bool,
    /// End after this time, for example 30m; the next run goes on there
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    time: Option<Duration>,
    /// Start anew, wherever the last run stood
    #[arg(long)]
    restart: bool,
    /// Where it is kept how far a run has come
    #[arg(long, value_name = "PATH", default_value = "/var/lib/pullgate/scrub.json")]
    state: PathBuf,
}

impl Scrub {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, CtlError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(CtlError::Node)?;
        let containerd = {
            let _inside = runtime.enter();
            Containerd::new(&context.config.containerd.socket)
        };
        let inventory = runtime.block_on(containerd.inventory())?;
        let file = StateFile::new(self.state.clone());
        let unwritten = |source| CtlError::Write { file: self.state.clone(), source };
        let mut state = if self.restart {
            State::default()
        } else {
            file.read().map_err(|source| CtlError::Read { file: self.state.clone(), source })?
        };
        let complete = self.hash(&inventory, &file, &mut state)?;

        let damaged = std::mem::take(&mut state.damaged);
        let damaged = if damaged.is_empty() {
            Vec::new()
        } else {
            runtime.block_on(self.judge(&containerd, &damaged))?
        };
        if complete {
            file.remove().map_err(unwritten)?;
        } else {
            let left = damaged.iter().filter(|found| !found.removed);
            state.damaged = left.map(|found| (found.digest.clone(), found.what.clone())).collect();
            file.write(&state).map_err(unwritten)?;
        }
        let State { blobs, bytes, .. } = state;
        let scrubbed = Scrubbed { complete, blobs, bytes, damaged };
        context.output.print(&scrubbed)?;
        let clean = scrubbed.damaged.is_empty();
        Ok(if clean { Exit::Accepted } else { Exit::Rejected })
    }

    /// Hashes what is left of this run. False if the time ended first.
    fn hash(
        &self,
        inventory: &Inventory,
        file: &StateFile,
        state: &mut State,
    ) -> Result<bool, CtlError> {
        let left: Vec<(&Digest, u64)> =
            inventory.blobs().filter(|(digest, _)| state.awaits(digest)).collect();
        let total = state.bytes + left.iter().map(|(_, size)| size).sum::<u64>();
        let progress = Progress::of_bytes(state.bytes, total, "hashing");
        if let Err(error) = hash::stand_back() {
            complain(&format!("pullgate: scrubbing at ordinary priority: {error}"));
        }
        let (began, mut saved) = (Instant::now(), Instant::now());
        let count = left.len();
        for (number, (digest, size)) in left.into_iter().enumerate() {
            let path = inventory.file(digest);
            let difference = hash::difference(&path, digest, size, |bytes| progress.advance(bytes))
                .map_err(|source| CtlError::Read { file: path, source })?;
            state.damaged.extend(difference.map(|what| (digest.to_string(), what)));
            state.after = Some(digest.to_string());
            state.blobs += 1;
            state.bytes += size;
            let last = number + 1 == count;
            if self.time.is_some_and(|time| began.elapsed() >= time) && !last {
                return Ok(false);
            }
            if saved.elapsed() > SAVE {
                let saving = file.write(state);
                saving.map_err(|source| CtlError::Write { file: self.state.clone(), source })?;
                saved = Instant::now();
            }
        }
        Ok(true)
    }

    /// Looks again at what differed: kubelet may have removed it meanwhile. Then takes it out.
    async fn judge(
        &self,
        containerd: &Containerd,
        damaged: &[(String, String)],
    ) -> Result<Vec<Damaged>, CtlError> {
        let inventory = containerd.inventory().await?;
        let mut judged = Vec::new();
        for (digest, what) in damaged {
            let Some((digest, _)) =
                inventory.blobs().find(|(known, _)| known.to_string() == *digest)
            else {
                continue;
            };
            let images = inventory.users(digest).into_iter().map(str::to_owned).collect();
            let removed = self.remove && containerd.discard(&inventory, digest).await?;
            let (digest, what) = (digest.to_string(), what.clone());
            judged.push(Damaged { digest, what, images, removed });
        }
        Ok(judged)
    }
}

/// The report.
#[derive(Debug, Serialize)]
struct Scrubbed {
    complete: bool,
    blobs: u64,
    bytes: u64,
    damaged: Vec<Damaged>,
}

#[derive(Debug, Serialize)]
struct Damaged {
    digest: String,
    what: String,
    images: Vec<String>,
    removed: bool,
}

impl Report for Scrubbed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for Damaged { digest, what, images, removed } in &self.damaged {
            writeln!(out, "{digest}: {}", printable(what))?;
            for image in images {
                writeln!(out, "  part of {}", printable(image))?;
            }
            let next = if *removed {
                "removed: the next pull fetches it again"
            } else {
                "still there: run with --remove"
            };
            writeln!(out, "  {next}")?;
        }
        if self.damaged.iter().any(|found| found.removed) {
            let note = "Snapshots that were unpacked from it stay where a container uses them.";
            writeln!(out, "{note}")?;
        }
        let end = if self.complete { "" } else { "; not complete, the next run goes on here" };
        let Self { blobs, bytes, damaged, .. } = self;
        writeln!(out, "{blobs} blobs, {bytes} bytes hashed, {} damaged{end}", damaged.len())
    }
}
