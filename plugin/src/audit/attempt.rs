//! One attempt to pull an image, from the request to its one record.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::{Outcome, Reason, message_id, printable};
use crate::ledger::Door;
use crate::metrics::{Ended, Metrics};
use crate::pull::PullRequest;

/// A pull that has not ended yet. Exactly one record comes of it: by [`Self::accepted`],
/// [`Self::would_reject`], [`Self::rejected`] or [`Self::failed`], or that it was abandoned when it is dropped before.
#[must_use]
#[derive(Debug)]
pub struct Attempt {
    record: Record,
    began: Instant,
    took: Option<Duration>,
    admitted: Option<Reason>,
    door: Door,
    metrics: Arc<Metrics>,
    ended: bool,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The signer's identity, as the key or certificate gives it.
    pub identity: String,
    /// The fingerprint of the key.
    pub fingerprint: String,
}

#[derive(Debug)]
struct Exempted {
    name: String,
    words: String,
}

#[derive(Debug, Default)]
struct Record {
    pull_id: String,
    reference: String,
    namespace: String,
    pod: String,
    service_account: String,
    digest: Option<String>,
    policy_file: Option<String>,
    scope: Option<String>,
    reason: Option<Reason>,
    signer: Option<String>,
    fingerprint: Option<String>,
    mode: Option<&'static str>,
    exemption: Option<Exempted>,
    bytes: Option<u64>,
}

