//! containerd 2.1 asks pullgate before it pulls by itself.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use pullgate_tests::containerd;
use pullgate_tests::place;
use pullgate_tests::process::with_usr;
use pullgate_tests::pullgated::{Settings, policy};
use pullgate_tests::sample;
use pullgate_tests::signer::{Lookaside, Signer};
use pullgate_tests::version::Version;
use tempfile::TempDir;

use crate::scene::{NAME, Scene};

/// A folder of verifiers, `bin` in a folder with their configuration, and the settings of a containerd
/// that asks them.
fn verifiers() -> (TempDir, containerd::Settings) {
    let folder = place::on_disk("verifiers");
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).expect("a folder");
    let extra = format!(
        "[plugins.\"io.containerd.image-verifier.v1.bindir\"]\n  bin_dir = \"{}\"\n",
        bin.display()
    );
    (folder, containerd::Settings { extra, ..containerd::Settings::default() })
}

/// Lets `pullgate` with this configuration be the one verifier.
fn arm(folder: &Path, config: &Path) {
    symlink(config, folder.join("config.toml")).expect("a link");
    symlink(place::built("verifier"), folder.join("bin/pullgate")).expect("a link");
}

/// A node whose policy wants the signature of one key.
struct Node {
    scene: Scene,
    release: Signer,
    lookaside: Lookaside,
    verifiers: TempDir,
}

impl Node {
    async fn open() -> Self {
        let (release, lookaside) = (Signer::new(), Lookaside::new());
        let settings = Settings {
            policy: Some(policy(NAME, &release.public_key())),
            registries_d: Some(lookaside.registries_d(NAME, &lookaside.url())),
            ..Settings::default()
        };
        let (verifiers, containerd) = verifiers();
        let scene = Scene::with(Version::V2_1, containerd, settings).await;
        Self { scene, release, lookaside, verifiers }
    }

    fn publish(&self, name: &str, signed: bool) {
        let index = sample::multi_arch(name);
        index.store(&self.scene.registry, name, "v1");
        for image in index.images.iter().filter(|_| signed) {
            let digest = &image.manifest.digest;
            let signature = self.release.sign(digest, &format!("{NAME}/{name}:v1"));
            self.lookaside.add(name, digest, &signature);
        }
    }

    /// A pull past pullgate, by CRI.
    async fn past(&self, name: &str) -> Result<String, tonic::Status> {
        self.scene.native().await.pull(&format!("{NAME}/{name}:v1")).await
    }

    fn arm(&self) {
        arm(self.verifiers.path(), &self.scene.gate.config());
    }
}

fn available() -> bool {
    Version::available().contains(&Version::V2_1)
}

#[tokio::test]
async fn containerd_pulls_by_itself_only_what_pullgate_has_accepted() {
    if !available() {
        return;
    }
    let node = Node::open().await;
    for name in ["good", "other"] {
        node.publish(name, true);
    }
    node.publish("unsigned", false);
    node.past("unsigned").await.expect("nobody has told containerd to ask yet");

    node.arm();
    for name in ["good", "unsigned", "other"] {
        let refused = node.past(name).await.expect_err(name);
        assert!(refused.message().contains("pullgate has not accepted"), "{name}: {refused}");
    }
    node.scene.pull("unsigned:v1").await.expect_err("pullgate refuses it as well");
    node.scene
        .pull("good:v1")
        .await
        .expect("a verifier is not asked about what pullgate brings in");
    node.past("unsigned").await.expect_err("a rejection is no acceptance");
    node.past("good").await.expect("it was accepted");
    node.past("other").await.expect_err("under its own name nobody has accepted it");

    // The same name with other bytes.
    let moved = sample::multi_arch("moved");
    moved.store(&node.scene.registry, "good", "v1");
    node.past("good").await.expect_err("the tag names another image now");

    // Another policy: what was accepted by the old one has to be accepted again.
    let reject = r#"{"default":[{"type":"reject"}]}"#;
    node.publish("good", true);
    node.past("good").await.expect("the tag is back");
    std::fs::write(node.scene.gate.policy(), reject).expect("the policy to be written");
    node.past("good").await.expect_err("the policy in force has not accepted it");
}

