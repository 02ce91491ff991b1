//! The Debian package on a node: installed, upgraded while a pull runs, removed, purged.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pullgate_tests::node::{Node, seen, text};
use pullgate_tests::package::{Kind, folder, package};
use pullgate_tests::place;
use pullgate_tests::process::{PATIENCE, run};

use crate::dam::Dam;
use crate::shop::{REGISTRY, Shop};

const UNITS: &str = "pullgated.socket pullgated.service";
const CONFIG: &str = "/etc/pullgate/config.toml";

#[tokio::test(flavor = "multi_thread")]
async fn a_node_takes_it_and_gives_it_back() {
    let shop = Shop::open().await;
    let node = Node::boot().await;
    shop.connect(&node);
    let before = pull_path(&node);
    node.run(&format!("dpkg -i {}", seen(&package(Kind::Deb))));
    assert_eq!(pull_path(&node), before, "installing changes nothing on the way of images");
    assert_eq!(node.run(&format!("systemctl is-enabled {UNITS}")), "enabled\nenabled\n");
    assert_eq!(node.run(&format!("systemctl is-active {UNITS}")), "active\nactive\n");
    assert_eq!(node.run(&format!("systemd-analyze verify --man=no {UNITS} 2>&1")), "");
    assert_eq!(node.run("systemctl show pullgated -p Type --value"), "notify\n");
    assert_eq!(mode(&node, "/run/pullgate/pullgate.sock"), "660 root root\n");
    assert_eq!(mode(&node, "/var/lib/pullgate"), "700 root root\n");

    refusals_and_admissions_are_in_the_journal(&node, &shop).await;
    a_reload_takes_a_valid_configuration_and_no_other(&node).await;
    a_crash_leaves_the_socket(&node).await;
    an_upgrade_lets_pulls_end(&node, &shop).await;

    node.write(
        "/var/lib/kubelet/config.yaml",
        "imageServiceEndpoint: unix:///run/pullgate/pullgate.sock",
    );
    let removed = node.run("dpkg --remove pullgate 2>&1");
    assert!(removed.contains("kubelet is still pointed at pullgate's socket"), "{removed}");
    assert_eq!(
        text(&node.attempt(&format!("systemctl is-active {UNITS}"))),
        "inactive\ninactive\n"
    );
    assert!(!node.path("/run/pullgate/pullgate.sock").exists());
    assert!(node.path(CONFIG).exists(), "a removed package leaves its configuration");
    node.run("dpkg --purge pullgate");
    assert!(!node.path(CONFIG).exists() && !node.path("/var/lib/pullgate").exists());
    assert!(node.path("/etc/pullgate/keys/release.gpg").exists(), "what the admin wrote stays");
    assert_eq!(pull_path(&node), before);
}

/// Whatever decides where images come from: containerd's process and files, and kubelet's.
fn pull_path(node: &Node) -> String {
    node.run(
        "systemctl show containerd -p MainPID -p NRestarts -p ExecMainStartTimestamp
        ls -l --inode /run/containerd/containerd.sock
        find /etc/containerd /etc/default /etc/systemd/system -type f -exec sha256sum {} +",
    )
}

async fn refusals_and_admissions_are_in_the_journal(node: &Node, shop: &Shop) {
    let (signed, unsigned) =
        (shop.publish("shop/signed", true), shop.publish("shop/unsigned", false));
    let refusal = node.cri().await.pull(&signed).await.unwrap_err();
    assert!(refusal.message().contains("policy"), "without a policy nothing passes: {refusal}");
    shop.trust(node);
    node.cri().await.pull(&signed).await.unwrap();
    let refusal = node.cri().await.pull(&unsigned).await.unwrap_err();
    assert!(refusal.message().starts_with("SignatureValidationFailed"), "{refusal}");
    let images = node.run("ctr --namespace k8s.io images list --quiet");
    assert!(images.contains(&signed) && !images.contains(&unsigned), "{images}");
    let expected =
        [("POLICY_UNUSABLE", &signed), ("SIGNED", &signed), ("SIGNATURE_MISSING", &unsigned)];
    assert_eq!(outcomes(node), expected.map(|(reason, image)| (reason.to_owned(), image.clone())));
}

/// Reason and image of each pull in the journal.
fn outcomes(node: &Node) -> Vec<(String, String)> {
    let journal = node.journal("json");
    let records = journal.lines().map(|line| serde_json::from_str(line).unwrap());
    let field = |record: &serde_json::Value, name| Some(record.get(name)?.as_str()?.to_owned());
    records
        .filter_map(|record| Some((field(&record, "REASON")?, field(&record, "IMAGE_REF")?)))
        .collect()
}

