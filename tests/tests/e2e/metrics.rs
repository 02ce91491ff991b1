//! What Prometheus scrapes, and what operators are given for it: every name in rules, dashboard and manual
//! exists, and `promtool` has nothing to object.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use nix::sys::signal::Signal;
use pullgate::audit::{FIELDS, Reason, message_id};
use pullgate::metrics::Metrics;
use pullgate::transport::Tls;
use pullgate_tests::place;
use pullgate_tests::pullgated::{Settings, policy};
use pullgate_tests::sample;
use pullgate_tests::signer::{Lookaside, Signer};
use pullgate_tests::version::Version;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use crate::scene::{NAME, Scene};

#[tokio::test]
async fn what_happens_is_counted_and_can_be_scraped() {
    let (release, lookaside) = (Signer::new(), Lookaside::new());
    let settings = Settings {
        policy: Some(policy(NAME, &release.public_key())),
        registries_d: Some(lookaside.registries_d(NAME, &lookaside.url())),
        extra: "metrics.listen = '127.0.0.1:0'".to_owned(),
        ..Settings::default()
    };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let url = url(&scene.gate.log());
    for name in ["good", "unsigned"] {
        let image = sample::tiny(name);
        image.store(&scene.registry, name, "v1");
        if name == "good" {
            let digest = &image.manifest.digest;
            lookaside.add(name, digest, &release.sign(digest, &format!("{NAME}/{name}:v1")));
        }
    }
    scene.pull("good:v1").await.expect("the signed image to be accepted");
    scene.pull("unsigned:v1").await.expect_err("no signature");
    scene.pull("none:v1").await.expect_err("no such image");
    let text = scrape(&url).await;
    for line in [
        "pullgate_pulls_total{outcome=\"accepted\",reason=\"SIGNED\"} 1",
        "pullgate_pulls_total{outcome=\"rejected\",reason=\"SIGNATURE_MISSING\"} 1",
        "pullgate_pulls_total{outcome=\"failed\",reason=\"IMAGE_NOT_FOUND\"} 1",
        "pullgate_decisions_total{door=\"pull\",verdict=\"accepted\",reason=\"SIGNED\"} 1",
        "pullgate_decisions_total{door=\"pull\",verdict=\"rejected\",reason=\"SIGNATURE_MISSING\"} 1",
        "pullgate_decisions_total{door=\"pull\",verdict=\"unverified\",reason=\"UNVERIFIED\"} 0",
        "pullgate_pull_duration_seconds_count{outcome=\"accepted\"} 1",
        "pullgate_pulls_in_progress 0",
        "pullgate_policy_usable 1",
        "pullgate_policy_loads_total{result=\"success\"} 1",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in:\n{text}");
    }
    assert!(!text.contains(NAME), "an image is no label:\n{text}");
    assert!(value(&text, "pullgate_fetched_bytes_total") > 0.0, "{text}");
    scene.gate.cri().await.version().await.expect("a call that passes");
    let runtime = "pullgate_forwarded_calls_total{service=\"runtime\"}";
    assert!(value(&scrape(&url).await, runtime) > value(&text, runtime), "{text}");

    scene
        .wait_until("the ledger is measured", async || {
            value(&scrape(&url).await, "pullgate_ledger_size_bytes") > 0.0
        })
        .await;
    scene.gate.signal(Signal::SIGHUP);
    let reloaded = "pullgate_config_reloads_total{result=\"success\"}";
    scene.wait_until("read again", async || value(&scrape(&url).await, reloaded) > 0.0).await;

    std::fs::write(scene.gate.policy(), "{}").expect("the policy to be written");
    scene.pull("good:v1").await.expect_err("no policy");
    let text = scrape(&url).await;
    assert_eq!(value(&text, "pullgate_policy_usable"), 0.0, "{text}");
    assert!(value(&text, "pullgate_policy_loads_total{result=\"failure\"}") > 0.0, "{text}");
    promtool(&["check", "metrics"], &text);
    check_refused_requests(&url).await;
}