#[tokio::test]
async fn ctr_is_refused_what_pullgate_has_not_accepted() {
    if !available() {
        return;
    }
    let mut node = Node::open().await;
    let host = node.scene.registry.host();
    let index = sample::multi_arch("app");
    index.store(&node.scene.registry, "app", "v1");
    let any = r#"{"default":[{"type":"reject"}],"transports":{"docker":{"HOST":[{"type":"insecureAcceptAnything"}]}}}"#;
    let any = any.replace("HOST", &host);
    std::fs::write(node.scene.gate.policy(), any).expect("the policy to be written");
    let image = format!("{host}/app:v1");
    let ctr = |socket: &Path| -> Output {
        let mut command = with_usr(&Version::V2_1.usr(), "/usr/bin/ctr");
        command.arg("--address").arg(socket).args([
            "-n",
            "k8s.io",
            "images",
            "pull",
            "--plain-http",
        ]);
        command.arg(&image).output().expect("ctr to run")
    };
    let socket = node.scene.containerd.socket();
    assert!(ctr(&socket).status.success(), "without a verifier ctr pulls: {:?}", ctr(&socket));

    node.arm();
    let refused = ctr(&socket);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && text.contains("pullgate has not accepted"), "{text}");
    node.scene.gate.cri().await.pull(&image).await.expect("the policy accepts it");
    let accepted = ctr(&socket);
    assert!(accepted.status.success(), "{accepted:?}");
    node.scene.gate.stop().await;
}

#[tokio::test]
async fn the_answer_survives_a_restart_and_is_no_without_a_daemon() {
    if !available() {
        return;
    }
    let mut node = Node::open().await;
    node.publish("good", true);
    node.arm();
    node.scene.pull("good:v1").await.expect("it is signed");

    node.scene.gate.stop().await;
    let native = node.scene.native().await;
    let pull = tokio::spawn(async move { native.pull(&format!("{NAME}/good:v1")).await });
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!pull.is_finished(), "the verifier waits for the daemon");
    node.scene.gate.start_again().await;
    pull.await.expect("no panic").expect("the daemon is back, and the ledger remembers");

    node.scene.gate.stop().await;
    let began = std::time::Instant::now();
    let refused = node.past("good").await.expect_err("nobody answers");
    assert!(refused.message().contains("pullgated did not answer"), "{refused}");
    assert!(began.elapsed() < Duration::from_secs(10), "containerd's own deadline");
}

#[tokio::test]
async fn only_root_is_told_and_only_a_whole_question_is_answered() {
    if !available() {
        return;
    }
    let node = Node::open().await;
    node.publish("good", true);
    node.scene.pull("good:v1").await.expect("it is signed");
    let name = format!("{NAME}/good:v1");
    let digest = node.scene.registry.tagged("good", "v1");
    let descriptor = format!(
        r#"{{"mediaType":"application/vnd.oci.image.index.v1+json","digest":"{digest}","size":1}}"#
    );
    let other = descriptor.replace(&digest, &format!("sha256:{}", "0".repeat(64)));
    let ask = |user: &str, name: &str, digest: &str, descriptor: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", user, "--regid", user, "--clear-groups", "--"]);
        command.arg(place::built("pullgate")).arg("--config").arg(node.scene.gate.config());
        command.args(["image-verifier", "-name", name, "-digest", digest]);
        command.args(["-stdin-media-type", "application/vnd.oci.descriptor.v1+json"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("setpriv");
        let mut input = child.stdin.take().expect("a pipe");
        std::io::Write::write_all(&mut input, descriptor.as_bytes()).expect("it is read");
        drop(input);
        let output = child.wait_with_output().expect("it ends");
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(ask("0", &name, &digest, &descriptor), (Some(0), String::new()));
    let socket = node.scene.gate.socket();
    let mode = std::fs::Permissions::from_mode(0o666);
    std::fs::set_permissions(socket, mode).expect("a mode");
    for path in [node.scene.gate.config(), node.scene.gate.policy()] {
        let mode = std::fs::Permissions::from_mode(0o644);
        std::fs::set_permissions(&path, mode).expect("a mode");
        let folder = path.parent().expect("a folder");
        let mode = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder, mode).expect("a mode");
    }
    for (what, (code, reason), words) in [
        ("another user", ask("65534", &name, &digest, &descriptor), "only root may ask"),
        (
            "another image",
            ask("0", "a/b:c", &digest, &descriptor),
            "has not accepted docker.io/a/b:c",
        ),
        ("no reference", ask("0", "A B", &digest, &descriptor), "invalid image reference"),
        ("another descriptor", ask("0", &name, &digest, &other), "the descriptor says"),
        ("no descriptor", ask("0", &name, &digest, ""), "standard input has no descriptor"),
    ] {
        assert_eq!(code, Some(1), "{what}: {reason}");
        assert!(reason.contains(words), "{what}: {reason}");
    }
}