async fn a_reload_takes_a_valid_configuration_and_no_other(node: &Node) {
    let edited = |level: &str| format!("# The admin's own.\n[log]\nlevel = \"{level}\"\n");
    node.write(CONFIG, edited("loud"));
    let refused = node.attempt("systemctl reload pullgated");
    assert!(!refused.status.success(), "a file that is not valid fails the reload");
    let journal = node.journal("short");
    assert!(journal.contains("`log.level`: found `loud`"), "{journal}");
    node.write(CONFIG, edited("debug"));
    node.run("systemctl reload pullgated");
    // This systemd does not wait for the end of a reload; reload.rs has one that does.
    let read = || node.journal("short").contains("the configuration was read again");
    until(read, "the daemon to read it").await;
    let active = || node.attempt("systemctl is-active pullgated.service").status.success();
    until(active, "the service to be active again").await;
}

async fn a_crash_leaves_the_socket(node: &Node) {
    let before = node.run("systemctl show pullgated -p MainPID --value");
    node.run(&format!("kill -KILL {before}"));
    node.cri().await.version().await.unwrap();
    assert_ne!(node.run("systemctl show pullgated -p MainPID --value"), before);
}

/// The pull waits for its signature while dpkg installs a version whose configuration file is another.
async fn an_upgrade_lets_pulls_end(node: &Node, shop: &Shop) {
    let dam = Dam::before(shop.signatures()).await;
    let held = shop.publish("held/app", true);
    shop.store(node, &format!("{REGISTRY}/held"), dam.url());
    let socket = node.run("stat -c %i /run/pullgate/pullgate.sock");
    let process = node.run("systemctl show pullgated -p MainPID --value");
    let knocking = Knocking::at(node.path("/run/pullgate/pullgate.sock"));

    let (cri, image) = (node.cri().await, held.clone());
    let pull = tokio::spawn(async move { cri.pull(&image).await });
    until(|| dam.waiting() > 0, "the pull to ask for its signature").await;
    let mut dpkg = node.command(&format!(
        "dpkg --force-confdef --force-confold -i {} < /dev/null",
        seen(&next_version())
    ));
    let upgrade = std::thread::spawn(move || dpkg.output().unwrap());
    let stopping = || node.journal("short").contains("stopping: calls under way");
    until(stopping, "the old daemon to stop").await;
    let cri = node.cri().await;
    let queued = tokio::spawn(async move { cri.version().await });
    assert!(!pull.is_finished() && !upgrade.is_finished());
    dam.open();

    pull.await.unwrap().unwrap();
    queued.await.unwrap().unwrap();
    let output = tokio::task::spawn_blocking(move || upgrade.join().unwrap()).await.unwrap();
    assert!(output.status.success(), "{}", text(&output));
    assert!(knocking.stop() > 10, "the socket was there all the time");
    assert_eq!(node.run("stat -c %i /run/pullgate/pullgate.sock"), socket);
    assert_ne!(node.run("systemctl show pullgated -p MainPID --value"), process);
    the_admins_configuration_is_kept(node);
    let journal = node.journal("short");
    assert!(journal.contains("a layer is in its place"), "the unit lets it write: {journal}");
}

fn the_admins_configuration_is_kept(node: &Node) {
    assert_eq!(node.run("dpkg-query --show --showformat '${Version}' pullgate"), "9.9.9-1");
    assert!(std::fs::read_to_string(node.path(CONFIG)).unwrap().starts_with("# The admin's own."));
    assert!(node.path("/etc/pullgate/config.toml.dpkg-dist").exists());
}

/// The same package with a higher version and another configuration file.
fn next_version() -> PathBuf {
    let place = place::on_disk("next");
    let next = folder().join("next.deb");
    let script = "dpkg-deb --raw-extract \"$0\" . && echo '# new' >> etc/pullgate/config.toml &&
        sed -i 's/^Version: .*/Version: 9.9.9-1/' DEBIAN/control &&
        sed -i '/config.toml$/d' DEBIAN/md5sums && dpkg-deb -Zxz -z1 --build . \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(package(Kind::Deb)).arg(&next);
    run(command.current_dir(place.path()));
    next
}

fn mode(node: &Node, file: &str) -> String {
    node.run(&format!("stat -c '%a %U %G' {file}"))
}

async fn until(mut condition: impl FnMut() -> bool, what: &str) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waiting for {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Somebody who connects again and again.
struct Knocking {
    end: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Knocking {
    fn at(socket: PathBuf) -> Self {
        let end = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&end);
        let thread = std::thread::spawn(move || {
            let mut count = 0;
            while !told.load(Ordering::Relaxed) {
                let connected = std::os::unix::net::UnixStream::connect(&socket);
                assert!(connected.is_ok(), "connection {count}: {connected:?}");
                count += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
            count
        });
        Self { end, thread }
    }

    /// How often it got through, which is each time.
    fn stop(self) -> usize {
        self.end.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
