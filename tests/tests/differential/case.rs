//! One case: an image with signatures in a registry and a lookaside, and the files that decide.

use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate_policy::digest::Digest;
use pullgate_tests::image::{Blob, Image};
use pullgate_tests::registry::Registry;
use pullgate_tests::sample;
use serde_json::{Value, json};

use crate::chance::Chance;
use crate::keys::Keys;

/// Everything that both sides read.
#[derive(Debug)]
pub(crate) struct Case {
    folder: PathBuf,
    reference: String,
    policy: String,
    registries_d: String,
    signatures: Vec<String>,
}

impl Case {
    /// Makes up case `index` and puts its image and its files where both sides find them.
    pub(crate) fn make(
        chance: &mut Chance,
        index: u64,
        keys: &Keys,
        registry: &Registry,
        folder: &Path,
    ) -> Self {
        let image = sample::tiny(&format!("case {index}"));
        let name = Name { host: registry.host(), repository: format!("c{index}/app") };
        image.store(registry, &name.repository, "v1");
        let reference = if chance.once_in(3) {
            format!("{}@{}", name.full(), image.manifest.digest)
        } else {
            format!("{}:v1", name.full())
        };
        let mut signatures = Vec::new();
        if !chance.once_in(8) {
            signatures.extend(simple(chance, keys, &image, &name, folder));
            signatures.extend(attached(chance, keys, &image, &name, registry));
        }
        let case = Self {
            folder: folder.to_owned(),
            policy: policy(chance, keys, &name),
            registries_d: registries_d(chance, &name, folder),
            reference,
            signatures,
        };
        write(&case.policy(), case.policy.as_bytes());
        write(&case.registries_d().join("a.yaml"), case.registries_d.as_bytes());
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
        writeln!(f, "registries.d:\n{}", self.registries_d)?;
        write!(f, "signatures: {}", self.signatures.join("; "))
    }
}

struct Name {
    host: String,
    repository: String,
}

impl Name {
    fn full(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }
}

/// The names that a signature may carry.
fn claims(name: &Name, image: &Image) -> Vec<String> {
    let full = name.full();
    vec![
        format!("{full}:v1"),
        full.clone(),
        format!("{full}:v2"),
        format!("{full}@{}", image.manifest.digest),
        format!("{}/other/app:v1", name.host),
        "signed.example/app:v1".to_owned(),
        "Not A Name".to_owned(),
    ]
}

fn claimed_digest(chance: &mut Chance, image: &Image) -> String {
    if chance.once_in(8) {
        return Digest::sha256(b"another manifest").to_string();
    }
    image.manifest.digest.clone()
}

/// A change of bytes, and what it is called.
fn mutate(chance: &mut Chance, bytes: &mut Vec<u8>) -> &'static str {
    match chance.below(20) {
        0 => {
            let place = chance.below(bytes.len());
            bytes[place] ^= 1 << chance.below(8);
            "one bit changed"
        }
        1 => {
            bytes.truncate(chance.below(bytes.len()));
            "cut"
        }
        _ => "as signed",
    }
}

/// Simple-signing messages in the lookaside.
fn simple(
    chance: &mut Chance,
    keys: &Keys,
    image: &Image,
    name: &Name,
    folder: &Path,
) -> Vec<String> {
    let store = folder.join("store");
    let place = format!("{}@{}", name.repository, image.manifest.digest.replace(':', "="));
    let mut said = Vec::new();
    for number in 1..=chance.below(3) + 1 {
        let key = chance.favour_first(keys.openpgp().len());
        let claims = claims(name, image);
        let claim = claims[chance.favour_first(claims.len())].clone();
        let mut bytes = keys.sign(key, &claimed_digest(chance, image), &claim);
        let change = mutate(chance, &mut bytes);
        write(&store.join(&place).join(format!("signature-{number}")), &bytes);
        said.push(format!("openpgp key {key} `{claim}` {change}: {}", STANDARD.encode(&bytes)));
    }
    said
}

/// A sigstore attachment in the registry.
fn attached(
    chance: &mut Chance,
    keys: &Keys,
    image: &Image,
    name: &Name,
    registry: &Registry,
) -> Vec<String> {
    let mut said = Vec::new();
    let mut layers = Vec::new();
    for _ in 0..=chance.below(2) {
        let key = chance.favour_first(keys.sigstore().len());
        let claims = claims(name, image);
        let claim = claims[chance.favour_first(claims.len())].clone();
        let (mut payload, mut signature) = keys.attach(key, &claimed_digest(chance, image), &claim);
        let change = if chance.once_in(2) {
            mutate(chance, &mut payload)
        } else {
            let mut raw = STANDARD.decode(&signature).expect("our own base64");
            let change = mutate(chance, &mut raw);
            signature = STANDARD.encode(raw);
            change
        };
        let media_type = if chance.once_in(10) {
            "application/octet-stream"
        } else {
            "application/vnd.dev.cosign.simplesigning.v1+json"
        };
        let blob = Blob::new(media_type, payload);
        registry.put_blob(&name.repository, &blob.digest, &blob.bytes);
        let mut layer = blob.descriptor();
        if !chance.once_in(12) {
            layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
        }
        said.push(format!("sigstore key {key} `{claim}` {change}: {layer}"));
        layers.push(layer);
    }
    if layers.is_empty() {
        return said;
    }
    let config = Blob::new("application/vnd.oci.image.config.v1+json", b"{}".to_vec());
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config.descriptor(),
        "layers": layers,
    });
    let manifest =
        Blob::new("application/vnd.oci.image.manifest.v1+json", manifest.to_string().into_bytes());
    registry.put_blob(&name.repository, &config.digest, &config.bytes);
    registry.put_manifest(&name.repository, &manifest.digest, &manifest.bytes);
    let tag = format!("{}.sig", image.manifest.digest.replacen(':', "-", 1));
    registry.tag(&name.repository, &tag, &manifest.digest);
    said
}

