//! Bad documents.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use pullgate_policy::limits;
use pullgate_tests::signer::payload;
use serde_json::{Value, json};

use crate::stores::Content;
use crate::world::{Place, World};

/// What is wrong with a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// One byte more than is ever read.
    Oversized,
    /// It does not end.
    Endless,
    /// One item more than is ever looked at.
    TooMany,
    /// Far too deep.
    Nested,
    /// The first half.
    Truncated,
    /// Small, and large once it is unpacked.
    Compressed,
    /// A byte that is in no text.
    NotUtf8,
    /// A control character in a text.
    Control,
    /// A key twice in its object.
    Duplicate,
}

impl Kind {
    pub(crate) const ALL: [Self; 9] = [
        Self::Oversized,
        Self::Endless,
        Self::TooMany,
        Self::Nested,
        Self::Truncated,
        Self::Compressed,
        Self::NotUtf8,
        Self::Control,
        Self::Duplicate,
    ];
}

/// A document for `place` that is bad in this way.
pub(crate) fn content(world: &World, place: Place, kind: Kind) -> Content {
    let good = world.good(place, place);
    match (place, kind) {
        (_, Kind::Endless) => Content::Endless,
        (_, Kind::Oversized) => Content::Bytes(oversized(place, good)),
        (_, Kind::Truncated) => Content::Bytes(good[..good.len() / 2].to_vec()),
        (Place::Lookaside, Kind::TooMany) => Content::Numbered(good),
        (Place::Lookaside, kind) => Content::Bytes(message(world, kind)),
        (Place::Keyring | Place::PemKey, kind) => Content::Bytes(key(place, kind, good)),
        (_, Kind::TooMany) => Content::Bytes(crowded(place, &good)),
        (place, kind) => Content::Bytes(text(place, kind, &good)),
    }
}

fn oversized(place: Place, mut good: Vec<u8>) -> Vec<u8> {
    let limit = match place {
        Place::Lookaside | Place::Extension => limits::SIGNATURE_BYTES,
        Place::Attachment | Place::Referrers => limits::MANIFEST_BYTES,
        Place::Bundle => limits::BUNDLES_BYTES,
        Place::Policy | Place::RegistriesD => limits::CONFIGURATION_BYTES,
        Place::Keyring | Place::PemKey | Place::TrustedRoot => limits::KEYRING_BYTES,
    };
    good.resize(limit + 1, b' ');
    good
}

/// JSON or YAML.
fn text(place: Place, kind: Kind, good: &[u8]) -> Vec<u8> {
    let key = |bytes: &[u8]| {
        // Inside of the first key.
        let place = good.iter().position(|byte| *byte == b'"').expect("a key") + 1;
        [&good[..place], bytes, &good[place..]].concat()
    };
    match kind {
        Kind::Compressed if place == Place::RegistriesD => laughs(),
        Kind::Compressed => gzip(&vec![b' '; 64 << 20]),
        Kind::Control => key(b"\x07"),
        Kind::Duplicate if place == Place::RegistriesD => [good, good].concat(),
        Kind::Duplicate => {
            let text = String::from_utf8(good.to_vec()).expect("JSON");
            let (_, members) = text.split_once('{').expect("an object");
            let (key, _) = members.split_once(':').expect("a member");
            format!("{{{key}:null,{members}").into_bytes()
        }
        Kind::Nested => b"[".repeat(100_000),
        Kind::NotUtf8 => key(b"\xff"),
        Kind::Endless | Kind::Oversized | Kind::TooMany | Kind::Truncated => {
            panic!("{kind:?} is made elsewhere")
        }
    }
}

