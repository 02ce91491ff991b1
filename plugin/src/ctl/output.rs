//! Answers on standard output: a table for people, JSON for programs.

use std::io::{self, Write};

use clap::ValueEnum;
use serde::Serialize;

/// How an answer is printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Text for people; it may change from version to version
    #[default]
    Table,
    /// One JSON document; its members are only ever added to
    Json,
}

/// An answer: its members are the JSON document.
pub(super) trait Report: Serialize {
    /// Writes the answer for people. Foreign text in it has been made printable.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Where answers go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    format: Format,
}

impl Output {
    pub(super) const fn new(format: Format) -> Self {
        Self { format }
    }

    /// Prints an answer. A reader that has seen enough, such as `head`, is no error.
    pub(super) fn print(self, report: &impl Report) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let written = match self.format {
            Format::Table => report.text(&mut out),
            Format::Json => serde_json::to_writer_pretty(&mut out, report)
                .map_err(io::Error::from)
                .and_then(|()| writeln!(out)),
        };
        match written.and_then(|()| out.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            outcome => outcome,
        }
    }
}

/// Writes rows under a head in columns as wide as their widest cell.
pub(super) fn table<const N: usize>(
    out: &mut dyn Write,
    head: [&str; N],
    rows: &[[String; N]],
) -> io::Result<()> {
    let head = head.map(str::to_owned);
    let lines: Vec<&[String; N]> = std::iter::once(&head).chain(rows).collect();
    let mut widths = [0; N];
    for line in &lines {
        for (width, cell) in widths.iter_mut().zip(*line) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for line in lines {
        let cells = line.iter().zip(widths);
        let text: String = cells.map(|(cell, width)| format!("{cell:width$}  ")).collect();
        writeln!(out, "{}", text.trim_end())?;
    }
    Ok(())
}

/// A line on standard error, which may be closed: there is nobody left to tell then.
pub(super) fn complain(line: &str) {
    writeln!(io::stderr(), "{line}").unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = Vec::new();
        let row = |a: &str, b: &str| [a.to_owned(), b.to_owned()];
        table(&mut out, ["SCOPE", "RULE"], &[row("a", "reject"), row("docker.io/ü", "x")]).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text, "SCOPE        RULE\na            reject\ndocker.io/ü  x\n");
    }
}
