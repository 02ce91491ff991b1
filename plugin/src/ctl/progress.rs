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
        let bar = ProgressBar::new(u64::try_from(count).unwrap_or(u64::MAX)).with_prefix(what);
        let template = "{spinner} {prefix} {pos}/{len} {wide_msg} {elapsed}";
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
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
