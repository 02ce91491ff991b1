//! Simple signing with real tools: gpg keys, gpg's and skopeo's signatures.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use tempfile::TempDir;

use crate::place;
use crate::process::{PATIENCE, Process, run};

/// What keys are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// Ed25519, in the form that `gpg` 2.2 makes.
    Ed25519,
    /// RSA with 3072 bits.
    Rsa3072,
    /// RSA with 4096 bits.
    Rsa4096,
}

/// A key in a `gpg` home of its own. Dropping it ends its agent and removes the home.
#[derive(Debug)]
pub struct Signer {
    _agent: Process,
    home: TempDir,
    fingerprint: String,
    /// What its clock says, if not the time.
    clock: Option<&'static str>,
    /// Whether the public key has been exported, and is another than gpg's own copy.
    exported: bool,
}

const YEARS_AGO: &str = "--faked-system-time=20200101T000000!";

impl Signer {
    /// Makes a new Ed25519 key.
    #[must_use]
    pub fn new() -> Self {
        Self::with(Algorithm::Ed25519)
    }

    /// Makes a new key.
    #[must_use]
    pub fn with(algorithm: Algorithm) -> Self {
        let name = match algorithm {
            Algorithm::Ed25519 => "ed25519",
            Algorithm::Rsa3072 => "rsa3072",
            Algorithm::Rsa4096 => "rsa4096",
        };
        Self::with_key(name, "never", &[])
    }

    fn with_key(name: &str, end: &str, options: &[&str]) -> Self {
        let home = place::for_sockets("gpg");
        let mut signer = Self {
            _agent: start_agent(home.path()),
            home,
            fingerprint: String::new(),
            clock: None,
            exported: false,
        };
        let user = "Release key <release@example.com>";
        let unlocked = ["--passphrase", "", "--pinentry-mode", "loopback"];
        let mut gpg = signer.gpg(&unlocked);
        run(gpg.args(options).args(["--quick-gen-key", user, name, "sign", end]));
        let listing = run(&mut signer.gpg(&["--with-colons", "--list-keys"]));
        let listing = String::from_utf8(listing).expect("a listing of ASCII");
        let line = listing.lines().find_map(|line| line.strip_prefix("fpr:"));
        let fields = line.expect("the listing to have a fingerprint");
        fields.trim_matches(':').clone_into(&mut signer.fingerprint);
        signer
    }

    /// Makes a key that signed while it was alive and has ended since.
    #[must_use]
    pub fn expired() -> Self {
        let mut signer = Self::with_key("ed25519", "1y", &[YEARS_AGO]);
        signer.clock = Some(YEARS_AGO);
        signer
    }

    /// Makes a key that its owner has revoked. It still signs.
    #[must_use]
    pub fn revoked() -> Self {
        let signer = Self::new();
        let name = format!("openpgp-revocs.d/{}.rev", signer.fingerprint);
        let text = std::fs::read_to_string(signer.home.path().join(name)).expect("gpg made it");
        // gpg guards the certificate against import by mistake with a colon.
        let certificate = signer.file("revocation", text.replace(":-----", "-----").as_bytes());
        let secret = run(&mut signer.gpg(&["--armor", "--export-secret-keys"]));
        let public = {
            run(signer.gpg(&["--import"]).arg(certificate));
            run(&mut signer.gpg(&["--export"]))
        };
        // gpg does not sign with a key that it knows to be revoked: it forgets, the file does not.
        signer.file("public.gpg", &public);
        let fingerprint = signer.fingerprint.clone();
        run(&mut signer.gpg(&["--yes", "--delete-secret-and-public-key", &fingerprint]));
        let secret = signer.file("secret", &secret);
        run(signer.gpg(&["--import"]).arg(secret));
        Self { exported: true, ..signer }
    }

    /// The fingerprint of the primary key.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Writes the public key, binary, into its home, and returns the path for `keyPath`.
    #[must_use]
    pub fn public_key(&self) -> PathBuf {
        let path = self.home.path().join("public.gpg");
        if self.exported {
            return path;
        }
        std::fs::write(&path, run(&mut self.gpg(&["--export"]))).expect("the key to be written");
        path
    }

    /// The public key in ASCII armor.
    #[must_use]
    pub fn armored_key(&self) -> Vec<u8> {
        run(&mut self.gpg(&["--armor", "--export"]))
    }

    /// Signs what a simple-signing payload says: that `digest` is `reference`.
    #[must_use]
    pub fn sign(&self, digest: &str, reference: &str) -> Vec<u8> {
        self.sign_bytes(payload(digest, reference).to_string().as_bytes())
    }

    /// Signs any payload.
    #[must_use]
    pub fn sign_bytes(&self, payload: &[u8]) -> Vec<u8> {
        let mut gpg = self.gpg(&["--local-user", &self.fingerprint, "--sign"]);
        gpg.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = gpg.spawn().expect("gpg to be installed");
        let mut input = child.stdin.take().expect("a piped standard input");
        input.write_all(payload).expect("gpg to read its input");
        drop(input);
        let output = child.wait_with_output().expect("gpg to end");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gpg --sign failed: {errors}");
        output.stdout
    }

    /// Signs a text that stays as it is: `gpg --detach-sign`.
    #[must_use]
    pub fn sign_detached(&self, text: &[u8]) -> Vec<u8> {
        self.sign_detached_with(&self.fingerprint, text)
    }

