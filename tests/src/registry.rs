//! A real registry (Debian's docker-registry) on a free port of loopback.

use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use tempfile::{NamedTempFile, TempDir};

use crate::place;
use crate::process::{self, Process};

/// The user that [`Access::Login`] lets in.
pub const USER: &str = "puller";
/// That user's password.
pub const PASSWORD: &str = "open sesame";
/// bcrypt of [`PASSWORD`], at its lowest cost.
const HTPASSWD: &str = "puller:$2b$04$La9ezAoz.dt.WJc741Hv/OaQsS0Jvdutqhg/nhMJO01P35NYCLqxG\n";

static ZEROS: [u8; 1 << 20] = [0; 1 << 20];

/// Who may ask a registry, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Everyone, over plain HTTP.
    Open,
    /// Everyone, over TLS with a certificate of a CA of its own.
    Tls,
    /// [`USER`] with [`PASSWORD`] (HTTP Basic), over the same TLS.
    Login,
}

/// A running registry. Dropping it kills it and removes all it had.
#[derive(Debug)]
pub struct Registry {
    process: Process,
    access: Access,
    port: u16,
    directory: TempDir,
}

impl Registry {
    /// Starts an empty one and waits until it listens.
    pub async fn start(access: Access) -> Self {
        let directory = place::on_disk("registry");
        let config = directory.path().join("config.yml");
        std::fs::write(&config, configuration(access, directory.path()))
            .expect("the configuration to be written");
        let usr = place::suite("bookworm").join("usr");
        let mut command = process::with_usr(&usr, "/usr/bin/docker-registry");
        command.arg("serve").arg(&config).env("OTEL_TRACES_EXPORTER", "none");
        let log = directory.path().join("log");
        let mut process = Process::start("docker-registry", &command, &log);
        let port = process.until("listening", async |process| listening(&process.log())).await;
        Self { process, access, port, directory }
    }

    /// `127.0.0.1:PORT`, which is also a registry name that images can have.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The base URL.
    #[must_use]
    pub fn url(&self) -> String {
        match self.access {
            Access::Open => format!("http://{}", self.host()),
            Access::Tls | Access::Login => format!("https://{}", self.host()),
        }
    }

    /// The file with the certificate of its CA, if it speaks TLS.
    #[must_use]
    pub fn ca(&self) -> Option<PathBuf> {
        match self.access {
            Access::Open => None,
            Access::Tls | Access::Login => Some(self.directory.path().join("ca.pem")),
        }
    }

    /// The requests it has answered, as `METHOD PATH STATUS`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        let log = self.process.log();
        log.lines().filter_map(request).collect()
    }

    /// The file that holds the bytes it serves for a digest.
    #[must_use]
    pub fn blob(&self, digest: &str) -> PathBuf {
        let hex = hex(digest);
        let (shard, _) = hex.split_at(2);
        self.storage().join("blobs/sha256").join(shard).join(hex).join("data")
    }

    /// Puts bytes in as the content of `digest`, whether they are or not.
    pub fn put_blob(&self, repository: &str, digest: &str, bytes: &[u8]) {
        write(&self.blob(digest), bytes);
        self.link(repository, &format!("_layers/sha256/{}", hex(digest)), digest);
    }

    /// Puts bytes in as the manifest `digest`, whether they are or not.
    pub fn put_manifest(&self, repository: &str, digest: &str, bytes: &[u8]) {
        write(&self.blob(digest), bytes);
        self.link(repository, &format!("_manifests/revisions/sha256/{}", hex(digest)), digest);
    }

    /// The digest that a tag names.
    #[must_use]
    pub fn tagged(&self, repository: &str, tag: &str) -> String {
        let place = format!("repositories/{repository}/_manifests/tags/{tag}/current/link");
        std::fs::read_to_string(self.storage().join(place)).expect("the tag to be there")
    }

    /// Lets a tag name the manifest `digest`.
    pub fn tag(&self, repository: &str, tag: &str, digest: &str) {
        let tag = format!("_manifests/tags/{tag}");
        self.link(repository, &format!("{tag}/index/sha256/{}", hex(digest)), digest);
        self.link(repository, &format!("{tag}/current"), digest);
    }

    /// Changes the stored bytes of a blob behind the registry's back.
    pub fn tamper(&self, digest: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.blob(digest);
        let mut bytes = std::fs::read(&file).expect("the blob to be in the registry");
        change(&mut bytes);
        write(&file, &bytes);
    }

    fn storage(&self) -> PathBuf {
        self.directory.path().join("storage/docker/registry/v2")
    }

    fn link(&self, repository: &str, place: &str, digest: &str) {
        let file = self.storage().join("repositories").join(repository).join(place).join("link");
        write(&file, digest.as_bytes());
    }
}

