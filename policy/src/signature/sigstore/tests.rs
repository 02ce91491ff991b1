use std::time::{Duration, SystemTime};

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, ExtendedKeyUsagePurpose,
    IsCa, KeyPair, SanType,
};

use super::{
    Authorities, CERTIFICATE, CHAIN, CertificateError, Log, LogError, MEDIA_TYPE, PublicKey, Root,
    SET, SIGNATURE, SigstoreError, Subject, Window, Witnesses, verify,
};
use crate::digest::Digest;
use crate::document::{Account, Dialect, Policy, Requirement, TrustRoot};
use crate::identity::SignedIdentity;
use crate::limits;
use crate::reference::Reference;
use crate::signature::{Claim, SignatureFault, Signer, UntrustedAttachment};

mod expiry;

pub(super) const IMAGE: &str = "registry.example/app:1";
const ISSUER: &str = "https://login.example";
const WORKFLOW: &str =
    "https://forge.example/team/app/.github/workflows/release.yml@refs/heads/main";
pub(super) const EMAIL: &str = "release@example.com";

pub(super) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

/// An authority, a signer with a certificate of it, and a log.
pub(super) struct Bench {
    pub(super) authority: CertifiedIssuer<'static, KeyPair>,
    pub(super) signer: KeyPair,
    pub(super) certificate: String,
    pub(super) log: KeyPair,
}

impl Bench {
    pub(super) fn new() -> Self {
        let mut root = CertificateParams::new([]).unwrap();
        root.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(root, KeyPair::generate().unwrap()).unwrap();
        let signer = KeyPair::generate().unwrap();
        let certificate = Self::leaf().signed_by(&signer, &authority).unwrap().pem();
        Self { authority, signer, certificate, log: KeyPair::generate().unwrap() }
    }

    /// What the signer's certificate says.
    fn leaf() -> CertificateParams {
        let mut leaf = CertificateParams::new([]).unwrap();
        leaf.subject_alt_names = vec![
            SanType::Rfc822Name(EMAIL.try_into().unwrap()),
            SanType::DnsName("build.example.com".try_into().unwrap()),
            SanType::URI(WORKFLOW.try_into().unwrap()),
        ];
        leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
        leaf.custom_extensions = vec![CustomExtension::from_oid_content(
            &[1, 3, 6, 1, 4, 1, 57264, 1, 1],
            ISSUER.as_bytes().to_vec(),
        )];
        leaf
    }

    fn payload() -> Vec<u8> {
        let digest = Digest::sha256(b"manifest");
        format!(
            r#"{{"critical":{{"type":"cosign container image signature","image":{{"docker-manifest-digest":"{digest}"}},"identity":{{"docker-reference":"{IMAGE}"}}}},"optional":null}}"#
        )
        .into_bytes()
    }

