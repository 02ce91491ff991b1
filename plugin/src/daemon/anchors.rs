//! Says in time when a key or certificate of the policy ends.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::sync::watch;

use crate::audit::{message_id, printable};
use crate::metrics::PolicyMetrics;
use crate::pull::Gate;
use crate::trust::{Anchor, Trust};

/// How often it is looked. Reading and parsing the files of a policy takes a few milliseconds.
const PERIOD: Duration = Duration::from_secs(60);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How near an end is. Each is said once, as it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Near {
    Days30,
    Days7,
    Days1,
    Ended,
}

impl Near {
    fn of(end: SystemTime, now: SystemTime) -> Option<Self> {
        match end.duration_since(now) {
            Err(_past) => Some(Self::Ended),
            Ok(left) if left <= DAY => Some(Self::Days1),
            Ok(left) if left <= DAY * 7 => Some(Self::Days7),
            Ok(left) if left <= DAY * 30 => Some(Self::Days30),
            Ok(_) => None,
        }
    }
}

/// Watches the policies of the gate in force, for ever.
pub(super) async fn watch(gate: watch::Receiver<Arc<Gate>>) {
    let mut watch = Watch::default();
    let mut period = tokio::time::interval(PERIOD);
    loop {
        period.tick().await;
        let gate = Arc::clone(&gate.borrow());
        let look = tokio::task::spawn_blocking(move || {
            watch.look(&gate.trust, gate.metrics.policy());
            watch
        });
        // What was said is lost with a panic, and is said again.
        watch = look.await.unwrap_or_default();
    }
}

/// What has been said so far.
#[derive(Debug, Default)]
struct Watch {
    said: BTreeMap<Anchor, Near>,
}

impl Watch {
    /// Looks at every policy of the node, and says what is new.
    fn look(&mut self, trust: &Trust, metrics: &PolicyMetrics) {
        let now = SystemTime::now();
        let policies = trust.usable();
        let anchors: BTreeSet<Anchor> =
            policies.iter().flat_map(|policy| policy.anchors(now)).collect();
        metrics.ends(&next_ends(&anchors, now));
        for (anchor, near) in self.news(anchors, now) {
            say(&anchor, near, now);
        }
    }

    /// The anchors that came nearer to their end than was said. One that has ended already when it is
    /// seen first, such as an old key beside its successor, is news only if nothing else in its file
    /// is good.
    fn news(&mut self, anchors: BTreeSet<Anchor>, now: SystemTime) -> Vec<(Anchor, Near)> {
        let good: BTreeSet<PathBuf> = anchors
            .iter()
            .filter(|anchor| anchor.ends > now)
            .map(|anchor| anchor.file.clone())
            .collect();
        self.said.retain(|anchor, _| anchors.contains(anchor));
        let mut news = Vec::new();
        for anchor in anchors {
            let Some(near) = Near::of(anchor.ends, now) else { continue };
            let before = self.said.insert(anchor.clone(), near);
            let superseded = before.is_none() && near == Near::Ended && good.contains(&anchor.file);
            if before != Some(near) && !superseded {
                news.push((anchor, near));
            }
        }
        news
    }
}

/// When the next anchor of each file ends; where all have ended, when the last one did.
fn next_ends(anchors: &BTreeSet<Anchor>, now: SystemTime) -> BTreeMap<PathBuf, SystemTime> {
    let mut ends: BTreeMap<PathBuf, SystemTime> = BTreeMap::new();
    for anchor in anchors {
        let end = ends.entry(anchor.file.clone()).or_insert(anchor.ends);
        *end = match (*end > now, anchor.ends > now) {
            (true, true) => anchor.ends.min(*end),
            (false, true) => anchor.ends,
            (true, false) => *end,
            (false, false) => anchor.ends.max(*end),
        };
    }
    ends
}

/// One event about an anchor.
macro_rules! record {
    ($level:ident, $anchor:expr, $($message:tt)+) => {
        tracing::event!(
            tracing::Level::$level,
            MESSAGE_ID = message_id::TRUST_ENDS,
            TRUST_ANCHOR = &*printable(&$anchor.name),
            TRUST_FILE = &*printable(&$anchor.file.display().to_string()),
            TRUST_ENDS = %humantime::format_rfc3339_seconds($anchor.ends),
            $($message)+
        )
    };
}

fn say(anchor: &Anchor, near: Near, now: SystemTime) {
    let left = anchor.ends.duration_since(now).unwrap_or_default();
    let days = left.as_secs().div_ceil(DAY.as_secs());
    let file = anchor.file.display().to_string();
    let (name, file) = (printable(&anchor.name), printable(&file));
    let when = humantime::format_rfc3339_seconds(anchor.ends);
    match near {
        Near::Ended => record!(ERROR, anchor, "{name} in {file} ended at {when}"),
        Near::Days1 | Near::Days7 | Near::Days30 => {
            record!(WARN, anchor, "{name} in {file} ends within {days} days, at {when}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::{Duration, SystemTime};

    use super::{Anchor, DAY, Near, Watch, next_ends};

    const EPOCH: SystemTime = SystemTime::UNIX_EPOCH;

    fn anchor(file: &str, name: &str, day: u32) -> Anchor {
        Anchor { file: file.into(), name: name.to_owned(), ends: EPOCH + DAY * day }
    }

    #[test]
    fn each_step_towards_the_end_is_said_once() {
        let mut watch = Watch::default();
        let only = BTreeSet::from([anchor("/k", "key", 100)]);
        let rows = [
            (EPOCH + DAY * 69, None),
            (EPOCH + DAY * 70, Some(Near::Days30)),
            (EPOCH + DAY * 71, None),
            (EPOCH + DAY * 93, Some(Near::Days7)),
            (EPOCH + DAY * 98, None),
            (EPOCH + DAY * 99, Some(Near::Days1)),
            (EPOCH + DAY * 100 + Duration::from_secs(1), Some(Near::Ended)),
            (EPOCH + DAY * 101, None),
        ];
        for (now, expected) in rows {
            let said = watch.news(only.clone(), now);
            let nearest = said.first().map(|(_, near)| *near);
            assert_eq!(nearest, expected, "{now:?}");
        }
        let renewed = BTreeSet::from([anchor("/k", "key", 500)]);
        assert_eq!(watch.news(renewed, EPOCH + DAY * 101), []);
        assert_eq!(watch.news(only, EPOCH + DAY * 101).len(), 1, "the old one is back");
    }

    #[test]
    fn what_has_a_successor_is_not_complained_about() {
        let old = anchor("/k", "old", 10);
        let both = BTreeSet::from([old.clone(), anchor("/k", "new", 900)]);
        let alone = BTreeSet::from([old.clone(), anchor("/other", "new", 900)]);
        let now = EPOCH + DAY * 20;
        assert_eq!(Watch::default().news(both, now), []);
        assert_eq!(Watch::default().news(alone, now), [(old, Near::Ended)]);
    }

    #[test]
    fn the_next_end_of_a_file_counts() {
        let now = EPOCH + DAY * 20;
        let rows =
            [(vec![10, 30, 40], 30), (vec![40, 30, 10], 30), (vec![5, 10], 10), (vec![30], 30)];
        for (days, expected) in rows {
            let anchors = days.iter().map(|day| anchor("/k", &format!("{day:?}"), *day)).collect();
            let ends = next_ends(&anchors, now);
            assert_eq!(ends.values().collect::<Vec<_>>(), [&(EPOCH + DAY * expected)], "{days:?}");
        }
    }
}
