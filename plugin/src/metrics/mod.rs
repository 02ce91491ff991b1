//! What Prometheus sees: counts of outcomes, and the state that an alert needs.
//!
//! Labels are bounded: their values come from lists in the code, or name a file of the policy. No image,
//! registry, namespace or pod is ever one: the journal has those. All series exist from the start, so that
//! an alert sees the first rejection as an increase.

mod policy;
mod server;

use std::time::Duration;

use prometheus_client::encoding::prometheus_text;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use pullgate_policy::digest::sha256_instructions;

pub use policy::PolicyMetrics;
pub use server::{Listener, Server, serve};

use crate::audit::{Outcome, Reason};
use crate::ledger::{Door, Size};

/// Labels with these names, in the order of the values.
type Labels<const N: usize> = [(&'static str, &'static str); N];

/// Every metric. Recording never fails and never waits.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    pulls: Family<Labels<2>, Counter>,
    decisions: Family<Labels<3>, Counter>,
    durations: Family<Labels<1>, Histogram, Durations>,
    fetched: Counter,
    in_progress: Gauge,
    refused_calls: Family<Labels<1>, Counter>,
    forwarded_calls: Family<Labels<1>, Counter>,
    config_reloads: Family<Labels<1>, Counter>,
    ledger_lookups: Family<Labels<1>, Counter>,
    ledger_rows: Gauge,
    ledger_size: Gauge,
    policy: PolicyMetrics,
}

/// How an attempt ended.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// What was asked.
    pub door: Door,
    /// Its outcome.
    pub outcome: Outcome,
    /// The reason of the outcome.
    pub reason: Reason,
    /// The reason for which the policy accepted the image, whatever came after.
    pub admitted: Option<Reason>,
    /// From the request to the end.
    pub duration: Duration,
    /// Bytes of layers that came over the network.
    pub bytes: u64,
}

