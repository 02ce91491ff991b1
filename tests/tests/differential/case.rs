//! One case as both sides read it: an image with signatures in a registry and a lookaside, and the files
//! that decide.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate_policy::digest::Digest;
use pullgate_tests::image::{Blob, Image};
use pullgate_tests::registry::Registry;
use pullgate_tests::sample;
use pullgate_tests::server::Server;
use pullgate_tests::sigstore::{PAYLOAD, SIGNATURE, cosign_payload, sign};
use serde_json::{Map, Value, json};

use crate::keys::Keys;
use crate::plan::{Attached, Part, Plan, Signature, Signer};
use crate::verdict::Gates;

const LOG_ENTRY: &str = "dev.sigstore.cosign/bundle";
const CERTIFICATE: &str = "dev.sigstore.cosign/certificate";

/// What the cases of a run share.
pub(crate) struct World {
    pub(crate) registry: Registry,
    pub(crate) keys: Keys,
    pub(crate) gates: Gates,
    /// How many cases were written: each has a folder and a repository of its own.
    pub(crate) written: AtomicU64,
    /// Holds a folder for each case.
    pub(crate) folder: PathBuf,
    /// Serves that folder.
    pub(crate) store: Server,
}

/// Everything that both sides read.
#[derive(Debug)]
pub(crate) struct Case {
    folder: PathBuf,
    reference: String,
    policy: String,
    registries_d: Vec<String>,
    signatures: Vec<Signature>,
}

impl Case {
    /// Puts the image and the files of a plan where both sides find them.
    pub(crate) fn write(plan: &Plan, world: &World) -> Self {
        let number = &world.written.fetch_add(1, Ordering::Relaxed).to_string();
        let image = sample::tiny("the image of every case");
        let place = Place { plan, number, world, digest: &image.manifest.digest };
        let repository = place.repository();
        image.store(&world.registry, &repository, plan.tag);
        let folder = world.folder.join(number);
        std::fs::create_dir_all(folder.join("registries.d")).expect("a folder");
        place.store_simple(&folder);
        place.store_attached(&image);
        let by = if plan.by_digest { "@NAME@@@DIGEST@" } else { "@NAME@:@TAG@" };
        let files = plan.registries_d();
        let case = Self {
            policy: place.fill(&plan.policy()),
            registries_d: files.iter().map(|text| place.fill(text)).collect(),
            reference: place.fill(by),
            signatures: plan.signatures.clone(),
            folder,
        };
        write(&case.policy(), case.policy.as_bytes());
        for (number, text) in case.registries_d.iter().enumerate() {
            write(&case.registries_d().join(format!("{number}.yaml")), text.as_bytes());
        }
        case
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn reference(&self) -> &str {
        &self.reference
    }

    pub(crate) fn policy(&self) -> PathBuf {
        self.folder.join("policy.json")
    }

    pub(crate) fn registries_d(&self) -> PathBuf {
        self.folder.join("registries.d")
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "image: {}", self.reference)?;
        writeln!(f, "policy.json: {}", self.policy)?;
        for text in &self.registries_d {
            writeln!(f, "registries.d:\n{text}")?;
        }
        for signature in &self.signatures {
            writeln!(f, "signature: {signature:?}")?;
        }
        Ok(())
    }
}

/// A plan and the names that are filled in.
struct Place<'a> {
    plan: &'a Plan,
    number: &'a str,
    world: &'a World,
    digest: &'a str,
}

