//! What skopeo and pullgate say of a case.

use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pullgate::audit::chain;
use pullgate::containerd::Containerd;
use pullgate::evidence::Collector;
use pullgate::ledger::{Bounds, Ledger};
use pullgate::pull::{Audits, Gate, Pod, PullRequest};
use pullgate::registry::{AuthConfig, Registry, Settings};
use pullgate::trust::{Exemptions, Settings as TrustSettings, Trust};
use pullgate_policy::decision::Modes;
use pullgate_policy::platform::Platform;
use pullgate_tests::place;
use pullgate_tests::process::with_usr;

use crate::case::Case;

/// Accepted, or the words of the refusal.
pub(crate) type Verdict = Result<(), String>;

/// Skopeo's verdict and ours.
pub(crate) async fn both(case: &Case, gates: &Gates) -> (Verdict, Verdict) {
    tokio::join!(theirs(case), gates.ours(case))
}

async fn theirs(case: &Case) -> Verdict {
    let usr = place::suite("forky").join("usr");
    let mut skopeo = tokio::process::Command::from(with_usr(&usr, "/usr/bin/skopeo"));
    skopeo.arg("--policy").arg(case.policy()).arg("--registries.d").arg(case.registries_d());
    skopeo.args(["copy", "--quiet", "--src-tls-verify=false"]);
    skopeo.arg(format!("docker://{}", case.reference()));
    skopeo.arg(format!("dir:{}", case.folder().join("copy").display()));
    let output = skopeo.stdin(Stdio::null()).output().await.expect("skopeo to run");
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!text.contains("no such file or directory\" skopeo"), "{text}");
    Err(text)
}

/// Gates that nobody uses at the moment: making a client of TLS takes longer than a decision.
#[derive(Default)]
pub(crate) struct Gates(Mutex<Vec<Gate>>);

impl Gates {
    async fn ours(&self, case: &Case) -> Verdict {
        let idle = self.0.lock().expect("no gate panics").pop();
        let gate = match idle {
            Some(gate) => Gate { trust: trust(case), ..gate },
            None => gate(trust(case)),
        };
        let request = PullRequest {
            image: case.reference().to_owned(),
            auth: AuthConfig::default(),
            pod: Pod::default(),
            runtime_handler: None,
        };
        let verdict = gate.check(request).await.verdict;
        self.0.lock().expect("no gate panics").push(gate);
        verdict.map(drop).map_err(|error| chain(&error))
    }
}

fn trust(case: &Case) -> Arc<Trust> {
    Arc::new(Trust::new(TrustSettings {
        policy: Some(case.policy()),
        namespaces: "/nowhere".into(),
        registries_d: Some(case.registries_d()),
        extensions: false,
        digest_bound: false,
        keep_last_good: false,
    }))
}

fn gate(trust: Arc<Trust>) -> Gate {
    let patience = Duration::from_secs(10);
    Gate {
        trust,
        modes: Modes::enforce(),
        audit_deadline: patience,
        audits: Audits::default(),
        exemptions: Exemptions { folder: "/nowhere".into(), admins: None },
        registry: Registry::new(Settings {
            config_path: Vec::new(),
            no_progress: patience,
            pause: Duration::from_millis(10),
        }),
        collector: Collector::new(patience).expect("a client"),
        // Nothing is handed over.
        containerd: Containerd::new(Path::new("/nowhere")),
        parallel_layers: 1,
        sandbox_image: None,
        platform: Platform::new(std::env::consts::OS, std::env::consts::ARCH, ""),
        ledger: Arc::new(
            Ledger::in_memory(Bounds { max_rows: 1000, retention: patience }).expect("memory"),
        ),
        metrics: Arc::default(),
    }
}
