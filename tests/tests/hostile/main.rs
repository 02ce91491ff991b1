//! Every document that a verdict rests on, in every way it can be bad: each ends in its own reason, in time,
//! and none in an accepted image.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a panic fails the test"
)]

mod bad;
mod bundles;
mod stores;
mod timestamps;
mod world;

use std::time::{Duration, Instant};

use bad::Kind::{self, *};
use stores::Content;
use world::Place::{self, *};
use world::World;

/// What each kind of bad document ends in: the reason, and words of the message. Without a reason the image
/// is accepted.
type Row = (Kind, &'static str, &'static str);

const UNREADABLE: &str = "SIGNATURES_UNREADABLE";
const INVALID: &str = "SIGNATURE_INVALID";
const POLICY: &str = "POLICY_UNUSABLE";
const FILE: &str = "KEY_FILE_UNREADABLE";
const KEY: &str = "KEY_UNUSABLE";

/// What every JSON document that is read as a whole ends in.
const fn json(reason: &'static str) -> [Row; 6] {
    [
        (Nested, reason, "nested deeper than 64 levels"),
        (Truncated, reason, "not JSON: EOF while parsing"),
        (Compressed, reason, "not JSON: expected value at line 1 column 1"),
        (NotUtf8, reason, "not JSON: invalid unicode code point"),
        (Control, reason, "not JSON: control character (\\u0000-\\u001F) found"),
        (Duplicate, reason, "key stands twice in its object"),
    ]
}

/// Bounds first, then the form.
static TABLE: [(Place, [Row; 3], [Row; 6]); 10] = [
    (
        Lookaside,
        [
            (Oversized, UNREADABLE, "signature-1 is larger than 4194304 bytes"),
            (Endless, UNREADABLE, "signature-1 is larger than 4194304 bytes"),
            (TooMany, UNREADABLE, "more than 127 signatures at http://"),
        ],
        [
            (Nested, INVALID, "not exactly one signature over one text"),
            (Truncated, INVALID, "a truncated text"),
            (Compressed, INVALID, "the signed text is larger than 1048576 bytes"),
            (NotUtf8, "PAYLOAD_INVALID", "not JSON: invalid unicode code point"),
            (Control, "PAYLOAD_INVALID", "not JSON: control character"),
            (Duplicate, "PAYLOAD_INVALID", "`critical`: key stands twice"),
        ],
    ),
    (
        Extension,
        [
            (Oversized, UNREADABLE, "sent more than 4194304 bytes"),
            (Endless, UNREADABLE, "sent more than 4194304 bytes"),
            (TooMany, UNREADABLE, "more than 127 signatures at the signature extension for"),
        ],
        json(UNREADABLE),
    ),
    (
        Attachment,
        [
            (Oversized, UNREADABLE, ".sig: http://127.0.0.1:"),
            (Endless, UNREADABLE, "sent more than 4194304 bytes"),
            (TooMany, UNREADABLE, "257 layers, the limit is 256"),
        ],
        json(UNREADABLE),
    ),
    (
        Referrers,
        [
            (Oversized, UNREADABLE, "sent more than 4194304 bytes"),
            (Endless, UNREADABLE, "sent more than 4194304 bytes"),
            (TooMany, UNREADABLE, "more than 128 signatures at the referrers of"),
        ],
        json(UNREADABLE),
    ),
    (
        Bundle,
        [
            (Oversized, UNREADABLE, "16777217 bytes, the limit is 16777216"),
            (Endless, UNREADABLE, "sent more than 16777216 bytes"),
            (TooMany, INVALID, "a list of more than 32 items"),
        ],
        json(INVALID),
    ),
    (
        Policy,
        [
            (Oversized, POLICY, "policy.json is larger than 4194304 bytes"),
            (Endless, POLICY, "policy.json is not a regular file"),
            // As many as the file can hold may be there.
            (TooMany, "POLICY_REJECT", "the policy rejects this image"),
        ],
        json(POLICY),
    ),
    (
        RegistriesD,
        [
            (Oversized, POLICY, "a.yaml is larger than 4194304 bytes"),
            (Endless, POLICY, "a.yaml is not a regular file"),
            (TooMany, POLICY, "limits breached: Nodes"),
        ],
        [
            (Nested, POLICY, "recursion limit exceeded at line 1"),
            (Truncated, POLICY, "unclosed quote at line 2"),
            (Compressed, POLICY, "limits breached: Nodes"),
            (NotUtf8, POLICY, "not valid UTF-8"),
            (Control, POLICY, "unexpected character: `\\u{7}' at line 2"),
            (Duplicate, POLICY, "duplicate mapping key `default-docker`"),
        ],
    ),
    (
        Keyring,
        [
            (Oversized, FILE, "keyring.gpg is larger than 16777216 bytes"),
            (Endless, FILE, "keyring.gpg is not a regular file"),
            (TooMany, "", ""),
        ],
        [
            (Nested, KEY, "No public keys imported"),
            (Truncated, KEY, "cannot be used: No binding signature"),
            (Compressed, KEY, "No public keys imported"),
            (NotUtf8, KEY, "cannot be used: No binding signature"),
            (Control, KEY, "cannot be used: No binding signature"),
            (Duplicate, "", ""),
        ],
    ),
    (
        PemKey,
        [
            (Oversized, FILE, "key.pub is larger than 16777216 bytes"),
            (Endless, FILE, "key.pub is not a regular file"),
            (TooMany, KEY, "more than 512 PEM blocks"),
        ],
        [
            (Nested, KEY, "the key is not a SubjectPublicKeyInfo"),
            (Truncated, KEY, "expected one PEM block"),
            (Compressed, KEY, "expected one PEM block"),
            (NotUtf8, KEY, "not PEM: invalid utf-8"),
            (Control, KEY, "not PEM: invalid data"),
            // The first key of a file counts, as in containers/image.
            (Duplicate, "", ""),
        ],
    ),
    (
        TrustedRoot,
        [
            (Oversized, FILE, "root.json is larger than 16777216 bytes"),
            (Endless, FILE, "root.json is not a regular file"),
            (TooMany, KEY, "`tlogs`: 513 items, the limit is 512"),
        ],
        json(KEY),
    ),
];