impl Place<'_> {
    /// The repository: the plan's, in a place of its own.
    fn repository(&self) -> String {
        let (first, rest) = self.plan.repository.split_once('/').expect("a path of two parts");
        format!("{first}-{}/{rest}", self.number)
    }

    fn fill(&self, text: &str) -> String {
        let host = self.world.registry.host();
        let repository = self.repository();
        let first = repository.split('/').next().unwrap_or_default();
        let text = text
            .replace("@NAME@", &format!("{}/@REPOSITORY@", self.plan.host))
            .replace("@HOST@", &host)
            .replace("@LOCALHOST@", &host.replace("127.0.0.1", "localhost"))
            .replace("@REPOSITORY@", &repository)
            .replace("@FIRST@", first)
            .replace("@TAG@", self.plan.tag)
            .replace("@DIGEST@", self.digest)
            .replace("@FOLDER@", &self.world.folder.join(self.number).display().to_string())
            .replace("@HTTP@", &format!("{}/{}", self.world.store.url(), self.number));
        self.world.keys.fill(text)
    }

    fn claimed(&self, signature: &Signature) -> (String, String) {
        let digest = if signature.other_digest {
            Digest::sha256(b"another manifest").to_string()
        } else {
            self.digest.to_owned()
        };
        (digest, self.fill(&signature.claim))
    }

    /// Simple-signing messages in the lookaside.
    fn store_simple(&self, folder: &Path) {
        let name = format!("{}@{}", self.repository(), self.digest.replace(':', "="));
        let store = folder.join("store").join(name);
        let mut number = 1;
        for signature in &self.plan.signatures {
            let Signer::OpenPgp(key) = signature.by else { continue };
            let (digest, reference) = self.claimed(signature);
            let mut message = self.world.keys.sign(key, &digest, &reference);
            signature.change.apply(&mut message);
            write(&store.join(format!("signature-{number}")), &message);
            number += 1;
        }
    }

    /// The sigstore attachment in the registry.
    fn store_attached(&self, image: &Image) {
        let (registry, repository) = (&self.world.registry, self.repository());
        let mut layers = Vec::new();
        for signature in &self.plan.signatures {
            let Some((blob, annotations)) = self.attach(signature) else { continue };
            registry.put_blob(&repository, &blob.digest, &blob.bytes);
            let mut layer = blob.descriptor();
            if !annotations.is_empty() {
                layer["annotations"] = Value::Object(annotations);
            }
            layers.push(layer);
        }
        if layers.is_empty() {
            return;
        }
        let config = Blob::new("application/vnd.oci.image.config.v1+json", b"{}".to_vec());
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": media_type,
            "config": config.descriptor(),
            "layers": layers,
        });
        let manifest = Blob::new(media_type, manifest.to_string().into_bytes());
        registry.put_blob(&repository, &config.digest, &config.bytes);
        registry.put_manifest(&repository, &manifest.digest, &manifest.bytes);
        let tag = format!("{}.sig", image.manifest.digest.replacen(':', "-", 1));
        registry.tag(&repository, &tag, &manifest.digest);
    }

    /// A payload with its annotations, if the signature is attached.
    fn attach(&self, signature: &Signature) -> Option<(Blob, Map<String, Value>)> {
        let keys = &self.world.keys;
        let (attached, (key, material), certified) = match &signature.by {
            Signer::OpenPgp(_) => return None,
            Signer::Sigstore { key, attached } => (attached, keys.sigstore(*key), false),
            Signer::Certificate { number, attached } => (attached, keys.certificate(*number), true),
        };
        let Attached { log, changed, other_media_type, without } = attached;
        let (digest, reference) = self.claimed(signature);
        let mut payload = cosign_payload(&digest, &reference);
        let mut raw = sign(key, &payload);
        let entry = log.map(|log| keys.recorded(log, &material, &raw, &payload));
        let change = |part: Part, bytes: &mut Vec<u8>| {
            if part == *changed {
                signature.change.apply(bytes);
            }
        };
        change(Part::Payload, &mut payload);
        change(Part::Signature, &mut raw);
        let text = |part: Part, text: String| {
            let mut bytes = text.into_bytes();
            change(part, &mut bytes);
            // An annotation is text: a change that makes it none is none.
            String::from_utf8(bytes).unwrap_or_default()
        };
        let mut annotations = Map::new();
        annotations.insert(SIGNATURE.to_owned(), json!(STANDARD.encode(raw)));
        if let Some(entry) = entry {
            annotations.insert(LOG_ENTRY.to_owned(), json!(text(Part::LogEntry, entry)));
        }
        if certified {
            let certificate = text(Part::Certificate, material);
            annotations.insert(CERTIFICATE.to_owned(), json!(certificate));
        }
        annotations.retain(|name, _| Some(name.as_str()) != *without);
        let media_type = if *other_media_type { "application/octet-stream" } else { PAYLOAD };
        Some((Blob::new(media_type, payload), annotations))
    }
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, bytes).expect("a file");
}
