use std::collections::BTreeSet;
use std::time::SystemTime;

use super::{Basis, Code, Decision, Outcome, Subject, TrustMaterial, decide};
use crate::digest::{Digest, Verifier};
use crate::document::{Dialect, Policy};
use crate::limits;
use crate::reference::{PullReference, Reference};
use crate::signature::sigstore::MEDIA_TYPE;
use crate::signature::{
    FoundIn, SignatureFault, UntrustedAttachment, UntrustedBundle, UntrustedSignature,
};

fn decided(
    requirements: &str,
    signatures: &[UntrustedSignature],
    material: &TrustMaterial,
) -> Decision {
    let policy =
        Policy::parse(format!(r#"{{"default":[{requirements}]}}"#).as_bytes(), Dialect::Standard)
            .unwrap();
    let reference = PullReference::parse("registry.example/app:1").unwrap();
    let manifest = Verifier::verify(&Digest::sha256(b"manifest"), b"manifest").unwrap();
    let searched = ["https://sigs.example/app/signature-1".to_owned()];
    let subject = Subject {
        reference: &reference,
        manifest: &manifest,
        signatures,
        searched: &searched,
        listing: None,
    };
    decide(policy.applicable(&reference), subject, material, SystemTime::UNIX_EPOCH)
}

const ACCEPT: &str = r#"{"type":"insecureAcceptAnything"}"#;
const REJECT: &str = r#"{"type":"reject"}"#;
const SIGNED: &str = r#"{"type":"signedBy","keyType":"GPGKeys","keyPath":"/k.gpg"}"#;

fn key(content: Result<&[u8], &str>) -> TrustMaterial {
    let content = content.map(<[u8]>::to_vec).map_err(str::to_owned);
    [("/k.gpg".into(), content)].into()
}

fn real_key() -> TrustMaterial {
    key(Ok(include_bytes!("../../../tests/conformance/data/keyrings/own/ed25519-key.pgp")))
}

#[test]
fn every_requirement_must_accept() {
    let garbage = UntrustedSignature::Simple(b"\xa3garbage".to_vec());
    let sigstore = UntrustedSignature::Sigstore(UntrustedAttachment {
        media_type: String::new(),
        payload: Vec::new(),
        annotations: [].into(),
    });
    let both = format!("{ACCEPT},{REJECT}");
    let base = r#"{"type":"signedBaseLayer","baseLayerIdentity":{"type":"matchExact"}}"#;
    let cosign = r#"{"type":"sigstoreSigned","keyPath":"/k.pub"}"#;
    let x509 = SIGNED.replace("GPGKeys", "X509Certificates");
    for (requirements, signatures, material, expected, words) in [
        (REJECT, &[][..], key(Ok(b"")), Code::PolicyReject, "`reject`"),
        (&both, &[], key(Ok(b"")), Code::PolicyReject, "`reject`"),
        (base, &[], key(Ok(b"")), Code::BaseLayerUnsupported, "signedBaseLayer"),
        (cosign, &[], key(Ok(b"")), Code::KeyFileUnreadable, "/k.pub was not read"),
        (&x509, &[], key(Ok(b"")), Code::KeyTypeUnsupported, "X509Certificates"),
        (SIGNED, &[], key(Err("cannot read /k.gpg")), Code::KeyFileUnreadable, "/k.gpg"),
        (SIGNED, &[], TrustMaterial::new(), Code::KeyFileUnreadable, "/k.gpg was not read"),
        (SIGNED, &[], key(Ok(b"")), Code::KeyUnusable, "No public keys imported"),
        (SIGNED, &[], key(Ok(b"........KBXf")), Code::KeyUnusable, "gpg --export"),
        (SIGNED, &[], real_key(), Code::SignatureMissing, "searched https://sigs.example/"),
        (SIGNED, &[sigstore], real_key(), Code::SignatureMissing, "no signature exists"),
        (SIGNED, &[garbage], real_key(), Code::SignatureInvalid, "signature 1: "),
    ] {
        let decision = decided(requirements, signatures, &material);
        let rejection = decision.verdict.unwrap_err();
        assert_eq!(rejection.code(), expected, "{requirements}: {rejection}");
        assert!(rejection.message().contains(words), "{requirements}: {rejection}");
        let last = decision.trace.verdicts.last().unwrap();
        assert_eq!(last.outcome, Outcome::Refused(rejection), "{requirements}");
    }
}

#[test]
fn an_image_that_nobody_vouches_for_is_called_so() {
    let admission = decided(ACCEPT, &[], &TrustMaterial::new()).verdict.unwrap();
    assert_eq!(*admission.basis(), Basis::Unverified);
    assert_eq!(admission.reference().to_string(), "registry.example/app:1");
    assert_eq!(*admission.manifest(), Digest::sha256(b"manifest"));
}

/// What cosign 3.1 makes by default, found in `place`, against a requirement with these members.
fn bundled(members: &str, place: &str) -> Decision {
    let data = |name: &str| match name {
        "bundle" => &include_bytes!(
            "../../../tests/conformance/data/sigstore-bundles/cosign-3.1.sigstore.json"
        )[..],
        "key" => {
            include_bytes!("../../../tests/conformance/data/sigstore-bundles/cosign-3.1.pub")
        }
        _ => {
            include_bytes!(
                "../../../tests/conformance/data/sigstore-bundles/cosign-3.1.manifest.json"
            )
        }
    };
    let requirement = format!(r#"{{"type":"sigstoreSigned","keyPath":"/k.gpg",{members}}}"#);
    let policy = format!(r#"{{"default":[{requirement}]}}"#);
    let policy = Policy::parse(policy.as_bytes(), Dialect::Extended).unwrap();
    let reference = PullReference::parse("registry.example/app:1").unwrap();
    let body = data("manifest");
    let manifest = Verifier::verify(&Digest::sha256(body), body).unwrap();
    let found_in = FoundIn::new(reference.reference(), &Reference::parse(place).unwrap());
    let bundle = UntrustedBundle { text: data("bundle").to_vec(), found_in };
    let subject = Subject {
        reference: &reference,
        manifest: &manifest,
        signatures: &[UntrustedSignature::Bundle(bundle)],
        searched: &[],
        listing: None,
    };
    decide(policy.applicable(&reference), subject, &key(Ok(data("key"))), SystemTime::UNIX_EPOCH)
}

#[test]
fn a_bundle_counts_only_where_the_policy_says_so() {
    let (own, other) = ("registry.example/app", "mirror.example/cache/app");
    let on = r#""digestBound":"ownRepository","signedIdentity":{"type":"matchRepository"}"#;
    let off = r#""signedIdentity":{"type":"matchRepository"}"#;
    let tagged = r#""signedIdentity":{"type":"matchExact"}"#;
    let admission = bundled(on, own).verdict.unwrap();
    assert!(matches!(admission.basis(), Basis::Signed(by) if by.len() == 1));
    for (members, place, expected, words) in [
        (off, own, Code::BundleNotEnabled, "digest_bound_signatures in config.toml"),
        (off, own, Code::BundleNotEnabled, "1 sigstore bundle(s)"),
        (tagged, own, Code::BundleNotEnabled, "only the signedIdentity types"),
        (on, other, Code::IdentityMismatch, "was found in `mirror.example/cache/app`"),
    ] {
        let rejection = bundled(members, place).verdict.unwrap_err();
        assert_eq!(rejection.code(), expected, "{members}: {rejection}");
        assert!(rejection.message().contains(words), "{members}: {rejection}");
    }
}

/// Pins what the worst case costs in counts: no clock says so reliably.
#[test]
fn the_number_of_keys_that_are_tried_is_bounded() {
    let pem = include_bytes!("../../../tests/conformance/data/sigstore-keys/own/ec256.pub");
    let material = [("/k.pub".into(), Ok(pem.to_vec()))].into();
    let keys = [r#""/k.pub""#; 64].join(",");
    let requirement = format!(r#"{{"type":"sigstoreSigned","keyPaths":[{keys}]}}"#);
    let garbage = UntrustedSignature::Sigstore(UntrustedAttachment {
        media_type: MEDIA_TYPE.to_owned(),
        payload: b"{}".to_vec(),
        annotations: [("dev.cosignproject.cosign/signature".to_owned(), "YQ==".to_owned())].into(),
    });
    let most = limits::KEY_TRIALS / 64;
    for (signatures, unseen) in [(most, 0), (most + 1, 1), (limits::ATTACHED, 256 - most)] {
        let decision = decided(&requirement, &vec![garbage.clone(); signatures], &material);
        let examined = &decision.trace.verdicts[0].examined;
        assert_eq!(examined.len(), signatures);
        let passed_over = Err(SignatureFault::NotExamined);
        assert_eq!(examined.iter().filter(|one| one.finding == passed_over).count(), unseen);
        let rejection = decision.verdict.unwrap_err();
        assert_eq!(rejection.code(), Code::SignatureInvalid);
        assert_eq!(rejection.message().contains("more than 2048 keys"), unseen > 0, "{rejection}");
    }
}

#[test]
fn codes_are_unique_and_shout() {
    let names: BTreeSet<&str> = Code::ALL.into_iter().map(Code::as_str).collect();
    assert_eq!(names.len(), Code::ALL.len());
    for name in names {
        assert!(name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_'), "{name}");
    }
}
