//! An image that the policy accepts, and every document that this rests on. One of them can be replaced.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate::audit::chain;
use pullgate::pull::{Gate, Pod, PullRequest};
use pullgate::registry::AuthConfig;
use pullgate::trust::{Settings, Trust};
use pullgate_tests::image::{Blob, Image};
use pullgate_tests::signer::Signer;
use pullgate_tests::sigstore::{BUNDLE, PAYLOAD, SIGNATURE, bundle, cosign_payload, sign};
use pullgate_tests::{gate, place, sample};
use rcgen::KeyPair;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::stores::{Answers, Content, Stores};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A document, by where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Place {
    /// `signature-1` of a lookaside.
    Lookaside,
    /// The answer of the registry's extension for signatures.
    Extension,
    /// The manifest under the tag `.sig`.
    Attachment,
    /// The registry's list of referrers.
    Referrers,
    /// A bundle.
    Bundle,
    /// policy.json.
    Policy,
    /// A file of registries.d.
    RegistriesD,
    /// A keyring.
    Keyring,
    /// A public key in PEM.
    PemKey,
    /// `trusted_root.json`.
    TrustedRoot,
}

impl Place {
    pub(crate) const ALL: [Self; 10] = [
        Self::Lookaside,
        Self::Extension,
        Self::Attachment,
        Self::Referrers,
        Self::Bundle,
        Self::Policy,
        Self::RegistriesD,
        Self::Keyring,
        Self::PemKey,
        Self::TrustedRoot,
    ];
}