    /// What cosign attaches, with a timestamp of the log over `material` recorded at `time`.
    fn attachment(&self, material: &str, time: i64) -> UntrustedAttachment {
        let payload = Self::payload();
        let signature = STANDARD.encode(sign(&self.signer, &payload));
        let body = serde_json::json!({
            "apiVersion": "0.0.1",
            "kind": "hashedrekord",
            "spec": {
                "data": {"hash": {"algorithm": "sha256", "value": Digest::sha256(&payload).hex()}},
                "signature": {
                    "content": signature,
                    "publicKey": {"content": STANDARD.encode(material)},
                },
            },
        });
        let body = STANDARD.encode(body.to_string());
        let entry =
            format!(r#"{{"body":"{body}","integratedTime":{time},"logID":"id","logIndex":7}}"#);
        let promise = STANDARD.encode(sign(&self.log, entry.as_bytes()));
        let set = format!(r#"{{"SignedEntryTimestamp":"{promise}","Payload":{entry}}}"#);
        let annotations =
            [(SIGNATURE, signature), (CERTIFICATE, self.certificate.clone()), (SET, set)];
        UntrustedAttachment {
            media_type: MEDIA_TYPE.to_owned(),
            payload,
            annotations: annotations.map(|(key, value)| (key.to_owned(), value)).into(),
        }
    }

    pub(super) fn authorities(&self) -> Authorities {
        Authorities::parse(self.authority.pem().as_bytes(), None).unwrap()
    }

    pub(super) fn fulcio(&self) -> Root {
        let authorities = vec![self.authorities()];
        Root::Fulcio { authorities, subject: account(EMAIL), witnesses: self.witnesses() }
    }

    pub(super) fn witnesses(&self) -> Witnesses {
        Witnesses { logs: vec![Log::new(public(&self.log), Window::ALWAYS)], clocks: vec![] }
    }

    pub(super) fn logged_key(&self) -> Root {
        Root::LoggedKeys { keys: vec![public(&self.signer)], witnesses: self.witnesses() }
    }
}

pub(super) fn public(key: &KeyPair) -> PublicKey {
    PublicKey::from_pem(key.public_key_pem().as_bytes()).unwrap()
}

pub(super) fn account(email: &str) -> Subject {
    Subject::Account { issuer: ISSUER.to_owned(), account: Account::Email(email.to_owned()) }
}

pub(super) fn sign(key: &KeyPair, message: &[u8]) -> Vec<u8> {
    let pair =
        EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &key.serialize_der()).unwrap();
    pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
}

fn check(attachment: &UntrustedAttachment, root: &Root) -> Result<Signer, SignatureFault> {
    let manifest = Digest::sha256(b"manifest");
    let image = Reference::parse(IMAGE).unwrap();
    let identity = SignedIdentity::MatchRepoDigestOrExact;
    let claim = Claim { manifest: &manifest, identity: &identity, image: Some(&image) };
    verify(attachment, root, &claim, now())
}

fn fault(attachment: &UntrustedAttachment, root: &Root) -> SigstoreError {
    match check(attachment, root) {
        Err(SignatureFault::Sigstore(fault)) => fault,
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_kind_of_root_accepts_what_leads_back_to_it() {
    let bench = Bench::new();
    let by_key = bench.attachment(&bench.signer.public_key_pem(), 1_700_000_000);
    let by_certificate = bench.attachment(&bench.certificate, 1_700_000_000);
    let named = |email: Option<&str>, hostname: Option<&str>| Root::Pki {
        authorities: bench.authorities(),
        subject: Subject::Named {
            email: email.map(ToOwned::to_owned),
            hostname: hostname.map(ToOwned::to_owned),
        },
    };
    let key = check(&by_key, &Root::Keys(vec![public(&bench.signer)])).unwrap();
    assert_eq!(key.fingerprint, public(&bench.signer).fingerprint());
    assert_eq!(check(&by_key, &bench.logged_key()), Ok(key.clone()));
    let keyless = check(&by_certificate, &bench.fulcio()).unwrap();
    assert_eq!(keyless.name.as_deref(), Some("release@example.com (https://login.example)"));
    assert_eq!(keyless.fingerprint, key.fingerprint);
    for root in [
        named(Some(EMAIL), None),
        named(None, Some("build.example.com")),
        named(Some(EMAIL), Some("Build.Example.com")),
    ] {
        check(&by_certificate, &root).unwrap();
    }
    for root in [
        named(Some("Release@example.com"), None),
        named(None, Some("example.com")),
        named(Some(EMAIL), Some("*.example.com")),
    ] {
        assert!(matches!(
            fault(&by_certificate, &root),
            SigstoreError::Certificate(CertificateError::Subject { .. })
        ));
    }
}

/// The account of a `fulcio` object as pullgate's own files have it.
fn workflow(member: &str, value: &str) -> Account {
    let policy = serde_json::json!({"default": [{
        "type": "sigstoreSigned",
        "fulcio": {"caPath": "/ca", "oidcIssuer": ISSUER, member: value},
        "rekorPublicKeyPath": "/rekor",
    }]});
    let policy = Policy::parse(policy.to_string().as_bytes(), Dialect::Extended).unwrap();
    let requirement = policy.default_requirements().iter().next();
    let Some(Requirement::SigstoreSigned(signed)) = requirement else { panic!("{requirement:?}") };
    let TrustRoot::Fulcio { fulcio, .. } = &signed.root else { panic!("{signed:?}") };
    fulcio.identity.account.clone()
}

#[test]
fn a_workflow_is_named_exactly_or_by_a_pattern_of_the_whole_name() {
    let bench = Bench::new();
    let attachment = bench.attachment(&bench.certificate, 1_700_000_000);
    let root = |account| Root::Fulcio {
        authorities: vec![bench.authorities()],
        subject: Subject::Account { issuer: ISSUER.to_owned(), account },
        witnesses: bench.witnesses(),
    };
    for (member, value, accepted) in [
        ("subjectURI", WORKFLOW, true),
        ("subjectURI", "https://forge.example/team/app", false),
        ("subjectURI", EMAIL, false),
        ("subjectEmail", WORKFLOW, false),
        ("subjectURIPattern", r"^https://forge\.example/team/[^/]+/.*@refs/heads/main$", true),
        ("subjectURIPattern", r"^https://forge\.example/team/app$", false),
        ("subjectURIPattern", r"^https://forge\.example/other|.*@refs/heads/dev$", false),
    ] {
        let found = check(&attachment, &root(workflow(member, value)));
        assert_eq!(found.is_ok(), accepted, "{member} {value}: {found:?}");
    }
}

#[test]
fn each_fault_has_its_reason() {
    let (bench, other) = (Bench::new(), Bench::new());
    let attachment = bench.attachment(&bench.certificate, 1_700_000_000);
    let without = |key: &str| {
        let mut attachment = attachment.clone();
        attachment.annotations.remove(key);
        attachment
    };
    for key in [SIGNATURE, CERTIFICATE, SET] {
        assert_eq!(fault(&without(key), &bench.fulcio()), SigstoreError::Annotation { key });
    }
    let stranger = Root::Keys(vec![public(&other.signer)]);
    assert_eq!(fault(&attachment, &stranger), SigstoreError::Signature);

    let elsewhere = Root::Fulcio {
        authorities: vec![other.authorities()],
        subject: account(EMAIL),
        witnesses: bench.witnesses(),
    };
    let found = fault(&attachment, &elsewhere);
    assert!(matches!(found, SigstoreError::Certificate(CertificateError::Chain(_))), "{found}");

    let issuer = "https://other.example".to_owned();
    let subject = Subject::Account { issuer, account: Account::Email(EMAIL.to_owned()) };
    let authorities = vec![bench.authorities()];
    let root = Root::Fulcio { authorities, subject, witnesses: bench.witnesses() };
    let found = fault(&attachment, &root);
    assert!(
        matches!(found, SigstoreError::Certificate(CertificateError::Issuer { .. })),
        "{found}"
    );

    let keys = vec![public(&bench.signer)];
    let root = Root::LoggedKeys { keys, witnesses: other.witnesses() };
    assert_eq!(fault(&attachment, &root), SigstoreError::Log(LogError::Signature));
    let differs = SigstoreError::Log(LogError::Differs { what: "key or certificate" });
    assert_eq!(fault(&attachment, &bench.logged_key()), differs);
    for time in [-1, 1_800_000_301] {
        let attachment = bench.attachment(&bench.certificate, time);
        assert_eq!(fault(&attachment, &bench.fulcio()), SigstoreError::Log(LogError::Time));
    }
}

#[test]
fn a_chain_is_short() {
    let bench = Bench::new();
    let mut attachment = bench.attachment(&bench.certificate, 1_700_000_000);
    for (attached, accepted) in [(limits::CHAIN + 1, true), (limits::CHAIN + 2, false)] {
        attachment.annotations.insert(CHAIN.to_owned(), bench.authority.pem().repeat(attached));
        let found = check(&attachment, &bench.fulcio());
        assert_eq!(found.is_ok(), accepted, "{found:?}");
    }
    assert!(matches!(
        fault(&attachment, &bench.fulcio()),
        SigstoreError::Certificate(CertificateError::LongChain { found: 9 })
    ));
}

/// One bit changed anywhere in signature, payload, certificate or log entry is refused.
#[test]
fn no_changed_bit_is_accepted() {
    let bench = Bench::new();
    let good = bench.attachment(&bench.certificate, 1_700_000_000);
    check(&good, &bench.fulcio()).unwrap();
    let refused = |changed: &UntrustedAttachment, what: &str, place: usize| {
        assert!(check(changed, &bench.fulcio()).is_err(), "{what}, byte {place}");
    };
    for place in 0..good.payload.len() {
        let mut changed = good.clone();
        changed.payload[place] ^= 1;
        refused(&changed, "payload", place);
    }
    let signature = STANDARD.decode(&good.annotations[SIGNATURE]).unwrap();
    for place in 0..signature.len() {
        let mut changed = signature.clone();
        changed[place] ^= 1;
        let mut attachment = good.clone();
        attachment.annotations.insert(SIGNATURE.to_owned(), STANDARD.encode(changed));
        refused(&attachment, "signature", place);
    }
    let der = ::pem::parse(&bench.certificate).unwrap();
    for place in 0..der.contents().len() {
        let mut changed = der.contents().to_vec();
        changed[place] ^= 1;
        let text = ::pem::encode(&::pem::Pem::new("CERTIFICATE", changed));
        let mut attachment = good.clone();
        attachment.annotations.insert(CERTIFICATE.to_owned(), text);
        refused(&attachment, "certificate", place);
    }
    let set = good.annotations[SET].clone().into_bytes();
    for place in 0..set.len() {
        let mut changed = set.clone();
        changed[place] ^= 1;
        let Ok(changed) = String::from_utf8(changed) else { continue };
        let mut attachment = good.clone();
        attachment.annotations.insert(SET.to_owned(), changed);
        refused(&attachment, "log entry", place);
    }
}
