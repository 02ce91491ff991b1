//! What is asked of every parser of foreign bytes: it never panics, and whatever it accepts keeps its
//! promise. `make fuzz` feeds these functions with cargo-fuzz, the test `fuzz` with the corpus.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use pullgate_policy::digest::Digest;
use pullgate_policy::document::{Account, Dialect, Policy};
use pullgate_policy::exemption::Terms;
use pullgate_policy::identity::SignedIdentity;
use pullgate_policy::lookaside::{BaseUrl, Location, Lookaside};
use pullgate_policy::manifest::{Document, ImageConfig, Index};
use pullgate_policy::reference::{PullReference, Reference};
use pullgate_policy::scope;
use pullgate_policy::signature::openpgp::Keyring;
use pullgate_policy::signature::payload::{Format, Payload};
use pullgate_policy::signature::sigstore::bundle::{self, Bundle};
use pullgate_policy::signature::sigstore::log::{Entry, Kind, SignedEntryTimestamp};
use pullgate_policy::signature::sigstore::{
    self, Authorities, Log, PublicKey, Root, SignerCertificate, Subject, TrustedRoot, Window,
};
use pullgate_policy::signature::{Claim, FoundIn, UntrustedBundle, UntrustedSignature, extension};

/// A parser under attack.
pub type Target = fn(&[u8]);

/// Every target and its name, which is that of its corpus.
pub const TARGETS: &[(&str, Target)] = &[
    ("attachment", attachment),
    ("bundle", sigstore_bundle),
    ("certificate", certificate),
    ("detached", detached),
    ("exemption", exemption),
    ("extension", extension_answer),
    ("hosts", hosts),
    ("image-config", image_config),
    ("index", index),
    ("key", key),
    ("keyring", keyring),
    ("lookaside-url", lookaside_url),
    ("manifest", manifest),
    ("policy", policy),
    ("reference", reference),
    ("referrers", referrers),
    ("registries-d", registries_d),
    ("set", set),
    ("signature", signature),
    ("sigstore-payload", sigstore_payload),
    ("simple-message", simple_message),
    ("simple-payload", simple_payload),
    ("trusted-root", trusted_root),
];

/// The target called `name`.
#[must_use]
pub fn target(name: &str) -> Target {
    let found = TARGETS.iter().find(|(known, _)| *known == name);
    found.unwrap_or_else(|| panic!("no fuzz target is called {name:?}")).1
}