/// Nothing but the metrics is served, and nothing but a GET.
async fn check_refused_requests(url: &str) {
    let client = Tls::default().client().expect("a client");
    let root = url.trim_end_matches("metrics");
    for (request, status) in [
        (client.get(root), 404),
        (client.post(url), 405),
        (client.get(format!("{url}/../policy.json")), 404),
    ] {
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{}", answer.url());
    }
}

#[tokio::test]
async fn an_anchor_that_ends_is_announced() {
    let expired = Signer::expired();
    let settings = Settings {
        policy: Some(policy(NAME, &expired.public_key())),
        extra: "metrics.listen = '127.0.0.1:0'".to_owned(),
        ..Settings::default()
    };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let url = url(&scene.gate.log());
    let file = expired.public_key().display().to_string();
    let name = format!("pullgate_trust_anchor_expiry_timestamp_seconds{{file=\"{file}\"}}");
    scene.wait_until("the anchor is looked at", async || scrape(&url).await.contains(&name)).await;
    let end = value(&scrape(&url).await, &name);
    assert!(end > 0.0 && end < 2_000_000_000.0, "{end}");
    scene
        .wait_until("the end is said", async || {
            let log = scene.gate.log();
            log.contains(&format!("{} in {file} ended at 20", expired.fingerprint()))
        })
        .await;
}

#[tokio::test]
async fn a_unix_socket_serves_them_to_whom_containerds_serves() {
    let directory = place::for_sockets("metrics");
    let path = directory.path().join("metrics.sock");
    let listen = format!("metrics.listen = 'unix:{}'", path.display());
    let settings = Settings { extra: listen, ..Settings::default() };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    let mode = |path: &Path| path.metadata().expect("a socket").permissions().mode();
    assert_eq!(mode(&path), mode(&scene.containerd.socket()), "who may connect");
    let mut stream = UnixStream::connect(&path).await.expect("a connection");
    let request = b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n";
    stream.write_all(request).await.expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("it answers and ends");
    assert!(answer.contains("\npullgate_policy_usable 1\n"), "{answer}");
}

#[tokio::test]
async fn a_port_in_use_does_not_keep_pods_from_starting() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("an address");
    let settings =
        Settings { extra: format!("metrics.listen = '{address}'"), ..Settings::default() };
    let scene = Scene::with(Version::V1_6, Default::default(), settings).await;
    assert!(scene.gate.log().contains("there are no metrics at"), "{}", scene.gate.log());
    sample::tiny("any").store(&scene.registry, "any", "v1");
    scene.pull("any:v1").await.expect("the image to be accepted");
}

#[test]
fn rules_and_dashboard_name_metrics_that_exist() {
    let families = families(&everything());
    let rules = packaged("prometheus/pullgate.rules.yml");
    promtool(&["check", "rules", &rules.display().to_string()], "");
    let rules = std::fs::read_to_string(rules).expect("the rules");
    let day = Path::new(env!("CARGO_MANIFEST_DIR")).join("prometheus/alerts.yml");
    promtool(&["test", "rules", &day.display().to_string()], "");
    let day = std::fs::read_to_string(day).expect("a node's day");
    for alert in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(day.contains(&format!("alertname=\"{alert}\"")), "{alert} is not tested");
    }
    let dashboard = std::fs::read_to_string(packaged("grafana/pullgate.json")).expect("JSON");
    for (what, text) in [("rules", &rules), ("dashboard", &dashboard)] {
        let named = names(text);
        assert!(named.len() > 5, "{what} names {named:?}");
        for name in named {
            let family = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|suffix| name.strip_suffix(suffix))
                .unwrap_or(&name);
            assert!(families.contains_key(family), "{what} names {name}, which does not exist");
        }
    }
    check_expressions(&dashboard);
    let capital = |c: char| c.is_ascii_uppercase() || c == '_';
    for word in rules.split(|c| !capital(c)).filter(|word| word.len() > 3) {
        let field = FIELDS.iter().any(|(name, _)| *name == word);
        assert!(field || Reason::of_code(word).is_some(), "the rules name {word}");
    }
    assert!(rules.contains(message_id::POLICY_UNUSABLE), "the record of an unusable policy");
}

