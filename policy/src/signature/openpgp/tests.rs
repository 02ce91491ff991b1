use std::path::Path;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use sequoia_openpgp::packet::signature::subpacket::{Subpacket, SubpacketValue};
use sequoia_openpgp::parse::Parse as _;
use sequoia_openpgp::serialize::Serialize as _;
use sequoia_openpgp::{Fingerprint, Packet, PacketPile};

use super::{Keyring, KeyringError};
use crate::digest::Digest;
use crate::identity::SignedIdentity;
use crate::reference::PullReference;
use crate::signature::payload::{Format, Payload};
use crate::signature::{Claim, SignatureFault, simple};

#[expect(clippy::disallowed_methods, reason = "the tests read the corpus")]
fn file(name: &str) -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/conformance/data");
    std::fs::read(data.join(name)).unwrap()
}

fn signature(name: &str) -> Vec<u8> {
    file(&format!("simple-signatures/own/{name}.signature"))
}

fn keyring(name: &str) -> Keyring {
    Keyring::parse([file(&format!("keyrings/own/{name}-key.pgp")).as_slice()]).unwrap()
}

/// The corpus was made in 2026.
fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_000_000)
}

#[test]
fn every_fault_has_its_own_words() {
    for (key, message, expected) in [
        ("rsa", "armored", "armored and cleartext-signed ones are not allowed"),
        ("rsa", "cleartext", "armored and cleartext-signed ones are not allowed"),
        ("rsa", "detached", "packets in another order"),
        ("rsa", "literal-only", "packets in another order"),
        ("rsa", "encrypted-and-signed", "a packet that does not belong there"),
        ("rsa", "marker-packet-first", "a packet that does not belong there"),
        ("rsa", "one-pass-without-signature", "a message that ends early"),
        ("rsa", "one-pass-two-literals-evil-second", "packets in another order"),
        ("rsa", "signed-message-then-unsigned-literal", "packets in another order"),
        ("rsa", "two-signers", "packets in another order"),
        ("rsa", "two-messages-concatenated", "packets in another order"),
        ("rsa", "compression-bomb-40MB", "larger than 1048576 bytes"),
        ("rsa", "one-pass-evil-literal", "bad signature: "),
        ("rsa", "sha1", "bad signature: "),
        ("rsa", "future-dated", "in the future, on 20"),
        ("ed25519", "rsa3072", "which is none of the policy's keys"),
        (
            "expired",
            "made-before-key-expiry",
            "key A8F6875357B2B0C043F9E8F710ADF3C9F24D683C expired on 2022-01-31T00:00:00Z",
        ),
        ("revoked", "revoked-key", "was revoked"),
    ] {
        let error = keyring(key).verify(&signature(message), now()).unwrap_err();
        assert!(error.to_string().contains(expected), "{message}: {error}");
    }
}

#[test]
fn a_signature_ends_when_it_says() {
    let (key, message) = (keyring("rsa"), signature("sig-expires-2096"));
    assert!(key.verify(&message, now()).is_ok());
    let later = now() + Duration::from_secs(80 * 365 * 24 * 60 * 60);
    let error = key.verify(&message, later).unwrap_err();
    assert_eq!(error.to_string(), "the signature expired on 2094-01-14T00:00:00Z");
}

/// One that names many keys would have each of them tried.
#[test]
fn a_signature_names_one_key() {
    let (key, other) = (keyring("rsa"), keyring("ed25519"));
    let pile = PacketPile::from_bytes(&signature("uncompressed")).unwrap();
    let mut packets: Vec<Packet> = pile.into_children().collect();
    let named = |packets: &[Packet]| {
        let mut message = Vec::new();
        packets.iter().for_each(|packet| packet.serialize(&mut message).unwrap());
        key.verify(&message, now()).map(|message| message.signer.fingerprint)
    };
    assert_eq!(named(&packets), Ok(key.fingerprints()[0].clone()));
    let Some(Packet::Signature(signature)) = packets.last_mut() else { panic!("no signature") };
    let issuer: Fingerprint = other.fingerprints()[0].parse().unwrap();
    let issuer = Subpacket::new(SubpacketValue::IssuerFingerprint(issuer), false).unwrap();
    signature.unhashed_area_mut().add(issuer).unwrap();
    let fault = named(&packets).unwrap_err();
    assert!(fault.to_string().contains("names several keys"), "{fault}");
}

#[test]
fn the_signer_is_named_by_its_primary_key() {
    let found =
        keyring("cert-only-with-signing-subkey").verify(&signature("signing-subkey"), now());
    let signer = found.unwrap().signer;
    assert_eq!(signer.fingerprint, keyring("cert-only-with-signing-subkey").fingerprints()[0]);
    assert!(signer.name.is_some());
}

#[test]
fn key_files_are_read_or_named() {
    let mut keybox = vec![0; 8];
    keybox.extend(b"KBXf");
    assert_eq!(Keyring::parse([keybox.as_slice()]).unwrap_err(), KeyringError::Keybox);
    for nothing in [&b""[..], b"no key", b"\xff\xff\xff"] {
        assert!(Keyring::parse([nothing]).unwrap().is_empty());
    }
    let (armored, binary) =
        (file("keyrings/own/rsa-key.asc"), file("keyrings/own/ed25519-key.pgp"));
    let twice = [b"a heading\n".as_slice(), &armored, b"\n", &armored].concat();
    let keys = Keyring::parse([twice.as_slice(), &binary]).unwrap();
    assert_eq!(keys.fingerprints().len(), 3);
}

#[test]
fn the_first_check_that_fails_is_the_fault() {
    let (key, message) = (keyring("rsa"), signature("rsa3072"));
    let signed = key.verify(&message, now()).unwrap();
    let payload = Payload::parse(&signed.payload, Format::Atomic).unwrap();
    let image = PullReference::parse(payload.reference()).unwrap();
    let other = PullReference::parse("registry.example/other:1").unwrap();
    let wrong = Digest::sha256(b"another manifest");
    let verify = |manifest, image| {
        let claim = Claim { manifest, identity: &SignedIdentity::MatchExact, image: Some(image) };
        simple::verify(&message, &key, &claim, now())
    };
    assert_eq!(verify(payload.digest(), &image), Ok(signed.signer));
    assert!(matches!(verify(&wrong, &other), Err(SignatureFault::Digest { .. })));
    let Err(SignatureFault::Identity { expected, .. }) = verify(payload.digest(), &other) else {
        panic!("another name is accepted");
    };
    assert_eq!(expected, "`registry.example/other:1`");
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>) {
        drop(keyring("ed25519").verify(&bytes, now()));
        drop(Keyring::parse([bytes.as_slice()]));
    }

    /// A flipped byte may fall into a header that nothing depends on; then the payload is the same.
    #[test]
    fn no_changed_byte_makes_another_payload(position in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let key = keyring("ed25519");
        let original = signature("ed25519");
        let payload = key.verify(&original, now()).unwrap().payload;
        let mut changed = original;
        let position = position.index(changed.len());
        changed[position] ^= flip;
        if let Ok(message) = key.verify(&changed, now()) {
            assert_eq!(message.payload, payload);
        }
    }
}