const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const MANIFESTS: [&str; 2] = [OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json"];
const INDEXES: [&str; 2] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// The moment at which everything is decided.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// A file of the tests.
fn file(path: &str) -> Vec<u8> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn files(folder: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut paths: Vec<PathBuf> =
        folder.read_dir().expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file")).collect()
}

/// The manifest of an attachment: each payload belongs to a layer.
fn attachment(data: &[u8]) {
    let Ok(attached) = sigstore::attached(data, OCI_MANIFEST) else { return };
    let Ok(Document::Image(image)) = Document::parse(data, OCI_MANIFEST) else {
        panic!("an attachment that is no image manifest");
    };
    assert_eq!(attached.len(), image.layers.len());
}

/// A certificate, and after a NUL its chain. Nobody but our authority could make one that is accepted.
fn certificate(data: &[u8]) {
    static AUTHORITIES: LazyLock<Authorities> = LazyLock::new(|| {
        Authorities::parse(&file("fuzz/trust/roots.pem"), None).expect("our own roots")
    });
    static LEAF: LazyLock<Vec<u8>> = LazyLock::new(|| file("fuzz/trust/leaf.pem"));
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (text, chain) = (parts.next().unwrap_or_default(), parts.next());
    if let Ok(leaf) = sigstore::leaf(text) {
        let _issuer = sigstore::issuer(&leaf);
    }
    let _authorities = Authorities::parse(text, chain);
    let subject = Subject::Account {
        issuer: "https://login.example".to_owned(),
        account: Account::Email("release@example.com".to_owned()),
    };
    let signer = SignerCertificate::parse(text, chain);
    if signer.and_then(|signer| AUTHORITIES.key(&signer, &subject, now())).is_ok() {
        assert_eq!(sigstore::leaf(text).ok(), sigstore::leaf(&LEAF).ok(), "a forged certificate");
    }
}

/// A bundle: nobody but cosign's key could make one that is accepted, and with certificates nobody.
fn sigstore_bundle(data: &[u8]) {
    const MADE: &str = "conformance/data/sigstore-bundles/cosign-3.1.sigstore.json";
    static MEANT: LazyLock<Bundle> =
        LazyLock::new(|| Bundle::parse(&file(MADE)).expect("cosign's own bundle"));
    static ROOT: LazyLock<Root> = LazyLock::new(|| {
        let key = file("conformance/data/sigstore-bundles/cosign-3.1.pub");
        Root::Keys(vec![PublicKey::from_pem(&key).expect("cosign's own key")])
    });
    static KEYLESS: LazyLock<Root> = LazyLock::new(|| {
        let root = file("conformance/data/sigstore-bundles/trusted_root_staging.json");
        let TrustedRoot { authorities, witnesses } =
            TrustedRoot::parse(&root).expect("sigstore's own root");
        let issuer = "https://token.actions.githubusercontent.com".to_owned();
        let account = Account::Email("release@example.com".to_owned());
        let subject = Subject::Account { issuer, account };
        Root::Fulcio { authorities, subject, witnesses }
    });
    let manifest =
        Digest::sha256(&file("conformance/data/sigstore-bundles/cosign-3.1.manifest.json"));
    let image = Reference::parse("registry.example/app").expect("a reference");
    let identity = SignedIdentity::MatchRepository;
    let claim = Claim { manifest: &manifest, identity: &identity, image: Some(&image) };
    let found_in = FoundIn::new(&image, &image);
    let untrusted = UntrustedBundle { text: data.to_vec(), found_in };
    if bundle::verify(&untrusted, &ROOT, &claim, now()).is_ok() {
        assert_eq!(Bundle::parse(data).as_ref(), Ok(&*MEANT), "a forged bundle");
    }
    assert!(bundle::verify(&untrusted, &KEYLESS, &claim, now()).is_err(), "a forged certificate");
}

/// A list of referrers, or one of them.
fn referrers(data: &[u8]) {
    let _manifests = sigstore::referrers(data, INDEXES[0]);
    let _bundles = sigstore::attached_bundles(data);
}

/// A trusted root.
fn trusted_root(data: &[u8]) {
    let _root = TrustedRoot::parse(data);
}

/// A detached signature of a text that nobody signed.
fn detached(data: &[u8]) {
    static KEYS: LazyLock<Keyring> = LazyLock::new(|| {
        let keys = files("conformance/data/keyrings/own");
        Keyring::parse(keys.iter().map(Vec::as_slice)).expect("keys")
    });
    let found = KEYS.verify_detached(b"nobody signed this", data, now());
    assert!(found.iter().all(Result::is_err), "a forged signature");
}

/// The terms of an exemption: they end after they begin, and say why and for whom.
fn exemption(data: &[u8]) {
    let Ok(terms) = Terms::parse(data) else { return };
    assert!(terms.not_before() < terms.not_after());
    assert!(!terms.reason().is_empty() && !terms.who().is_empty());
    let _covered = terms.covers(&PullReference::parse("registry.example/a:1").expect("a name"));
}

/// The answer of the registry extension.
fn extension_answer(data: &[u8]) {
    for signature in extension::parse(data).unwrap_or_default() {
        assert!(matches!(signature, UntrustedSignature::Simple(_)));
    }
}

/// hosts.toml: the registry itself is tried last, and everything is reached over HTTP.
fn hosts(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let path = Path::new("/nowhere/hosts.toml");
    let Ok(addresses) = pullgate::registry::addresses(path, text, "registry.example:5000") else {
        return;
    };
    assert!(!addresses.is_empty());
    for address in addresses {
        assert!(matches!(address.scheme(), "http" | "https") && address.has_host(), "{address}");
    }
}

/// The configuration of an image.
fn image_config(data: &[u8]) {
    let _config = ImageConfig::parse(data);
}

/// An index: nobody else reads it as one manifest.
fn index(data: &[u8]) {
    for content_type in INDEXES {
        if Document::parse(data, content_type).is_ok() {
            assert!(MANIFESTS.iter().all(|other| Document::parse(data, other).is_err()));
            assert!(Index::parse(data).is_ok());
        }
    }
}

/// A public key: what it verifies, it made.
fn key(data: &[u8]) {
    if let Ok(key) = PublicKey::from_pem(data) {
        assert!(!key.verify(data, data));
        assert_eq!(key.fingerprint().len(), 64);
    }
}

/// A keyring: a key that nobody has used has signed nothing.
fn keyring(data: &[u8]) {
    static MESSAGES: LazyLock<Vec<Vec<u8>>> =
        LazyLock::new(|| files("fuzz/corpus/simple-message").into_iter().take(3).collect());
    if let Ok(keyring) = Keyring::parse([data]) {
        assert_eq!(keyring.is_empty(), keyring.fingerprints().is_empty());
        for message in &*MESSAGES {
            let signer = keyring.verify(message, now()).map(|message| message.signer.fingerprint);
            assert!(signer.is_err() || signer.is_ok_and(|it| keyring.fingerprints().contains(&it)));
        }
    }
}

/// The address of a signature store.
fn lookaside_url(data: &[u8]) {
    let Some(base) = std::str::from_utf8(data).ok().and_then(|text| BaseUrl::parse(text).ok())
    else {
        return;
    };
    let text = base.to_string();
    assert!(!text.bytes().any(|byte| byte.is_ascii_control()), "{text:?}");
    let digest = Digest::sha256(b"");
    let signature = base.signature(&digest, 7);
    assert!(signature.path().ends_with(&format!("@sha256={}/signature-7", digest.hex())));
}

/// A manifest: nobody else reads it as an index.
fn manifest(data: &[u8]) {
    for content_type in MANIFESTS {
        if let Ok(document) = Document::parse(data, content_type) {
            let Document::Image(image) = document else { panic!("not an image") };
            assert!(INDEXES.iter().all(|other| Document::parse(data, other).is_err()));
            assert!(Index::parse(data).is_err());
            let _known = image.container_image();
        }
    }
}

/// policy.json: what other tools may read means the same in pullgate's own dialect.
fn policy(data: &[u8]) {
    let own = Policy::parse(data, Dialect::Extended);
    if let Ok(standard) = Policy::parse(data, Dialect::Standard) {
        assert_eq!(own.ok().as_ref(), Some(&standard));
        let reference = PullReference::parse("registry.example/ns/app:1").expect("a reference");
        let requirements = standard.applicable(&reference).requirements;
        assert!(requirements.iter().next().is_some(), "a list without requirements");
        assert!(standard.files().is_superset(&requirements.files()));
    }
}

/// A reference: its canonical form is one too, and means the same.
fn reference(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(digest) = text.parse::<Digest>() {
        assert_eq!(digest.to_string(), text);
    }
    let pull = PullReference::parse(text);
    let Ok(reference) = Reference::parse(text) else {
        assert!(pull.is_err(), "{text:?} can be pulled and is no reference");
        return;
    };
    let canonical = reference.to_string();
    assert_eq!(Reference::parse(&canonical).as_ref(), Ok(&reference));
    assert!(scope::candidates(&reference).contains(&reference.repository()));
    for part in reference.path().split('/') {
        assert!(!matches!(part, "" | "." | ".."), "{canonical}");
    }
    if let Ok(pull) = pull {
        let pulled = pull.reference();
        assert_eq!(pulled.repository(), reference.repository());
        assert!(pulled.tag().is_some() != pulled.digest().is_some(), "{pulled}");
    }
}

/// A file of registries.d: a store's signatures lie below its own address.
fn registries_d(data: &[u8]) {
    let Ok(lookaside) = Lookaside::parse([("a.yaml", data)]) else { return };
    let digest = Digest::sha256(b"");
    for name in ["registry.example/ns/app", "docker.io/library/app", "localhost:5000/a/b/c"] {
        let reference = Reference::parse(name).expect("a reference");
        let Ok(store) = lookaside.store(&reference) else { continue };
        let tail = format!("/{}@sha256={}/signature-1", reference.path(), digest.hex());
        match store.location(&digest, 1) {
            Location::File(path) => assert!(path.to_string_lossy().ends_with(&tail), "{path:?}"),
            Location::Url(url) => assert!(url.contains(&tail), "{url}"),
        }
    }
}

/// A log's signed timestamp: nobody but the log could make one that is accepted, for this entry and at
/// this time.
fn set(data: &[u8]) {
    struct Logged {
        log: Log,
        material: Vec<u8>,
        signature: Vec<u8>,
        payload: Digest,
    }
    static LOGGED: LazyLock<Logged> = LazyLock::new(|| Logged {
        log: Log::new(
            PublicKey::from_pem(&file("fuzz/trust/rekor.pub")).expect("our own key"),
            Window::ALWAYS,
        ),
        material: file("fuzz/trust/leaf.pem"),
        signature: file("fuzz/trust/signature"),
        payload: Digest::sha256(&file("fuzz/trust/payload.json")),
    });
    let Logged { log, material, signature, payload } = &*LOGGED;
    let parsed = SignedEntryTimestamp::parse(data);
    let entry = Entry { kind: Kind::HashedRekord, material, signature, payload };
    if let Ok(time) = entry.logged(data, std::slice::from_ref(log), now()) {
        assert!(parsed.is_ok());
        assert_eq!(time, now(), "a forged time");
        let other = Entry { payload: &Digest::sha256(b"another"), ..entry };
        assert!(other.logged(data, std::slice::from_ref(log), now()).is_err());
    }
}

/// A stored signature of any format.
fn signature(data: &[u8]) {
    match UntrustedSignature::parse(data) {
        Ok(UntrustedSignature::Simple(message)) => assert!(data.ends_with(&message)),
        Ok(UntrustedSignature::Bundle(_)) => panic!("a store says where a bundle was found"),
        Ok(UntrustedSignature::Sigstore(_)) => assert!(data.starts_with(b"\0sigstore-json\n")),
        Err(_) => {}
    }
}

/// A cosign payload, which is never a simple-signing one.
fn sigstore_payload(data: &[u8]) {
    signed_text(data, Format::Cosign, Format::Atomic);
}

/// A simple-signing payload, which is never a cosign one.
fn simple_payload(data: &[u8]) {
    signed_text(data, Format::Atomic, Format::Cosign);
}

fn signed_text(data: &[u8], format: Format, other: Format) {
    if let Ok(payload) = Payload::parse(data, format) {
        assert!(Payload::parse(data, other).is_err(), "a text of two types");
        assert_eq!(payload.digest().to_string().parse().as_ref(), Ok(payload.digest()));
    }
}

/// An OpenPGP message: nobody has the keys, so that whatever is accepted was signed before.
fn simple_message(data: &[u8]) {
    struct Signed {
        keyring: Keyring,
        texts: Vec<Vec<u8>>,
    }
    static SIGNED: LazyLock<Signed> = LazyLock::new(|| {
        let keys = files("conformance/data/keyrings/own");
        let keyring = Keyring::parse(keys.iter().map(Vec::as_slice)).expect("keys");
        let messages = files("conformance/data/simple-signatures/own");
        let signed = messages.iter().filter_map(|message| keyring.verify(message, now()).ok());
        let texts: Vec<_> = signed.map(|message| message.payload).collect();
        assert!(texts.len() > 5, "the keys and messages of the corpus do not fit");
        Signed { keyring, texts }
    });
    let Signed { keyring, texts } = &*SIGNED;
    if let Ok(message) = keyring.verify(data, now()) {
        assert!(texts.contains(&message.payload), "a forged signature");
        assert!(keyring.fingerprints().contains(&message.signer.fingerprint));
    }
}