/// The dashboard's expressions, as `promtool` sees them in a file of rules.
fn check_expressions(dashboard: &str) {
    let dashboard: Value = serde_json::from_str(dashboard).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().filter_map(|panel| panel["targets"].as_array()).flatten();
    let rules: Vec<Value> = targets
        .map(|target| {
            let expression = target["expr"].as_str().expect("an expression");
            let expression = expression.replace("$__rate_interval", "5m");
            serde_json::json!({"record": "dashboard", "labels": {"n": expression}, "expr": expression})
        })
        .collect();
    assert!(rules.len() >= panels.len(), "a panel without expression");
    let directory = place::on_disk("dashboard");
    let path = directory.path().join("rules.yml");
    // JSON is YAML.
    let groups = serde_json::json!({"groups": [{"name": "dashboard", "rules": rules}]});
    std::fs::write(&path, groups.to_string()).expect("a file");
    promtool(&["check", "rules", &path.display().to_string()], "");
}

#[test]
fn the_manual_explains_every_metric_and_no_other() {
    let manual = std::fs::read_to_string(packaged("man/pullgate-metrics.7")).expect("the page");
    let entries: BTreeSet<String> = manual
        .split("\n.TP\n")
        .skip(1)
        .map(|entry| entry.lines().take(2).collect::<Vec<_>>().join("\n"))
        .collect();
    let families = families(&everything()).into_iter();
    let expected: BTreeSet<String> =
        families.map(|(name, (kind, help))| format!(".BR {name} \" ({kind})\"\n{help}")).collect();
    assert_eq!(entries, expected, "the manual (left) and the exposition (right)");
}

/// An exposition with every metric.
fn everything() -> String {
    let metrics = Metrics::new();
    metrics.policy().ends(&[("/key".into(), SystemTime::UNIX_EPOCH)].into());
    metrics.text()
}

/// Each family with its type and its help.
fn families(text: &str) -> BTreeMap<String, (String, String)> {
    let line = |kind: &str| -> BTreeMap<String, String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
        let pairs = lines.filter_map(|line| line.split_once(' '));
        pairs.map(|(name, rest)| (name.to_owned(), rest.to_owned())).collect()
    };
    let help = line("# HELP ");
    let types = line("# TYPE ");
    assert_eq!(help.keys().collect::<Vec<_>>(), types.keys().collect::<Vec<_>>(), "help and type");
    let helped = |(name, kind): (String, String)| {
        let help = help.get(&name).expect("help").clone();
        assert!(help.len() > 10, "{name}: {help}");
        (name, (kind, help))
    };
    types.into_iter().map(helped).collect()
}

/// Every name of a metric in a text.
fn names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !word(c))
        .filter(|name| name.starts_with("pullgate_"))
        .map(str::to_owned)
        .collect()
}

fn value(text: &str, series: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in:\n{text}")).parse().expect("a number")
}

fn url(log: &str) -> String {
    let (_, rest) = log.split_once("metrics are at ").expect("the address");
    rest.split_whitespace().next().expect("the address").to_owned()
}

async fn scrape(url: &str) -> String {
    let client = Tls::default().client().expect("a client");
    let answer = client.get(url).send().await.expect("the metrics");
    let kind = answer.headers().get("content-type").expect("a type").to_str().expect("text");
    assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
    answer.text().await.expect("the metrics")
}

fn packaged(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../packaging").join(path)
}

/// Runs Prometheus' own checker, which must be content.
fn promtool(arguments: &[&str], input: &str) {
    let mut command = Command::new(place::suite("promtool"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool of tests/setup/install");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(input.as_bytes()).expect("promtool reads");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool ends");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "promtool {arguments:?}: {said}");
}