impl Attempt {
    /// Begins the attempt to answer `request`, for which `door` asks. Nothing is recorded yet; `metrics`
    /// will count it.
    pub fn begin(request: &PullRequest, door: Door, metrics: &Arc<Metrics>) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(1);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let record = Record {
            pull_id: format!("{}-{number}", std::process::id()),
            reference: printable(&request.image).into_owned(),
            namespace: printable(&request.pod.namespace).into_owned(),
            pod: printable(&request.pod.name).into_owned(),
            service_account: printable(&request.pod.service_account).into_owned(),
            ..Record::default()
        };
        tracing::debug!(PULL_ID = record.pull_id, "pull of {} begins", record.reference);
        metrics.began(door);
        let metrics = Arc::clone(metrics);
        Self {
            record,
            began: Instant::now(),
            took: None,
            admitted: None,
            door,
            metrics,
            ended: false,
        }
    }

    /// What this attempt is called in the journal: `PULL_ID`.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.record.pull_id
    }

    /// The reference in its full form, once it is parsed. Before, the record has it as asked for.
    pub fn reference(&mut self, reference: &str) {
        self.record.reference = printable(reference).into_owned();
    }

    /// The digest of the manifest that the decision is about.
    pub fn digest(&mut self, digest: &str) {
        self.record.digest = Some(printable(digest).into_owned());
    }

    /// The policy file that decides.
    pub fn policy_file(&mut self, file: &str) {
        self.record.policy_file = Some(printable(file).into_owned());
    }

    /// The scope of the policy that decides.
    pub fn scope(&mut self, scope: &str) {
        self.record.scope = Some(printable(scope).into_owned());
    }

    /// The reason for which the policy accepts. Rejections and failures bring their own.
    pub const fn reason(&mut self, reason: Reason) {
        self.record.reason = Some(reason);
        self.admitted = Some(reason);
    }

    /// Whose signatures the acceptance rests on.
    pub fn signers(&mut self, signers: &[Signer]) {
        let join = |field: fn(&Signer) -> &str| {
            let all: Vec<&str> =
                signers.iter().map(field).filter(|text| !text.is_empty()).collect();
            (!all.is_empty()).then(|| printable(&all.join(", ")).into_owned())
        };
        self.record.signer = join(|signer| &signer.identity);
        self.record.fingerprint = join(|signer| &signer.fingerprint);
    }

    /// The exemption that lets in what the policy refuses: its name and digest, and in words what it
    /// overrules and why.
    pub fn exemption(&mut self, name: &str, words: &str) {
        let (name, words) = (printable(name).into_owned(), printable(words).into_owned());
        self.record.exemption = Some(Exempted { name, words });
    }

    /// How many bytes of content came over the network.
    pub const fn bytes(&mut self, bytes: u64) {
        self.record.bytes = Some(bytes);
    }

    /// The pull is answered in audit mode, and containerd shows the image. Its record waits for the
    /// verdict; its time is over.
    pub fn answered(&mut self) {
        self.record.mode = Some("audit");
        self.took = Some(self.began.elapsed());
    }

    /// The image was accepted, and containerd shows it. Where nobody said why, nobody vouches for it.
    pub fn accepted(mut self) {
        let reason = self.admitted.unwrap_or(Reason::Unverified);
        self.reason(reason);
        self.end(reason, End::Accepted);
    }

    /// The policy did not accept the image.
    pub fn rejected(mut self, reason: Reason, message: &str) {
        self.end(reason, End::Rejected(message));
    }

    /// The image entered in audit mode, and would have been kept out otherwise.
    pub fn would_reject(mut self, reason: Reason, message: &str) {
        self.end(reason, End::Audited(message));
    }

    /// The pull failed for another reason.
    pub fn failed(mut self, reason: Reason, message: &str) {
        self.end(reason, End::Failed(message));
    }

    /// The one place where a pull is recorded: in the journal, and in the metrics.
    fn end(&mut self, reason: Reason, end: End<'_>) {
        self.ended = true;
        let duration = self.took.unwrap_or_else(|| self.began.elapsed());
        self.record.reason = Some(reason);
        self.record.write(end, u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        self.metrics.ended(Ended {
            door: self.door,
            outcome: end.outcome(reason),
            reason,
            admitted: self.admitted,
            duration,
            bytes: self.record.bytes.unwrap_or_default(),
        });
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !self.ended {
            self.end(Reason::Abandoned, End::Abandoned);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum End<'a> {
    Abandoned,
    Accepted,
    Audited(&'a str),
    Failed(&'a str),
    Rejected(&'a str),
}

impl End<'_> {
    /// An acceptance is of the kind that its reason says.
    const fn outcome(self, reason: Reason) -> Outcome {
        match self {
            Self::Abandoned => Outcome::Abandoned,
            Self::Accepted => reason.outcome(),
            Self::Audited(_) => Outcome::Audited,
            Self::Failed(_) => Outcome::Failed,
            Self::Rejected(_) => Outcome::Rejected,
        }
    }
}

/// One event with every field of a pull; those without a value are left out.
macro_rules! record {
    ($level:ident, $id:ident, $record:expr, $duration:expr, $($message:tt)+) => {
        tracing::event!(
            tracing::Level::$level,
            MESSAGE_ID = message_id::$id,
            IMAGE_REF = $record.reference,
            IMAGE_DIGEST = $record.digest,
            POLICY_FILE = $record.policy_file,
            POLICY_SCOPE = $record.scope,
            REASON = $record.reason.map(Reason::code),
            SIGNER = $record.signer,
            KEY_FPR = $record.fingerprint,
            MODE = $record.mode,
            EXEMPTION = $record.exemption.as_ref().map(|exempted| &*exempted.name),
            NAMESPACE = some($record.namespace.as_str()),
            POD = some($record.pod.as_str()),
            SERVICE_ACCOUNT = some($record.service_account.as_str()),
            PULL_ID = $record.pull_id,
            DURATION_US = $duration,
            BYTES = $record.bytes,
            $($message)+
        )
    };
}

impl Record {
    fn write(&self, end: End<'_>, duration: u64) {
        let image = &self.reference;
        match end {
            End::Abandoned => {
                record!(INFO, ABANDONED, self, duration, "abandoned {image}: the client went away");
            }
            End::Accepted => match &self.exemption {
                None => record!(INFO, ACCEPTED, self, duration, "accepted {image}"),
                Some(Exempted { words, .. }) => {
                    record!(WARN, ACCEPTED, self, duration, "accepted {image} {words}");
                }
            },
            End::Audited(why) => {
                record!(WARN, AUDITED, self, duration, "would reject {image}: {}", printable(why));
            }
            End::Failed(why) => {
                record!(ERROR, FAILED, self, duration, "failed {image}: {}", printable(why));
            }
            End::Rejected(why) => {
                record!(WARN, REJECTED, self, duration, "rejected {image}: {}", printable(why));
            }
        }
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use pullgate_policy::decision::Code;

    use super::{Attempt, Reason, Signer};
    use crate::audit::message_id;
    use crate::ledger::Door;
    use crate::pull::{Pod, PullRequest};
    use crate::registry::AuthConfig;

    #[test]
    fn each_outcome_is_one_record() {
        type End = fn(Attempt);
        let rows: [(End, &str, &str); 5] = [
            (Attempt::accepted, message_id::ACCEPTED, " INFO accepted registry.example/app:1 "),
            (
                |attempt| {
                    attempt.rejected(Reason::Policy(Code::SignatureMissing), "none\nby the key");
                },
                message_id::REJECTED,
                " WARN rejected registry.example/app:1: none\\nby the key ",
            ),
            (
                |mut attempt| {
                    attempt.answered();
                    attempt.would_reject(Reason::NoVerdict, "no word");
                },
                message_id::AUDITED,
                " WARN would reject registry.example/app:1: no word ",
            ),
            (
                |attempt| attempt.failed(Reason::ImageNotFound, "no such tag"),
                message_id::FAILED,
                "ERROR failed registry.example/app:1: no such tag ",
            ),
            (
                drop,
                message_id::ABANDONED,
                " INFO abandoned registry.example/app:1: the client went away ",
            ),
        ];
        for (end, id, text) in rows {
            let log = logged(|| end(begun()));
            assert_eq!(log.lines().count(), 1, "{log}");
            assert!(log.contains(text), "{text} in {log}");
            assert!(log.contains(&format!("MESSAGE_ID=\"{id}\"")), "{log}");
            for field in [
                "NAMESPACE=\"space\"",
                "POD=\"pod\"",
                "SERVICE_ACCOUNT=\"account\"",
                "PULL_ID=",
                "DURATION_US=",
            ] {
                assert!(log.contains(field), "{field} in {log}");
            }
            assert!(!log.contains("secret"), "{log}");
        }
    }

    #[test]
    fn a_record_says_what_the_decision_rests_on() {
        let log = logged(|| {
            let mut attempt = begun();
            attempt.reference("registry.example/app:2");
            attempt.digest("sha256:00");
            attempt.policy_file("/etc/containers/policy.json");
            attempt.scope("registry.example");
            attempt.reason(Reason::Signed);
            attempt.bytes(7);
            let signer = |identity: &str, fingerprint: &str| Signer {
                identity: identity.to_owned(),
                fingerprint: fingerprint.to_owned(),
            };
            attempt.signers(&[signer("A", "AA"), signer("", "BB")]);
            attempt.accepted();
        });
        let fields = [
            "IMAGE_REF=\"registry.example/app:2\" IMAGE_DIGEST=\"sha256:00\"",
            "POLICY_FILE=\"/etc/containers/policy.json\" POLICY_SCOPE=\"registry.example\"",
            "REASON=\"SIGNED\" SIGNER=\"A\" KEY_FPR=\"AA, BB\"",
            "BYTES=7",
        ];
        for field in fields {
            assert!(log.contains(field), "{field} in {log}");
        }
    }

    fn begun() -> Attempt {
        let request = PullRequest {
            image: "registry.example/app:1".to_owned(),
            auth: AuthConfig {
                username: "secret".to_owned(),
                password: "secret".to_owned(),
                ..AuthConfig::default()
            },
            pod: Pod {
                namespace: "space".into(),
                name: "pod".into(),
                uid: "uid".into(),
                service_account: "account".into(),
            },
            runtime_handler: None,
        };
        Attempt::begin(&request, Door::Pull, &Arc::default())
    }

    fn logged(act: impl FnOnce()) -> String {
        let log = Log::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_target(false)
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[derive(Debug, Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
}
