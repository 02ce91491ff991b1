//! `pullgate history`: what was decided, from the ledger.

use std::io::{self, Write};
use std::time::{Duration, SystemTime};

use clap::Args;
use serde::Serialize;

use super::output::{Report, table};
use super::{Context, CtlError, Exit};
use crate::audit::{Outcome, printable};
use crate::ledger::{Entry, Filter, Signer, Store};

/// Show what was decided about images, the last decision first
#[derive(Debug, Args)]
pub(super) struct History {
    /// Only images whose name contains this text, or with this digest
    #[arg(long, value_name = "TEXT")]
    image: Option<String>,
    /// Only pods of this namespace
    #[arg(long, value_name = "NAME")]
    namespace: Option<String>,
    /// Only this outcome, such as accepted or rejected
    #[arg(long, value_name = "OUTCOME", value_parser = outcome)]
    outcome: Option<Outcome>,
    /// Only the last so many minutes, hours or days, such as 30m, 12h or 7d
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    since: Option<Duration>,
    /// At most so many
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    limit: u32,
}

fn outcome(word: &str) -> Result<Outcome, String> {
    Outcome::of(word).ok_or_else(|| {
        let words: Vec<&str> = Outcome::ALL.into_iter().map(Outcome::as_str).collect();
        format!("expected one of {}", words.join(", "))
    })
}

impl History {
    pub(super) fn run(&self, context: &Context) -> Result<Exit, CtlError> {
        let store = Store::open_read_only(&context.config.ledger.path)?;
        let entries = store.history(&Filter {
            image: self.image.clone(),
            namespace: self.namespace.clone(),
            outcome: self.outcome,
            since: self.since.and_then(|time| SystemTime::now().checked_sub(time)),
            limit: self.limit,
        })?;
        context.output.print(&Shown { entries: entries.into_iter().map(Row::of).collect() })?;
        Ok(Exit::Accepted)
    }
}

#[derive(Serialize)]
struct Shown {
    entries: Vec<Row>,
}

/// A row for programs: everything that the ledger has of a decision.
#[derive(Serialize)]
struct Row {
    time: String,
    door: &'static str,
    outcome: &'static str,
    reason: String,
    message: String,
    image: String,
    manifest: Option<String>,
    image_id: Option<String>,
    index: Option<String>,
    namespace: String,
    pod: String,
    policy: Option<String>,
    scope: Option<String>,
    signers: Vec<Signer>,
    pull_id: String,
}

impl Row {
    fn of(entry: Entry) -> Self {
        let image = entry.image.as_ref();
        Self {
            time: humantime::format_rfc3339_seconds(entry.at).to_string(),
            door: entry.door.as_str(),
            outcome: entry.outcome.as_str(),
            manifest: image.map(|image| image.manifest.to_string()),
            image_id: image.map(|image| image.config.to_string()),
            index: image.and_then(|image| image.index.as_ref()).map(ToString::to_string),
            policy: entry.policy.map(|policy| policy.to_string()),
            reason: entry.reason,
            message: entry.message,
            image: entry.name,
            namespace: entry.namespace,
            pod: entry.pod,
            scope: entry.scope,
            signers: entry.signers,
            pull_id: entry.pull_id,
        }
    }
}

impl Report for Shown {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let rows: Vec<_> = self
            .entries
            .iter()
            .map(|row| {
                let namespace = Some(row.namespace.as_str()).filter(|name| !name.is_empty());
                let cell = |text: &str| printable(text).into_owned();
                [
                    row.time.clone(),
                    row.door.to_owned(),
                    row.outcome.to_owned(),
                    cell(&row.reason),
                    cell(namespace.unwrap_or("-")),
                    cell(&row.image),
                ]
            })
            .collect();
        table(out, ["TIME", "DOOR", "OUTCOME", "REASON", "NAMESPACE", "IMAGE"], &rows)
    }
}