/// Far longer than any of it takes, also without optimisation and on a machine that is busy.
const IN_TIME: Duration = Duration::from_secs(60);

#[tokio::test]
async fn every_bad_document_ends_in_its_own_reason() {
    let world = World::new().await;
    assert!(TABLE.iter().map(|(place, ..)| place).eq(&Place::ALL), "a place is missing");
    for (place, bounds, form) in &TABLE {
        match world.refusal(*place, None).await {
            // The trusted root is that of sigstore, whose log has not seen the signature.
            Some((INVALID, _)) if *place == TrustedRoot => {}
            good => assert_eq!(good, None, "{place:?}"),
        }
        let rows = || bounds.iter().chain(form);
        assert!(rows().map(|(kind, ..)| kind).eq(&Kind::ALL), "{place:?}: a kind is missing");
        for (kind, reason, words) in rows() {
            let content = bad::content(&world, *place, *kind);
            let began = Instant::now();
            let (found, text) = world.refusal(*place, Some(content)).await.unwrap_or_default();
            assert_eq!(found, *reason, "{place:?} {kind:?}: {text}");
            assert!(text.contains(words), "{place:?} {kind:?}: {text}");
            let plain = text.chars().all(|letter| !letter.is_control()) && text.len() < 700;
            assert!(plain, "{place:?} {kind:?}: {text:?}");
            assert!(began.elapsed() < IN_TIME, "{place:?} {kind:?}: {:?}", began.elapsed());
        }
    }
}

#[tokio::test]
async fn the_signatures_of_an_attachment_have_a_bound_together() {
    let world = World::new().await;
    let content = Content::Bytes(bad::too_much_together(&world));
    let (reason, text) = world.refusal(Attachment, Some(content)).await.expect("a refusal");
    assert_eq!(reason, UNREADABLE, "{text}");
    assert!(text.contains(".sig are larger than 33554432 bytes"), "{text}");
}
