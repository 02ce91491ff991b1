//! What `pullgate doctor` says of a node's files, and of what runs.

use std::path::Path;
use std::process::{Command, Output};

use pullgate_tests::containerd::{self, Containerd};
use pullgate_tests::dump::dump;
use pullgate_tests::place;
use pullgate_tests::pullgated::{Pullgated, Settings, accept_anything};
use pullgate_tests::signer::Signer;
use pullgate_tests::version::Version;
use serde_json::Value;

const OURS: &str = "unix:///run/pullgate/pullgate.sock";
const REJECT: &str = r#"{"default":[{"type":"reject"}]}"#;

/// Below a root with these files.
fn doctor(files: &[(&str, &str)]) -> Output {
    let root = place::on_disk("root");
    for (path, text) in files {
        let path = root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let mut command = Command::new(place::built("pullgate"));
    command.args(["doctor", "--root"]).arg(root.path()).output().unwrap()
}

#[test]
fn the_files_of_an_image_are_judged_before_it_boots() {
    let endpoints = format!("containerRuntimeEndpoint: {OURS}\n");
    let output = doctor(&[
        ("var/lib/kubelet/config.yaml", &endpoints),
        ("etc/containerd/config.toml", "version = 3\nimports = ['conf.d/*.toml']\n"),
        (
            "etc/containerd/conf.d/pull.toml",
            "[plugins.'io.containerd.cri.v1.images']\nmax_concurrent_downloads = 10\n",
        ),
        ("etc/containerd/certs.d/a.example/hosts.toml", "[host.'https://m.example']\n"),
        ("etc/containers/policy.json", REJECT),
    ]);
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(
        text,
        "\
armed     kubelet      containerRuntimeEndpoint is unix:///run/pullgate/pullgate.sock (/var/lib/kubelet/config.yaml)
armed     kubelet      imageServiceEndpoint is unix:///run/pullgate/pullgate.sock (/var/lib/kubelet/config.yaml)
skipped   cri          nothing runs below another root
skipped   sockets      nothing runs below another root
open      verifier     max_concurrent_downloads is 10 (/etc/containerd/conf.d/pull.toml): containerd asks no verifier then
                       -> remove it: 3 is the default, and restart containerd
open      verifier     /opt/containerd/image-verifier/bin is missing or empty: containerd lets everything through
                       -> mkdir -p /opt/containerd/image-verifier/bin && ln -s /usr/bin/pullgate /opt/containerd/image-verifier/bin/pullgate
advice    hosts        /etc/containerd/certs.d/a.example/hosts.toml has no `server`: a.example is asked when the hosts do not answer
                       -> add `server = \"https://…\"` with the last host that may be asked
armed     policy       /etc/containers/policy.json is usable
armed     keys         0 key files, and nothing in them ends soon
skipped   clock        nothing runs below another root
skipped   proxy        nothing runs below another root
skipped   ledger       nothing runs below another root
armed     confinement  nobody but root can change pullgated's program and configuration
skipped   unpack       nothing runs below another root
5 armed, 2 open, 0 unusable, 0 unknown
"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn the_exit_code_is_that_of_the_worst_finding() {
    let kubelet =
        ("var/lib/kubelet/config.yaml", "containerRuntimeEndpoint: /run/pullgate/pullgate.sock");
    let policy = ("etc/pullgate/policy.json", REJECT);
    let link = ("opt/containerd/image-verifier/bin/pullgate", "");
    for (name, files, expected) in [
        ("the verifier is not executable", vec![kubelet, policy, link], 1),
        ("no policy", vec![kubelet, link], 2),
        ("a policy that does not parse", vec![kubelet, ("etc/pullgate/policy.json", "{"), link], 2),
        (
            "a kubelet file that does not parse",
            vec![("var/lib/kubelet/config.yaml", "\ta"), policy],
            2,
        ),
        ("no kubelet", vec![policy, link], 3),
        ("our own configuration", vec![("etc/pullgate/config.toml", "[cri"), policy], 2),
    ] {
        let output = doctor(&files);
        assert_eq!(output.status.code(), Some(expected), "{name}: {output:?}");
    }
    let none =
        Command::new(place::built("pullgate")).args(["doctor", "--root", "/nowhere"]).output();
    let none = none.unwrap();
    assert_eq!(none.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&none.stderr).contains("--root /nowhere: cannot be entered"));
}

#[tokio::test]
async fn what_runs_is_asked_itself() {
    for version in Version::available() {
        let containerd = Containerd::start_with(version, containerd::Settings::default()).await;
        let policy = Some(accept_anything());
        let gate = Pullgated::start(&containerd, &Settings { policy, ..Settings::default() }).await;
        let run = |config: &Path| {
            let mut command = Command::new(place::built("pullgate"));
            command.arg("--config").arg(config).args(["doctor", "-o", "json"]);
            let output = command.output().unwrap();
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            (output.status.code(), report)
        };
        let (code, report) = run(&gate.config());
        let findings = report.pointer("/findings").and_then(Value::as_array).unwrap();
        let found = |check: &str| -> Vec<(&str, &str)> {
            let ours = findings.iter().filter(|found| found.pointer("/check").unwrap() == check);
            ours.map(|found| {
                let text = |key| found.pointer(key).and_then(Value::as_str).unwrap();
                (text("/state"), text("/what"))
            })
            .collect()
        };
        let cri = found("cri");
        assert!(cri.iter().all(|(state, _)| *state == "armed"), "{version}: {report:#}");
        assert!(cri.first().unwrap().1.contains(&format!("{version}.")), "{version}: {cri:?}");
        assert_eq!(found("sockets").len(), 2, "{version}");
        let open = found("policy")
            .iter()
            .any(|(state, what)| *state == "open" && what.contains("default"));
        assert!(open, "{version}: a policy that accepts anything: {report:#}");
        let verifier = found("verifier").first().unwrap().0.to_owned();
        let expected = if version == Version::V2_1 { "open" } else { "advice" };
        assert_eq!(verifier, expected, "{version}: {report:#}");
        assert_eq!(found("proxy").first().unwrap().0, "armed", "{version}: {report:#}");
        // No kubelet runs here, which nothing else can make up for.
        assert_eq!((code, report.pointer("/state").unwrap()), (Some(3), &Value::from("unknown")));

        let socket = containerd.socket();
        std::fs::set_permissions(&socket, std::os::unix::fs::PermissionsExt::from_mode(0o666))
            .unwrap();
        let (_, report) = run(&gate.config());
        assert!(report.to_string().contains("everyone on the node can pull past"), "{report:#}");
    }
}

#[tokio::test]
async fn canaries_are_refused_and_leave_nothing() {
    for version in Version::available() {
        let containerd = Containerd::start_with(version, containerd::Settings::default()).await;
        let key = place::on_disk("keys");
        let key_file = key.path().join("key.gpg");
        std::fs::copy(Signer::new().public_key(), &key_file).unwrap();
        let signed =
            serde_json::json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": key_file});
        let asking = serde_json::json!({"default": [signed]}).to_string();
        let mut expected = vec!["armed"; 4];
        let mut lax = vec!["advice", "advice", "armed", "armed"];
        if version == Version::V2_1 {
            // Nobody has told this containerd to ask.
            expected.push("open");
            lax.push("open");
        }
        for (policy, expected, words) in [
            (asking, &expected, ["no signature exists", "stranger", "", "expected sha256:"]),
            (accept_anything(), &lax, ["", "", "layer", "expected sha256:"]),
        ] {
            let policy = Some(policy);
            let settings = Settings { policy, ..Settings::default() };
            let gate = Pullgated::start(&containerd, &settings).await;
            let before = dump(&containerd.socket()).await;
            let mut command = Command::new(place::built("pullgate"));
            command.arg("--config").arg(gate.config());
            let output = command.args(["doctor", "--canary", "-o", "json"]).output().unwrap();
            let report: Value = serde_json::from_slice(&output.stdout).unwrap();
            let findings = report.pointer("/findings").and_then(Value::as_array).unwrap();
            let canaries =
                findings.iter().filter(|found| found.pointer("/check").unwrap() == "canary");
            let canaries: Vec<&Value> = canaries.collect();
            let text =
                |found: &Value, key: &str| found.pointer(key).unwrap().as_str().unwrap().to_owned();
            let states: Vec<String> = canaries.iter().map(|found| text(found, "/state")).collect();
            assert_eq!(&states, expected, "{version}: {report:#}\n{}", gate.log());
            for (found, words) in canaries.iter().zip(words) {
                assert!(text(found, "/what").contains(words), "{version}: {words}: {found:#}");
            }
            let settled = async || dump(&containerd.socket()).await == before;
            let end = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while !settled().await {
                assert!(
                    std::time::Instant::now() < end,
                    "left: {}",
                    dump(&containerd.socket()).await
                );
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        }
    }
}
