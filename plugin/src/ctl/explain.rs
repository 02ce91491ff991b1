//! `pullgate explain`: what a reason code means, and what to do.

use std::io::{self, Write};

use clap::Args;
use serde::Serialize;

use super::output::{Output, Report, table};
use super::{CtlError, Exit};
use crate::audit::Reason;

/// Say what a reason code of the journal means, and what to do
#[derive(Debug, Args)]
pub(super) struct Command {
    /// The code, as in REASON of a journal record; without one, all of them
    code: Option<String>,
}

impl Command {
    pub(super) fn run(&self, output: Output) -> Result<Exit, CtlError> {
        let reasons = match &self.code {
            None => Reason::ALL.to_vec(),
            Some(text) => {
                let code = text.to_uppercase();
                let unknown = || CtlError::UnknownReason { code: text.clone() };
                vec![Reason::of_code(&code).ok_or_else(unknown)?]
            }
        };
        let entries: Vec<Entry> = reasons.into_iter().map(Entry::of).collect();
        output.print(&Explained { reasons: entries })?;
        Ok(Exit::Accepted)
    }
}

#[derive(Serialize)]
struct Explained {
    reasons: Vec<Entry>,
}

#[derive(Serialize)]
struct Entry {
    code: &'static str,
    outcome: &'static str,
    meaning: &'static str,
    remedy: &'static str,
}

impl Entry {
    const fn of(reason: Reason) -> Self {
        Self {
            code: reason.code(),
            outcome: reason.outcome().as_str(),
            meaning: reason.meaning(),
            remedy: reason.remedy(),
        }
    }
}

impl Report for Explained {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        if let [entry] = self.reasons.as_slice() {
            writeln!(out, "{} ({})", entry.code, entry.outcome)?;
            writeln!(out, "what happened: {}", entry.meaning)?;
            return writeln!(out, "what to do:    {}", entry.remedy);
        }
        let cells = |entry: &Entry| [entry.code, entry.outcome, entry.meaning].map(str::to_owned);
        let rows: Vec<_> = self.reasons.iter().map(cells).collect();
        table(out, ["REASON", "OUTCOME", "WHAT HAPPENED"], &rows)
    }
}