fn policy(chance: &mut Chance, keys: &Keys, name: &Name) -> String {
    let scopes = [
        name.host.clone(),
        format!("{}/{}", name.host, name.repository.split('/').next().unwrap_or_default()),
        name.full(),
        format!("{}:v1", name.full()),
        "*.0.0.1".to_owned(),
        "*.1".to_owned(),
        "127.0.0.1".to_owned(),
        String::new(),
    ];
    let mut docker = serde_json::Map::new();
    for _ in 0..chance.below(4) {
        docker.insert(chance.one(&scopes).clone(), requirements(chance, keys, name));
    }
    let mut policy = json!({ "default": requirements(chance, keys, name) });
    if !docker.is_empty() {
        policy["transports"] = json!({ "docker": docker });
    }
    let mut text = policy.to_string();
    if chance.once_in(25) {
        let cuts = [(",", ""), ("type", "Type"), ("[", "{"), ("\"default\"", "\"defaults\"")];
        let (from, to) = chance.one(&cuts);
        text = text.replacen(from, to, 1);
    }
    text
}

fn requirements(chance: &mut Chance, keys: &Keys, name: &Name) -> Value {
    let count = if chance.once_in(5) { 2 } else { 1 };
    (0..count).map(|_| requirement(chance, keys, name)).collect()
}

fn requirement(chance: &mut Chance, keys: &Keys, name: &Name) -> Value {
    let (mut requirement, paths) = match chance.below(16) {
        0 => return json!({"type": "reject"}),
        1 | 2 => return json!({"type": "insecureAcceptAnything"}),
        3 => {
            let identity = json!({"type": "matchExact"});
            return json!({"type": "signedBaseLayer", "baseLayerIdentity": identity});
        }
        4..=9 => (json!({"type": "signedBy", "keyType": "GPGKeys"}), keys.openpgp()),
        _ => (json!({"type": "sigstoreSigned"}), keys.sigstore()),
    };
    let data = |path: &Path| STANDARD.encode(std::fs::read(path).expect("a key"));
    match chance.below(6) {
        0 => requirement["keyData"] = json!(data(paths[chance.favour_first(paths.len())])),
        1 => {
            let chosen: Vec<_> =
                (0..=chance.below(3)).map(|_| chance.one(&paths).to_owned()).collect();
            requirement["keyPaths"] = json!(chosen);
        }
        2 if chance.once_in(6) => requirement["keyPath"] = json!("/nowhere/key"),
        _ => requirement["keyPath"] = json!(paths[chance.favour_first(paths.len())]),
    }
    if !chance.once_in(3) {
        requirement["signedIdentity"] = identity(chance, name);
    }
    requirement
}

fn identity(chance: &mut Chance, name: &Name) -> Value {
    let full = name.full();
    match chance.below(8) {
        0 => json!({"type": "matchExact"}),
        1 => json!({"type": "matchRepoDigestOrExact"}),
        2..=4 => json!({"type": "matchRepository"}),
        5 => {
            let names =
                [format!("{full}:v1"), format!("{full}:v2"), "signed.example/app:v1".into()];
            json!({"type": "exactReference", "dockerReference": chance.one(&names)})
        }
        6 => {
            let names = [full, format!("{}/other/app", name.host), "signed.example/app".into()];
            json!({"type": "exactRepository", "dockerRepository": chance.one(&names)})
        }
        _ => {
            let prefixes = [name.host.clone(), full.clone(), format!("{}/c", name.host)];
            let signed = ["signed.example/app".to_owned(), full];
            json!({
                "type": "remapIdentity",
                "prefix": chance.one(&prefixes),
                "signedPrefix": chance.one(&signed),
            })
        }
    }
}

fn registries_d(chance: &mut Chance, name: &Name, folder: &Path) -> String {
    let store = format!("file://{}", folder.join("store").display());
    let empty = format!("file://{}", folder.join("empty").display());
    let section = |chance: &mut Chance, indent: &str| {
        let mut text = String::new();
        if !chance.once_in(4) {
            let key = chance.one(&["lookaside", "lookaside", "sigstore"]);
            let place = if chance.once_in(8) { &empty } else { &store };
            text += &format!("{indent}{key}: {place}\n");
        }
        if !chance.once_in(4) {
            let value = chance.one(&["true", "true", "true", "false"]);
            text += &format!("{indent}use-sigstore-attachments: {value}\n");
        }
        if text.is_empty() { format!("{indent}other: 1\n") } else { text }
    };
    let mut text = format!("default-docker:\n{}", section(chance, "  "));
    let scopes = [name.host.clone(), name.full(), format!("{}/c", name.host)];
    if chance.once_in(2) {
        let scope = chance.one(&scopes).clone();
        text += &format!("docker:\n  \"{scope}\":\n{}", section(chance, "    "));
        if chance.once_in(20) {
            text += &format!("  \"{scope}\":\n{}", section(chance, "    "));
        }
    }
    text
}

fn write(path: &Path, bytes: &[u8]) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
    std::fs::write(path, bytes).expect("a file");
}
