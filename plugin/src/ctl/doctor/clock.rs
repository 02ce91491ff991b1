//! The clock: one that is behind accepts signatures and keys that have ended.

use std::time::{Duration, SystemTime};

use super::finding::Said;
use super::look::Node;

/// What a file may be younger than now: clocks differ, and archives keep times of elsewhere.
const TOLERANCE: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) fn check(node: &Node) -> Vec<Said> {
    let newest = node.written.iter().max_by_key(|(_, written)| *written);
    if let Some((path, written)) = newest
        && *written > node.now + TOLERANCE
    {
        let what = format!(
            "the clock says {}, and {} was written {}",
            humantime::format_rfc3339_seconds(node.now),
            path.display(),
            humantime::format_rfc3339_seconds(*written)
        );
        return vec![Said::open(
            what,
            "set the clock: signatures that have ended would be accepted",
        )];
    }
    match node.live.as_ref().map(|live| live.synchronised) {
        None => Vec::new(),
        Some(Some(true)) => vec![Said::armed("the clock is synchronised")],
        Some(Some(false)) => vec![Said::advice(
            "the clock is not synchronised: signatures would end at another time than they say",
            "enable a time service: timedatectl set-ntp true, or chrony",
        )],
        Some(None) => vec![Said::advice(
            "nothing tells whether the clock is synchronised: timedatectl does not answer",
            "make sure that a time service runs",
        )],
    }
}

/// Whether the kernel holds the clock for synchronised, by whatever service: timedatectl(1).
pub(super) fn synchronised() -> Option<bool> {
    let mut command = std::process::Command::new("timedatectl");
    let output = command.args(["show", "--property=NTPSynchronized", "--value"]).output().ok()?;
    match String::from_utf8_lossy(&output.stdout).trim() {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// When the files were written that the clock is compared with.
pub(super) fn written<'a>(
    paths: impl IntoIterator<Item = &'a std::path::Path>,
) -> Vec<(std::path::PathBuf, SystemTime)> {
    let written = |path: &std::path::Path| path.metadata().and_then(|found| found.modified()).ok();
    paths.into_iter().filter_map(|path| Some((path.to_owned(), written(path)?))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::check;
    use crate::ctl::doctor::finding::State;
    use crate::ctl::doctor::look::{Live, Node};

    #[test]
    fn a_clock_behind_the_files_is_wrong() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let day = 24 * 60 * 60;
        for (now, written, synchronised, state) in [
            (10 * day, 9 * day, Some(true), State::Armed),
            (10 * day, 10 * day + 60, Some(true), State::Armed),
            (10 * day, 12 * day, Some(true), State::Open),
            (10 * day, 9 * day, Some(false), State::Advice),
            (10 * day, 9 * day, None, State::Advice),
        ] {
            let node = Node {
                now: at(now),
                written: vec![("/p".into(), at(1)), ("/q".into(), at(written))],
                live: Some(Live { synchronised, ..Live::default() }),
                ..Node::default()
            };
            let found = check(&node);
            assert_eq!(found.first().unwrap().state, state, "{now} {written} {synchronised:?}");
        }
    }
}