    /// Signs it with a subkey that is made for it.
    #[must_use]
    pub fn sign_detached_with_subkey(&self, text: &[u8]) -> Vec<u8> {
        let unlocked = ["--passphrase", "", "--pinentry-mode", "loopback"];
        run(self.gpg(&unlocked).args(["--quick-add-key", &self.fingerprint, "ed25519", "sign"]));
        let listing = run(&mut self.gpg(&["--with-colons", "--list-keys"]));
        let listing = String::from_utf8(listing).expect("a listing of ASCII");
        let last = listing.lines().rfind(|line| line.starts_with("fpr:")).expect("a fingerprint");
        let subkey = last.trim_start_matches("fpr").trim_matches(':');
        // Without the exclamation mark gpg takes the newest signing key of the certificate.
        self.sign_detached_with(&format!("{subkey}!"), text)
    }

    fn sign_detached_with(&self, key: &str, text: &[u8]) -> Vec<u8> {
        let (text, out) = (self.file("text", text), self.home.path().join("text.sig"));
        let mut gpg = self.gpg(&["--yes", "--local-user", key, "--output"]);
        run(gpg.arg(&out).arg("--detach-sign").arg(text));
        std::fs::read(out).expect("gpg to write the signature")
    }

    /// Signs with skopeo.
    #[must_use]
    pub fn sign_with_skopeo(&self, manifest: &[u8], reference: &str) -> Vec<u8> {
        let (manifest, out) = (self.file("manifest.json", manifest), self.file("signature", b""));
        let mut skopeo = self.skopeo("standalone-sign");
        skopeo.arg(manifest).args([reference, &self.fingerprint, "--output"]).arg(&out);
        run(&mut skopeo);
        std::fs::read(out).expect("skopeo to write the signature")
    }

    /// Lets skopeo verify that `signature` is this key's for `manifest` as `reference`. Panics with
    /// skopeo's words if not.
    pub fn verify_with_skopeo(&self, manifest: &[u8], reference: &str, signature: &[u8]) {
        let manifest = self.file("manifest.json", manifest);
        let signature = self.file("signature", signature);
        let mut skopeo = self.skopeo("standalone-verify");
        skopeo.arg(manifest).args([reference, &self.fingerprint]).arg(signature);
        run(&mut skopeo);
    }

    fn gpg(&self, arguments: &[&str]) -> Command {
        let mut gpg = Command::new("gpg");
        gpg.args(["--batch", "--quiet", "--trust-model", "always", "--homedir"]);
        gpg.arg(self.home.path()).args(self.clock).args(arguments);
        gpg
    }

    fn skopeo(&self, command: &str) -> Command {
        let mut skopeo = Command::new("skopeo");
        skopeo.env("GNUPGHOME", self.home.path()).arg(command);
        skopeo
    }

    fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::write(&path, bytes).expect("a file in the GnuPG home");
        path
    }
}

impl Default for Signer {
    fn default() -> Self {
        Self::new()
    }
}

/// An agent in the foreground, so that it ends with the test: the one that gpg starts by itself
/// would stay.
fn start_agent(home: &Path) -> Process {
    let mut command = Command::new("gpg-agent");
    command.args(["--quiet", "--no-detach", "--daemon", "--homedir"]).arg(home);
    let agent = Process::start("gpg-agent", &command, &home.join("agent.log"));
    let end = Instant::now() + PATIENCE;
    while UnixStream::connect(home.join("S.gpg-agent")).is_err() {
        assert!(Instant::now() < end, "gpg-agent does not listen:\n{}", agent.log());
        std::thread::sleep(Duration::from_millis(5));
    }
    agent
}

/// A simple-signing payload (containers-signature(5)).
#[must_use]
pub fn payload(digest: &str, reference: &str) -> serde_json::Value {
    json!({
        "critical": {
            "type": "atomic container signature",
            "identity": {"docker-reference": reference},
            "image": {"docker-manifest-digest": digest},
        },
        "optional": {"creator": "pullgate-tests", "timestamp": 1_704_067_200},
    })
}

/// A signature store: a directory in the layout of `lookaside`.
#[derive(Debug)]
pub struct Lookaside {
    directory: TempDir,
}

impl Lookaside {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self { directory: place::on_disk("lookaside") }
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Its `file` URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Adds the next signature of `digest` in `repository`, a path without the registry's name.
    pub fn add(&self, repository: &str, digest: &str, signature: &[u8]) {
        let name = format!("{repository}@{}", digest.replace(':', "="));
        let directory = self.path().join(name);
        std::fs::create_dir_all(&directory).expect("a directory in the lookaside");
        let numbers = 1_usize..;
        let mut places = numbers.map(|number| directory.join(format!("signature-{number}")));
        let place = places.find(|place| !place.exists()).expect("numbers do not end");
        std::fs::write(place, signature).expect("the signature to be written");
    }

    /// Writes a `registries.d` directory beside it that says it is at `url` for `scope`, and returns
    /// the directory's path.
    #[must_use]
    pub fn registries_d(&self, scope: &str, url: &str) -> PathBuf {
        let directory = self.path().join(".registries.d");
        std::fs::create_dir_all(&directory).expect("a directory in the lookaside");
        let text = format!("docker:\n  {scope}:\n    lookaside: {url}\n");
        let name = format!("{}.yaml", scope.replace('/', "_"));
        std::fs::write(directory.join(name), text).expect("the file to be written");
        directory
    }
}

impl Default for Lookaside {
    fn default() -> Self {
        Self::new()
    }
}