/// Storage is written directly (see [`Registry::put_blob`]): an upload would refuse what a registry
/// that lies must hold.
///
/// A file is there as a whole: others may read a blob that is put in once more.
///
/// Zeros take no room on the disk: 10 GB of them are not to be written before they are pulled.
fn write(place: &Path, bytes: &[u8]) {
    let parent = place.parent().expect("a file in the storage has a directory");
    std::fs::create_dir_all(parent).expect("the storage to be writable");
    let new = NamedTempFile::new_in(parent).expect("the storage to be writable");
    let file = new.as_file();
    file.set_len(bytes.len() as u64).expect("the storage to be writable");
    for (number, part) in bytes.chunks(ZEROS.len()).enumerate() {
        if part != &ZEROS[..part.len()] {
            let at = (number * ZEROS.len()) as u64;
            file.write_all_at(part, at).expect("the storage to be writable");
        }
    }
    new.persist(place).expect("the storage to be writable");
}

fn hex(digest: &str) -> &str {
    digest.strip_prefix("sha256:").expect("a SHA-256 digest")
}

fn configuration(access: Access, directory: &Path) -> String {
    let place = directory.display();
    let mut text = format!(
        "version: 0.1
log: {{level: info, formatter: json}}
storage: {{filesystem: {{rootdirectory: {place}/storage}}}}
http:
  addr: 127.0.0.1:0
  relativeurls: true
"
    );
    if access != Access::Open {
        write_certificates(directory);
        text += &format!("  tls: {{certificate: {place}/server.pem, key: {place}/server.key}}\n");
    }
    if access == Access::Login {
        write(&directory.join("htpasswd"), HTPASSWD.as_bytes());
        text += &format!("auth: {{htpasswd: {{realm: tests, path: {place}/htpasswd}}}}\n");
    }
    text
}

fn write_certificates(directory: &Path) {
    let mut authority = CertificateParams::new([]).expect("valid parameters");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let key = KeyPair::generate().expect("a key pair");
    let authority = CertifiedIssuer::self_signed(authority, key).expect("a CA certificate");
    let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
    let server = CertificateParams::new(names).expect("valid parameters");
    let key = KeyPair::generate().expect("a key pair");
    let certificate = server.signed_by(&key, &authority).expect("a server certificate");
    write(&directory.join("ca.pem"), authority.pem().as_bytes());
    write(&directory.join("server.pem"), certificate.pem().as_bytes());
    write(&directory.join("server.key"), key.serialize_pem().as_bytes());
}

/// The port in the line that says where it listens.
fn listening(log: &str) -> Option<u16> {
    let (_, address) = log.split_once("listening on 127.0.0.1:")?;
    let digits = address.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// A line of the access log: `127.0.0.1 - - [date] "GET /v2/ HTTP/1.1" 200 2 "" "agent"`.
fn request(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("] \"")?;
    let (request, rest) = rest.split_once(" HTTP/")?;
    let status = rest.split(' ').nth(1)?;
    Some(format!("{request} {status}"))
}