impl Metrics {
    /// All at zero.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("pullgate"),
            pulls: Family::default(),
            decisions: Family::default(),
            durations: Family::new_with_constructor(Durations),
            fetched: Counter::default(),
            in_progress: Gauge::default(),
            refused_calls: Family::default(),
            forwarded_calls: Family::default(),
            config_reloads: Family::default(),
            ledger_lookups: Family::default(),
            ledger_rows: Gauge::default(),
            ledger_size: Gauge::default(),
            policy: PolicyMetrics::default(),
        };
        metrics.register();
        metrics.begin_at_zero();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        let build = Info::new([
            ("version", env!("CARGO_PKG_VERSION")),
            ("sha256_backend", sha256_instructions()),
        ]);
        registry.register("build", "The version, and what hashes", build);
        registry.register("pulls", "Pulls that ended, by outcome and reason", self.pulls.clone());
        let help = "Decisions of the policy, by door, verdict and reason; accepted is signed, unverified is \
                    insecureAcceptAnything, exempted and audited would be rejected";
        registry.register("decisions", help, self.decisions.clone());
        let help = "From the request of a pull to its end, by outcome";
        registry.register_with_unit("pull_duration", help, Unit::Seconds, self.durations.clone());
        let help = "Layers that came over the network";
        registry.register_with_unit("fetched", help, Unit::Bytes, self.fetched.clone());
        registry.register("pulls_in_progress", "Pulls under way", self.in_progress.clone());
        let help = "Calls that were refused before they became a pull, by reason";
        registry.register("refused_calls", help, self.refused_calls.clone());
        let help = "Calls passed to containerd, by service";
        registry.register("forwarded_calls", help, self.forwarded_calls.clone());
        let help = "Attempts to read config.toml again, by result";
        registry.register("config_reloads", help, self.config_reloads.clone());
        let help = "Containers and sandboxes that asked the ledger, by whether it knew the image";
        registry.register("ledger_lookups", help, self.ledger_lookups.clone());
        let help = "Decisions that the ledger remembers";
        registry.register("ledger_rows", help, self.ledger_rows.clone());
        let help = "Room that the ledger takes";
        registry.register_with_unit("ledger_size", help, Unit::Bytes, self.ledger_size.clone());
        self.policy.register(registry);
    }

    fn begin_at_zero(&self) {
        for reason in Reason::ALL.iter().copied() {
            match reason.outcome() {
                Outcome::Refused => drop(self.refused_calls.get_or_create(&of_reason(reason))),
                outcome @ (Outcome::Abandoned
                | Outcome::Accepted
                | Outcome::Audited
                | Outcome::Exempted
                | Outcome::Failed
                | Outcome::Rejected) => {
                    drop(self.pulls.get_or_create(&ended(outcome, reason)));
                    drop(self.durations.get_or_create(&[("outcome", outcome.as_str())]));
                }
            }
            if let Some(verdict) = verdict(reason) {
                for door in Door::ALL {
                    drop(self.decisions.get_or_create(&decided(door, verdict, reason)));
                }
            }
        }
        for known in LOOKUPS {
            drop(self.ledger_lookups.get_or_create(&[("result", known)]));
        }
        for service in SERVICES {
            drop(self.forwarded_calls.get_or_create(&[("service", service)]));
        }
        for result in RESULTS {
            drop(self.config_reloads.get_or_create(&[("result", result)]));
        }
    }

    /// An attempt begins.
    pub fn began(&self, door: Door) {
        if door == Door::Pull {
            self.in_progress.inc();
        }
    }

    /// An attempt is over.
    pub fn ended(&self, attempt: Ended) {
        let Ended { door, outcome, reason, admitted, duration, bytes } = attempt;
        if door == Door::Pull {
            self.in_progress.dec();
            self.pulls.get_or_create(&ended(outcome, reason)).inc();
            let seconds = duration.as_secs_f64();
            self.durations.get_or_create(&[("outcome", outcome.as_str())]).observe(seconds);
        }
        self.fetched.inc_by(bytes);
        let decided_for = admitted.unwrap_or(reason);
        let verdict = match outcome {
            Outcome::Audited => Some("audited"),
            Outcome::Abandoned
            | Outcome::Accepted
            | Outcome::Exempted
            | Outcome::Failed
            | Outcome::Refused
            | Outcome::Rejected => verdict(decided_for),
        };
        if let Some(verdict) = verdict {
            self.decisions.get_or_create(&decided(door, verdict, decided_for)).inc();
        }
    }

    /// The ledger was asked about the image of a container or a sandbox, and knew it or not.
    pub fn ledger_asked(&self, known: bool) {
        self.ledger_lookups.get_or_create(&[("result", lookup(known))]).inc();
    }

    /// How large the ledger is.
    pub fn ledger_is(&self, size: Size) {
        self.ledger_rows.set(size.rows);
        self.ledger_size.set(size.bytes);
    }

    /// A call was refused before it became a pull.
    pub fn call_refused(&self, reason: Reason) {
        self.refused_calls.get_or_create(&of_reason(reason)).inc();
    }

    /// A call of this service was passed to containerd.
    pub fn call_forwarded(&self, service: Service) {
        self.forwarded_calls.get_or_create(&[("service", service.as_str())]).inc();
    }

    /// config.toml was read again, with or without success.
    pub fn config_read(&self, done: bool) {
        self.config_reloads.get_or_create(&[("result", result(done))]).inc();
    }

    /// The metrics of the policy. Clones count together.
    #[must_use]
    pub const fn policy(&self) -> &PolicyMetrics {
        &self.policy
    }

    /// Everything, in Prometheus' text format.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a String does not fail.
        prometheus_text::encode(&mut text, &self.registry).unwrap_or_default();
        text
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// A service of the CRI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// `ImageService`.
    Image,
    /// `RuntimeService`.
    Runtime,
}

impl Service {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Runtime => "runtime",
        }
    }
}

const SERVICES: [&str; 2] = [Service::Image.as_str(), Service::Runtime.as_str()];
const RESULTS: [&str; 2] = [result(true), result(false)];

const LOOKUPS: [&str; 2] = [lookup(true), lookup(false)];

const fn lookup(known: bool) -> &'static str {
    if known { "hit" } else { "miss" }
}