/// One item more than there may be.
fn crowded(place: Place, good: &[u8]) -> Vec<u8> {
    if place == Place::RegistriesD {
        return format!("future: [{}]\n", "0, ".repeat(250_000)).into_bytes();
    }
    if place == Place::Policy {
        let all = vec![json!({"type": "reject"}); 100_000];
        return json!({"default": all}).to_string().into_bytes();
    }
    let mut document: Value = serde_json::from_slice(good).expect("JSON");
    let (list, limit) = match place {
        Place::Attachment => ("/layers", limits::ATTACHED),
        Place::Bundle => ("/verificationMaterial/tlogEntries", limits::BUNDLE_PARTS),
        Place::Extension => ("/signatures", limits::SIGNATURES),
        Place::Referrers => ("/manifests", limits::REFERRERS),
        Place::TrustedRoot => ("/tlogs", limits::CERTIFICATES),
        Place::Keyring | Place::Lookaside | Place::PemKey | Place::Policy | Place::RegistriesD => {
            panic!("{place:?} has no list")
        }
    };
    let list = document.pointer_mut(list).expect("a list");
    let item = list.get(0).cloned().unwrap_or_default();
    *list = json!(vec![item; limit + 1]);
    document.to_string().into_bytes()
}

/// An attachment whose signatures are each as large as one may be, and together larger.
pub(crate) fn too_much_together(world: &World) -> Vec<u8> {
    let good = world.good(Place::Attachment, Place::Attachment);
    let mut document: Value = serde_json::from_slice(&good).expect("JSON");
    let mut layer = document["layers"][0].clone();
    layer["size"] = json!(limits::SIGNATURE_BYTES);
    let most = limits::SIGNATURES_BYTES / limits::SIGNATURE_BYTES;
    document["layers"] = json!(vec![layer; most + 1]);
    document.to_string().into_bytes()
}

/// An OpenPGP message.
fn message(world: &World, kind: Kind) -> Vec<u8> {
    let good = payload(world.digest(), &world.name()).to_string().into_bytes();
    match kind {
        Kind::Compressed => include_bytes!(
            "../../conformance/data/simple-signatures/own/compression-bomb-40MB.signature"
        )
        .to_vec(),
        Kind::Nested => nested(world.good(Place::Lookaside, Place::Lookaside)),
        Kind::Control | Kind::Duplicate | Kind::NotUtf8 => {
            world.signer.sign_bytes(&text(Place::Lookaside, kind, &good))
        }
        Kind::Endless | Kind::Oversized | Kind::TooMany | Kind::Truncated => {
            panic!("{kind:?} is made elsewhere")
        }
    }
}

/// A message in compressed packets that do not compress (RFC 9580, 5.6).
fn nested(message: Vec<u8>) -> Vec<u8> {
    (0..1000).fold(message, |inner, _| [&[0xa3, 0][..], &inner].concat())
}

fn key(place: Place, kind: Kind, good: Vec<u8>) -> Vec<u8> {
    let armored = place == Place::PemKey;
    match kind {
        Kind::Compressed if armored => gzip(&vec![b' '; 64 << 20]),
        Kind::Compressed => include_bytes!(
            "../../conformance/data/simple-signatures/own/compression-bomb-40MB.signature"
        )
        .to_vec(),
        Kind::Duplicate => good.repeat(2),
        Kind::TooMany => good.repeat(limits::CERTIFICATES + 1),
        Kind::Nested if armored => pem(&b"\x30\x80".repeat(10_000)),
        Kind::Nested => nested(good),
        Kind::Control | Kind::NotUtf8 => {
            let mut bad = good;
            let place = bad.len() / 2;
            bad[place] = if kind == Kind::Control { 7 } else { 0xff };
            bad
        }
        Kind::Endless | Kind::Oversized | Kind::Truncated => panic!("{kind:?} is made elsewhere"),
    }
}

fn pem(der: &[u8]) -> Vec<u8> {
    format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der))
        .into_bytes()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// Ten times ten times ten: YAML's way to be small.
fn laughs() -> Vec<u8> {
    let mut text = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
    for level in 1..9 {
        let ten = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{ten}]\n");
    }
    text.into_bytes()
}
