//! What skopeo and pullgate say of a case.

use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use pullgate::audit::chain;
use pullgate::pull::{Gate, Pod, PullRequest};
use pullgate::registry::AuthConfig;
use pullgate::trust::{Settings as TrustSettings, Trust};
use pullgate_tests::process::with_usr;
use pullgate_tests::{gate, place};

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
            None => gate::deciding(trust(case), Duration::from_secs(10)),
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
