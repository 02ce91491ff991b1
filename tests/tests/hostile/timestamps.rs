//! Timestamps (RFC 3161) of an authority of our own, good and bad.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pullgate_policy::signature::UntrustedAttachment;
use pullgate_policy::signature::sigstore::{self, PublicKey, Root, Witnesses};
use pullgate_tests::sigstore::{PAYLOAD, SIGNATURE, bundle, cosign_payload, sign};
use pullgate_tests::tsa::Tsa;
use rcgen::KeyPair;
use serde_json::{Value, json};

use crate::bundles::{self, IMAGE, claimed, manifest, witnesses, words};

/// Always valid, for these tests.
pub(crate) const LONG: (i32, i32) = (2020, 2040);

/// A signed manifest, and the timestamp of its signature.
pub(crate) struct Stamped {
    pub(crate) key: KeyPair,
    pub(crate) bundle: Value,
    pub(crate) stamp: Vec<u8>,
}

impl Stamped {
    pub(crate) fn by(tsa: &Tsa) -> Self {
        let key = KeyPair::generate().expect("a key");
        let bundle = bundle(&key, &manifest().to_string());
        let signature = bundle["dsseEnvelope"]["signatures"][0]["sig"].as_str().expect("base64");
        let stamp = tsa.stamp(&STANDARD.decode(signature).expect("base64"));
        Self { key, bundle, stamp }
    }

    /// The bundle with `stamp` in the place of its own.
    pub(crate) fn with(&self, stamp: &[u8]) -> Value {
        let mut bundle = self.bundle.clone();
        let stamp = json!({"signedTimestamp": STANDARD.encode(stamp)});
        bundle["verificationMaterial"]["timestampVerificationData"] =
            json!({"rfc3161Timestamps": [stamp]});
        bundle
    }

    /// What is wrong with a bundle, where the signer's key and these witnesses are trusted.
    fn fault(&self, bundle: &Value, witnesses: &Witnesses) -> Option<String> {
        bundles::fault(bundle, &self.root(witnesses))
    }

    pub(crate) fn root(&self, witnesses: &Witnesses) -> Root {
        let key = PublicKey::from_pem(self.key.public_key_pem().as_bytes()).expect("a key");
        Root::LoggedKeys { keys: vec![key], witnesses: witnesses.clone() }
    }
}

/// Trust in this authority, and in no log.
fn trusting(chain: &[Vec<u8>], valid_for: &Value) -> Witnesses {
    witnesses(&json!({"timestampAuthorities": [authority(chain, valid_for)]}))
}

/// An authority as a trusted root has it.
pub(crate) fn authority(chain: &[Vec<u8>], valid_for: &Value) -> Value {
    let certificates: Vec<Value> =
        chain.iter().map(|der| json!({"rawBytes": STANDARD.encode(der)})).collect();
    json!({"certChain": {"certificates": certificates}, "validFor": valid_for})
}

#[test]
fn a_bundle_without_a_log_counts_with_a_timestamp_of_the_policys_authority() {
    let tsa = Tsa::new();
    let stamped = Stamped::by(&tsa);
    let good = trusting(&tsa.chain(LONG, LONG), &Value::Null);
    assert_eq!(stamped.fault(&stamped.with(&stamped.stamp), &good), None);

    let stranger = trusting(&Tsa::new().chain(LONG, LONG), &Value::Null);
    let (old, new) = ((2020, 2021), (2039, 2040));
    let window = json!({"start": "2020-01-01T00:00:00Z", "end": "2021-01-01T00:00:00Z"});
    let unused = trusting(&tsa.chain(LONG, LONG), &window);
    let within = |own, root| trusting(&tsa.chain(own, root), &Value::Null);
    let until_2021 = "from 2020-01-01T00:00:00Z until 2021-01-01T00:00:00Z";
    let from_2039 = "from 2039-01-01T00:00:00Z until 2040-01-01T00:00:00Z";
    let stamp = stamped.with(&stamped.stamp);
    for (bundle, witnesses, expected) in [
        (&stamped.bundle, &good, "is missing, and no log entry"),
        (&stamped.with(&tsa.stamp(b"another signature")), &good, "message hash mismatch"),
        (&stamped.with(b"no timestamp"), &good, "Failed to parse timestamp response"),
        (&stamp, &stranger, "is by none of the policy's time-stamping authorities"),
        (&stamp, &within(old, LONG), &format!("authority are {until_2021}: ")),
        (&stamp, &within(new, LONG), &format!("authority are {from_2039}: ")),
        (&stamp, &within(LONG, old), &format!("authority are {until_2021}: it is of ")),
        (&stamp, &within(LONG, new), &format!("authority are {from_2039}: it is of ")),
        (&stamp, &unused, &format!("the policy's authority was in use {until_2021}")),
    ] {
        let found = stamped.fault(bundle, witnesses).unwrap_or_default();
        assert!(found.contains(expected), "{expected:?}: {found:?}");
    }
}

