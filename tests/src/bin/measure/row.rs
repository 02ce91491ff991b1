//! The lines of the report.

use pullgate_tests::latency::Added;
use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// The median.
    pub(crate) value: f64,
    /// The largest less the smallest.
    pub(crate) spread: f64,
    pub(crate) unit: Unit,
}

/// What a figure counts. Only ratios mean the same on another machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Unit {
    /// Open file descriptors.
    Descriptors,
    /// 2^20 bytes.
    Mebibytes,
    /// Milliseconds.
    Milliseconds,
    /// Ours to theirs, or to what the name says.
    Ratio,
    /// Microseconds.
    Microseconds,
}

impl Row {
    /// Of ratios of neighbours.
    pub(crate) fn ratios(name: String, ratios: Vec<f64>) -> Self {
        Self::of(name, Unit::Ratio, ratios)
    }

    /// Of a figure that was taken several times.
    pub(crate) fn of(name: String, unit: Unit, mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let spread = values[values.len() - 1] - values[0];
        Self { name, value: values[values.len() / 2], spread, unit }
    }

    pub(crate) fn print(&self) {
        let unit = match self.unit {
            Unit::Descriptors => " fds",
            Unit::Mebibytes => " MiB",
            Unit::Milliseconds => " ms",
            Unit::Ratio => "",
            Unit::Microseconds => " us",
        };
        let Self { name, value, spread, .. } = self;
        let digits = if *value < 0.1 { 4 } else { 2 };
        println!("{name:<52} {value:.digits$}{unit} (spread {spread:.digits$})");
    }
}

/// Bytes in the report's unit.
pub(crate) fn mebibytes(bytes: u64) -> f64 {
    f64::from(u32::try_from(bytes >> 10).expect("less than 4 TiB")) / 1024.0
}

/// Prints rows as they come, and keeps them.
#[derive(Debug, Default)]
pub(crate) struct Report(pub(crate) Vec<Row>);

impl Report {
    pub(crate) fn add(&mut self, row: Row) {
        row.print();
        self.0.push(row);
    }

    /// What the gate adds to the calls that `what` names, in each round.
    pub(crate) fn added(&mut self, what: &str, rounds: &[Added]) {
        let mut add = |at: &str, values| {
            self.add(Row::of(format!("{what} added at {at}"), Unit::Microseconds, values));
        };
        add("p50", rounds.iter().map(|round| round.p50).collect());
        add("p99", rounds.iter().map(|round| round.p99).collect());
    }
}