const fn result(done: bool) -> &'static str {
    if done { "success" } else { "failure" }
}

const fn ended(outcome: Outcome, reason: Reason) -> Labels<2> {
    [("outcome", outcome.as_str()), ("reason", reason.code())]
}

const fn decided(door: Door, verdict: &'static str, reason: Reason) -> Labels<3> {
    [("door", door.as_str()), ("verdict", verdict), ("reason", reason.code())]
}

const fn of_reason(reason: Reason) -> Labels<1> {
    [("reason", reason.code())]
}

/// The policy's word, if it is one: an image that nobody vouches for, or that admins exempted, is not
/// counted as accepted.
fn verdict(reason: Reason) -> Option<&'static str> {
    match reason.outcome() {
        Outcome::Accepted if reason == Reason::Unverified => Some("unverified"),
        verdict
        @ (Outcome::Accepted | Outcome::Audited | Outcome::Exempted | Outcome::Rejected) => {
            Some(verdict.as_str())
        }
        Outcome::Abandoned | Outcome::Failed | Outcome::Refused => None,
    }
}

/// From an image whose layers are there already to one that takes kubelet's whole patience.
#[derive(Debug, Clone)]
struct Durations;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        Histogram::new([0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0])
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use pullgate_policy::decision::Code;

    use super::{Ended, Metrics};
    use crate::audit::{Outcome, Reason};
    use crate::ledger::Door;

    #[test]
    fn everything_is_there_from_the_start() {
        let text = Metrics::new().text();
        for line in [
            "pullgate_pulls_total{outcome=\"rejected\",reason=\"SIGNATURE_MISSING\"} 0",
            "pullgate_decisions_total{door=\"create\",verdict=\"unverified\",reason=\"UNVERIFIED\"} 0",
            "pullgate_refused_calls_total{reason=\"UNKNOWN_METHOD\"} 0",
            "pullgate_fetched_bytes_total 0",
            "pullgate_policy_loads_total{result=\"failure\"} 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
        }
    }

    #[test]
    fn a_pull_is_counted_once_and_so_is_what_the_policy_said() {
        type Row = (Outcome, Reason, Option<Reason>, &'static str);
        let missing = Reason::Policy(Code::SignatureMissing);
        let rows: [Row; 4] = [
            (Outcome::Accepted, Reason::Signed, Some(Reason::Signed), "pull accepted SIGNED"),
            (
                Outcome::Failed,
                Reason::DiskFull,
                Some(Reason::Unverified),
                "pull unverified UNVERIFIED",
            ),
            (Outcome::Rejected, missing, None, "pull rejected SIGNATURE_MISSING"),
            (Outcome::Abandoned, Reason::Abandoned, None, ""),
        ];
        for (outcome, reason, admitted, expected) in rows {
            let metrics = Metrics::new();
            let door = Door::Pull;
            metrics.began(door);
            let duration = Duration::from_millis(300);
            metrics.ended(Ended { door, outcome, reason, admitted, duration, bytes: 7 });
            let text = metrics.text();
            let of = |name: &str| -> Vec<String> {
                let lines = text.lines().filter(|line| line.starts_with(name));
                let counted = lines.filter(|line| !line.ends_with(" 0"));
                counted
                    .map(|line| line.split('"').skip(1).step_by(2).collect::<Vec<_>>().join(" "))
                    .collect()
            };
            let pull = format!("{} {reason}", outcome.as_str());
            assert_eq!(of("pullgate_pulls_total"), [pull], "{text}");
            let decisions: Vec<_> =
                Some(expected).filter(|it| !it.is_empty()).into_iter().collect();
            assert_eq!(of("pullgate_decisions_total"), decisions, "{text}");
            for line in [
                "pullgate_fetched_bytes_total 7",
                "pullgate_pulls_in_progress 0",
                &format!(
                    "pullgate_pull_duration_seconds_bucket{{outcome=\"{}\",le=\"0.5\"}} 1",
                    outcome.as_str()
                ),
            ] {
                assert!(text.contains(line), "{line} in:\n{text}");
            }
        }
    }
}
