//! Progress of long work, shown on a terminal and nowhere else.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::audit::printable;

/// How far the work has come. Dropping it removes it from the screen.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Work with `count` steps. Of a single one there is no more to see than that it goes on.
    pub(super) fn of(count: usize, what: &'static str) -> Self {
        let count = u64::try_from(count).unwrap_or(u64::MAX);
        Self::new(count, what, "{spinner} {prefix} {pos}/{len} {wide_msg} {elapsed}")
    }

    /// Work on `total` bytes, of which an earlier run did `done`.
    pub(super) fn of_bytes(done: u64, total: u64, what: &'static str) -> Self {
        let template = "{prefix} {bytes}/{total_bytes} {bar:40} {binary_bytes_per_sec}, {eta} left";
        let progress = Self::new(total, what, template);
        progress.bar.set_position(done);
        progress.bar.reset_eta();
        progress
    }

    fn new(length: u64, what: &'static str, template: &str) -> Self {
        let bar = ProgressBar::new(length).with_prefix(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    /// The next step begins.
    pub(super) fn next(&self, what: &str) {
        self.bar.inc(1);
        self.bar.set_message(printable(what).into_owned());
    }

    /// So many bytes more are done.
    pub(super) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
