//! How the time of a pull grows with what it has to look at.

use std::time::{Duration, Instant};

use pullgate_tests::containerd::Containerd;
use pullgate_tests::cri::Cri;
use pullgate_tests::hosts::Hosts;
use pullgate_tests::image::{Compression, Image, Recipe};
use pullgate_tests::pullgated::{self, Pullgated};
use pullgate_tests::registry::{Access, Registry};
use pullgate_tests::signer::{Lookaside, Signer};
use pullgate_tests::version::Version;
use pullgate_tests::{ledger, sample};

use crate::is_named;
use crate::row::{Report, Row, Unit};

const NAME: &str = "registry.example";
const ROUNDS: usize = 5;

/// Where everything is pulled from and to.
struct Bench {
    registry: Registry,
    hosts: Hosts,
    containerd: Containerd,
}

/// Measures what is named, or all.
pub(crate) async fn measure(only: &[String], report: &mut Report) {
    let version = Version::available().into_iter().last().expect("a containerd");
    let (registry, hosts) = (Registry::start(Access::Open).await, Hosts::new());
    hosts.point(NAME, &registry);
    let containerd = Containerd::start(version, hosts.path()).await;
    let bench = Bench { registry, hosts, containerd };
    let wanted = |part| is_named(only, part);
    if wanted("layers") {
        bench.layers(report).await;
    }
    if wanted("sizes") {
        bench.sizes(report).await;
    }
    if wanted("signatures") {
        bench.signatures(report).await;
    }
    if wanted("scopes") {
        bench.scopes(report).await;
    }
    if wanted("rows") {
        bench.rows(report).await;
    }
}

impl Bench {
    async fn gate(&self, settings: pullgated::Settings) -> Pullgated {
        let policy = settings.policy.or_else(|| Some(pullgated::accept_anything()));
        let hosts = Some(self.hosts.path().to_owned());
        let settings = pullgated::Settings { policy, hosts, ..settings };
        Pullgated::start(&self.containerd, &settings).await
    }

    async fn layers(&self, report: &mut Report) {
        let gate = self.gate(pullgated::Settings::default()).await;
        for count in [1, 10, 40, 120] {
            let text = |layer: usize| format!("layer {layer} of {count}");
            let recipe = (0..count).fold(Recipe::new(), |recipe, layer| recipe.text(&text(layer)));
            self.compare(&gate, &format!("{count} layers"), &recipe.build(), report).await;
        }
    }

    async fn sizes(&self, report: &mut Report) {
        let gate = self.gate(pullgated::Settings::default()).await;
        let sizes: [(&str, usize); 5] = [
            ("1 KiB", 1 << 10),
            ("1 MiB", 1 << 20),
            ("32 MiB", 32 << 20),
            ("256 MiB", 256 << 20),
            ("4 GiB", 4 << 30),
        ];
        for (name, size) in sizes {
            let files = (0..4).map(|number| (format!("f{number}"), vec![0; size / 4])).collect();
            let image = Recipe::new().compression(Compression::Plain).files(files).build();
            self.compare(&gate, &format!("a layer of {name}"), &image, report).await;
        }
    }

    /// Ours to containerd's own pull.
    async fn compare(&self, gate: &Pullgated, what: &str, image: &Image, report: &mut Report) {
        let bytes: usize = image.layers.iter().map(|layer| layer.bytes.len()).sum();
        let rounds = if bytes < 1 << 30 { ROUNDS } else { 1 };
        image.store(&self.registry, "growth", "v1");
        let (native, ours) = (self.containerd.cri().await, gate.cri().await);
        let (mut ratios, mut times) = (Vec::new(), Vec::new());
        for _ in 0..rounds {
            let theirs = pull(&native, "growth").await;
            let ours = pull(&ours, "growth").await;
            ratios.push(ours.div_duration_f64(theirs));
            times.push(milliseconds(ours));
        }
        report.add(Row::of(format!("growth: {what}"), Unit::Milliseconds, times));
        report.add(Row::ratios(format!("growth: {what}, ours / native"), ratios));
    }

    /// Of so many signatures only the last is accepted.
    async fn signatures(&self, report: &mut Report) {
        let (wanted, other) = (Signer::new(), Signer::new());
        for count in [0, 1, 10, 100] {
            let (image, lookaside) = (sample::tiny("signed"), Lookaside::new());
            image.store(&self.registry, "signed", "v1");
            let (name, digest) = (format!("{NAME}/signed:v1"), &image.manifest.digest);
            for number in 1..=count {
                let signer = if number == count { &wanted } else { &other };
                lookaside.add("signed", digest, &signer.sign(digest, &name));
            }
            let key = (count > 0).then(|| pullgated::policy(NAME, &wanted.public_key()));
            let gate = self
                .gate(pullgated::Settings {
                    policy: key,
                    registries_d: Some(lookaside.registries_d(NAME, &lookaside.url())),
                    ..pullgated::Settings::default()
                })
                .await;
            self.alone(&gate, &format!("{count} signatures"), "signed", report).await;
        }
    }

    async fn scopes(&self, report: &mut Report) {
        sample::tiny("scoped").store(&self.registry, "scoped", "v1");
        for count in [1, 100, 10_000, 100_000] {
            let reject = serde_json::json!([{"type": "reject"}]);
            let accept = serde_json::json!([{"type": "insecureAcceptAnything"}]);
            let others = (1..count).map(|number| (format!("s.example/{number}"), reject.clone()));
            let scopes: serde_json::Map<_, _> = others.chain([(NAME.to_owned(), accept)]).collect();
            let policy = serde_json::json!({"default": reject, "transports": {"docker": scopes}});
            let policy = Some(policy.to_string());
            let settings = pullgated::Settings { policy, ..pullgated::Settings::default() };
            let gate = self.gate(settings).await;
            self.alone(&gate, &format!("{count} scopes"), "scoped", report).await;
        }
    }

    /// Also how long the daemon takes to start.
    async fn rows(&self, report: &mut Report) {
        sample::tiny("rows").store(&self.registry, "rows", "v1");
        for count in [0, 10_000, 1_000_000] {
            let settings = pullgated::Settings {
                extra: "ledger.max_rows = 2000000".to_owned(),
                ..pullgated::Settings::default()
            };
            let mut gate = self.gate(settings).await;
            let mut starts = Vec::new();
            gate.stop().await;
            ledger::fill(&gate.ledger(), count);
            for _ in 0..ROUNDS {
                starts.push(milliseconds(gate.start_again_timed().await));
                gate.stop().await;
            }
            let name = format!("start: Version with {count} rows in the ledger");
            report.add(Row::of(name, Unit::Milliseconds, starts));
            gate.start_again().await;
            self.alone(&gate, &format!("{count} rows in the ledger"), "rows", report).await;
        }
    }

    async fn alone(&self, gate: &Pullgated, what: &str, image: &str, report: &mut Report) {
        let cri = gate.cri().await;
        let mut times = Vec::new();
        for _ in 0..ROUNDS {
            times.push(milliseconds(pull(&cri, image).await));
        }
        report.add(Row::of(format!("growth: {what}"), Unit::Milliseconds, times));
    }
}

async fn pull(cri: &Cri, image: &str) -> Duration {
    let start = Instant::now();
    let id = cri.pull(&format!("{NAME}/{image}:v1")).await.expect("the pull to succeed");
    let time = start.elapsed();
    cri.remove(&id).await.expect("the image to be removed");
    time
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