pub(crate) struct World {
    folder: TempDir,
    image: Image,
    pub(crate) signer: Signer,
    key: KeyPair,
    /// Made once: no two signatures of a key are the same.
    bundle: Vec<u8>,
    stores: Stores,
    gate: Gate,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = place::on_disk("hostile");
        let stores = Stores::start().await;
        let trust = Trust::new(Settings {
            policy: Some(folder.path().join("policy.json")),
            namespaces: "/nowhere".into(),
            registries_d: Some(folder.path().join("registries.d")),
            extensions: true,
            digest_bound: false,
            keep_last_good: false,
        });
        let gate = gate::deciding(Arc::new(trust), Duration::from_secs(2));
        let (image, signer) = (sample::tiny("hostile"), Signer::new());
        let key = KeyPair::generate().expect("a key");
        let bundle = bundle(&key, &image.manifest.digest).to_string().into_bytes();
        Self { folder, image, signer, key, bundle, stores, gate }
    }

    /// The reason and the words of the refusal where `place` has `content` instead of what belongs
    /// there; none if the image is accepted.
    pub(crate) async fn refusal(
        &self,
        place: Place,
        content: Option<Content>,
    ) -> Option<(&'static str, String)> {
        let pick = |one: Place| match &content {
            Some(content) if one == place => content.clone(),
            _ => Content::Bytes(self.good(one, place)),
        };
        self.write(&pick);
        self.serve(place, &pick);
        let request = PullRequest {
            image: format!("{}:v1", self.name()),
            auth: AuthConfig::default(),
            pod: Pod::default(),
            runtime_handler: None,
        };
        let error = self.gate.check(request).await.verdict.err()?;
        Some((error.reason().code(), chain(&error)))
    }

    /// What belongs at `place`, where all of it serves the trust in `tried`.
    pub(crate) fn good(&self, place: Place, tried: Place) -> Vec<u8> {
        match place {
            Place::Lookaside => self.signer.sign(self.digest(), &format!("{}:v1", self.name())),
            Place::Extension => {
                let content = STANDARD.encode(self.good(Place::Lookaside, tried));
                let entry = json!({"schemaVersion": 2, "type": "atomic", "content": content});
                json!({"signatures": [entry]}).to_string().into_bytes()
            }
            Place::Attachment => {
                let mut layer = self.payload().descriptor();
                let signature = STANDARD.encode(sign(&self.key, &self.payload().bytes));
                layer["annotations"] = json!({SIGNATURE: signature});
                manifest(&[layer]).bytes
            }
            Place::Referrers => {
                let bundle = Blob::new(BUNDLE, self.good(Place::Bundle, tried));
                list(&manifest(&[bundle.descriptor()]))
            }
            Place::Bundle => self.bundle.clone(),
            Place::Policy => self.policy(tried).to_string().into_bytes(),
            Place::RegistriesD => format!(
                "default-docker:\n  lookaside: \"{}/store\"\n  use-sigstore-attachments: true\n",
                self.stores.url()
            )
            .into_bytes(),
            Place::Keyring => std::fs::read(self.signer.public_key()).expect("a key"),
            Place::PemKey => self.key.public_key_pem().into_bytes(),
            Place::TrustedRoot => {
                include_bytes!("../../conformance/data/sigstore-bundles/trusted_root.json").to_vec()
            }
        }
    }

    /// The image's name without its tag.
    pub(crate) fn name(&self) -> String {
        format!("{}/app", self.stores.host())
    }

    /// The digest of its manifest.
    pub(crate) fn digest(&self) -> &str {
        &self.image.manifest.digest
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn policy(&self, tried: Place) -> Value {
        let identity = json!({"type": "matchRepository"});
        let key = self.file("key.pub");
        let requirement = match tried {
            Place::Lookaside
            | Place::Extension
            | Place::Policy
            | Place::RegistriesD
            | Place::Keyring => {
                let keyring = self.file("keyring.gpg");
                json!({"type": "signedBy", "keyType": "GPGKeys", "keyPath": keyring})
            }
            Place::Attachment | Place::PemKey => {
                json!({"type": "sigstoreSigned", "keyPath": key, "signedIdentity": identity})
            }
            Place::Referrers | Place::Bundle => json!({
                "type": "sigstoreSigned",
                "keyPath": key,
                "signedIdentity": identity,
                "digestBound": "ownRepository",
            }),
            Place::TrustedRoot => {
                let root = self.file("root.json");
                json!({"type": "sigstoreSigned", "keyPath": key, "trustedRootPath": root})
            }
        };
        json!({"default": [requirement]})
    }

    fn payload(&self) -> Blob {
        Blob::new(PAYLOAD, cosign_payload(self.digest(), &self.name()))
    }

    fn write(&self, pick: &impl Fn(Place) -> Content) {
        std::fs::create_dir_all(self.file("registries.d")).expect("a folder");
        for (place, name) in [
            (Place::Policy, "policy.json"),
            (Place::RegistriesD, "registries.d/a.yaml"),
            (Place::Keyring, "keyring.gpg"),
            (Place::PemKey, "key.pub"),
            (Place::TrustedRoot, "root.json"),
        ] {
            let path = self.file(name);
            drop(std::fs::remove_file(&path));
            match pick(place) {
                Content::Bytes(bytes) | Content::Numbered(bytes) => {
                    std::fs::write(path, bytes).expect("a file");
                }
                Content::Endless => {
                    std::os::unix::fs::symlink("/dev/zero", path).expect("a link");
                }
            }
        }
    }

    fn serve(&self, tried: Place, pick: &impl Fn(Place) -> Content) {
        let tag = self.digest().replacen(':', "-", 1);
        let store = format!("/store/app@{}/signature-1", self.digest().replacen(':', "=", 1));
        let bundle = match pick(Place::Bundle) {
            Content::Bytes(bytes) | Content::Numbered(bytes) => Blob::new(BUNDLE, bytes),
            Content::Endless => Blob::new(BUNDLE, b"without end".to_vec()),
        };
        let referrer = manifest(&[bundle.descriptor()]);
        let lists = match pick(Place::Referrers) {
            Content::Bytes(_) if tried != Place::Referrers => Content::Bytes(list(&referrer)),
            attacked @ (Content::Bytes(_) | Content::Endless | Content::Numbered(_)) => attacked,
        };
        let Image { manifest, config, .. } = &self.image;
        let mut answers: Answers = [
            (store, "application/octet-stream", pick(Place::Lookaside)),
            (format!("/v2/app/referrers/{}", self.digest()), INDEX, lists),
            (format!("/v2/app/blobs/{}", bundle.digest), BUNDLE, pick(Place::Bundle)),
        ]
        .map(|(path, media_type, content)| (path, (media_type.to_owned(), content)))
        .into();
        let mut put = |path: &str, blob: &Blob| {
            let content = Content::Bytes(blob.bytes.clone());
            answers.insert(path.to_owned(), (blob.media_type.clone(), content));
        };
        put("/v2/app/manifests/v1", manifest);
        put(&format!("/v2/app/manifests/{}", referrer.digest), &referrer);
        put(&format!("/v2/app/blobs/{}", config.digest), config);
        put(&format!("/v2/app/blobs/{}", self.payload().digest), &self.payload());
        if !matches!(tried, Place::Bundle | Place::Referrers) {
            let path = format!("/v2/app/manifests/{tag}.sig");
            answers.insert(path, (MANIFEST.to_owned(), pick(Place::Attachment)));
        }
        if tried == Place::Extension {
            let path = format!("/extensions/v2/app/signatures/{}", self.digest());
            answers.insert(path, ("application/json".to_owned(), pick(Place::Extension)));
        }
        self.stores.set(answers);
    }
}

fn manifest(layers: &[Value]) -> Blob {
    let config = Blob::new("application/vnd.oci.empty.v1+json", b"{}".to_vec());
    let document = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": config.descriptor(),
        "layers": layers,
    });
    Blob::new(MANIFEST, document.to_string().into_bytes())
}

fn list(manifest: &Blob) -> Vec<u8> {
    json!({"mediaType": INDEX, "schemaVersion": 2, "manifests": [manifest.descriptor()]})
        .to_string()
        .into_bytes()
}