/// Nobody signs the labels of a CMS message, and the program that reads it passes them over. What is signed
/// cannot be changed, and nothing else moves the time.
#[test]
fn no_changed_byte_of_what_a_timestamp_signs_is_accepted() {
    let tsa = Tsa::new();
    let stamped = Stamped::by(&tsa);
    let good = trusting(&tsa.chain(LONG, LONG), &Value::Null);
    let signed = tsa.signed_parts(&stamped.stamp);
    assert_eq!(signed.len(), 3, "{signed:?}");
    let mut passed_over = 0;
    for place in 0..stamped.stamp.len() {
        let mut changed = stamped.stamp.clone();
        changed[place] ^= 1;
        if stamped.fault(&stamped.with(&changed), &good).is_none() {
            assert!(!signed.iter().any(|part| part.contains(&place)), "byte {place}");
            passed_over += 1;
        }
    }
    assert!(passed_over < 30, "{passed_over} of {} bytes", stamped.stamp.len());
    let bits = signed
        .into_iter()
        .flat_map(|part| part.flat_map(|place| (0..8).map(move |bit| (place, bit))));
    for (place, bit) in bits {
        let mut changed = stamped.stamp.clone();
        changed[place] ^= 1 << bit;
        let found = stamped.fault(&stamped.with(&changed), &good);
        assert!(found.is_some(), "byte {place}, bit {bit}");
    }
}

/// containers/image reads no timestamps of attachments. Neither does pullgate: a good one does not help, a
/// bad one does not hurt.
#[test]
fn a_timestamp_that_is_attached_changes_nothing() {
    let tsa = Tsa::new();
    let stamped = Stamped::by(&tsa);
    let payload = cosign_payload(&manifest().to_string(), IMAGE);
    let signature = sign(&stamped.key, &payload);
    let attested = json!({"SignedRFC3161Timestamp": STANDARD.encode(tsa.stamp(&signature))});
    let key = || vec![PublicKey::from_pem(stamped.key.public_key_pem().as_bytes()).expect("a key")];
    let witnesses = trusting(&tsa.chain(LONG, LONG), &Value::Null);
    for stamp in [None, Some(attested.to_string()), Some("no timestamp".to_owned())] {
        let signature = (SIGNATURE.to_owned(), STANDARD.encode(&signature));
        let stamp = stamp.map(|stamp| (TIMESTAMP.to_owned(), stamp));
        let attachment = UntrustedAttachment {
            media_type: PAYLOAD.to_owned(),
            payload: payload.clone(),
            annotations: [signature].into_iter().chain(stamp).collect(),
        };
        let check = |root: &Root| {
            claimed(|claim, now| sigstore::verify(&attachment, root, claim, now).map(drop))
        };
        assert_eq!(check(&Root::Keys(key())), Ok(()), "{:?}", attachment.annotations);
        let found = check(&stamped.root(&witnesses)).expect_err("no log entry");
        assert!(words(&found).contains("`dev.sigstore.cosign/bundle`"), "{found}");
    }
}

const TIMESTAMP: &str = "dev.sigstore.cosign/rfc3161timestamp";
