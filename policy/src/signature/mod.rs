//! Stored signatures: the container they come in, and how each format is checked.

pub mod anchor;
pub mod extension;
pub mod openpgp;
pub mod payload;
pub mod sigstore;
pub mod simple;

mod claim;

pub use claim::{Claim, FoundIn, SignatureFault, Signer};

use std::collections::BTreeMap;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;

use crate::reference::ReferenceError;
use crate::strict::{JsonError, Object, excerpt, json};

/// A stored signature as fetched. Nothing in it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UntrustedSignature {
    /// A sigstore bundle, which names no image.
    Bundle(UntrustedBundle),
    /// `sigstore-json`, or a layer of a sigstore attachment.
    Sigstore(UntrustedAttachment),
    /// An OpenPGP message (simple signing).
    Simple(Vec<u8>),
}

/// What cosign attaches to an image: a payload, and in its annotations the signature and the
/// certificates that belong to it. Nothing in it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntrustedAttachment {
    /// The media type of the payload.
    pub media_type: String,
    /// What was signed.
    pub payload: Vec<u8>,
    /// The signature and what belongs to it.
    pub annotations: BTreeMap<String, String>,
}

/// A sigstore bundle and where it was found. Nothing in it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UntrustedBundle {
    /// Its JSON.
    pub text: Vec<u8>,
    /// The repository for which it speaks, if for any.
    pub found_in: FoundIn,
}

impl UntrustedSignature {
    /// Recognises the container of a stored signature: a NUL, the format's name and a newline before
    /// the body, or an OpenPGP message by its first byte (containers-signature(5);
    /// policy-semantics.md 2.6).
    ///
    /// # Errors
    /// [`ContainerError`] if the bytes are in no known format.
    pub fn parse(blob: &[u8]) -> Result<Self, ContainerError> {
        let Some((first, rest)) = blob.split_first() else { return Err(ContainerError::Empty) };
        if *first != 0 {
            return match first {
                0x88..=0x8b | 0x90..=0x92 | 0xa0..=0xa3 | 0xc2 | 0xc4 | 0xc8 => {
                    Ok(Self::Simple(blob.to_vec()))
                }
                b'-' => Err(ContainerError::Armored),
                other => Err(ContainerError::Unrecognised { first: *other }),
            };
        }
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(ContainerError::NoFormat)?;
        let (format, body) = rest.split_at(end);
        let body = body.strip_prefix(b"\n").unwrap_or(body);
        match format {
            b"simple-signing" => Ok(Self::Simple(body.to_vec())),
            b"sigstore-json" => sigstore(body),
            other => {
                let format = excerpt(&String::from_utf8_lossy(other));
                Err(ContainerError::UnknownFormat { format })
            }
        }
    }

    /// Reads what [`Self::stored`] wrote: also a bundle, with the repository it was found in. Nobody else
    /// may say that, so [`Self::parse`] does not read it.
    ///
    /// # Errors
    /// [`ContainerError`] as [`Self::parse`].
    pub fn restore(blob: &[u8]) -> Result<Self, ContainerError> {
        let Some(rest) = blob.strip_prefix(BUNDLE) else { return Self::parse(blob) };
        let end = rest.iter().position(|byte| *byte == b'\n').ok_or(ContainerError::NoFormat)?;
        let (place, text) = rest.split_at(end);
        let found_in = FoundIn::restore(&String::from_utf8_lossy(place))?;
        let text = text.strip_prefix(b"\n").unwrap_or(text).to_vec();
        Ok(Self::Bundle(UntrustedBundle { text, found_in }))
    }

    /// The signature in its container: what [`Self::restore`] reads.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        match self {
            Self::Bundle(bundle) => {
                let place = bundle.found_in.to_string();
                [BUNDLE, place.as_bytes(), b"\n", &bundle.text].concat()
            }
            Self::Sigstore(attachment) => {
                let json = serde_json::json!({
                    "mimeType": attachment.media_type,
                    "payload": STANDARD.encode(&attachment.payload),
                    "annotations": attachment.annotations,
                });
                [b"\0sigstore-json\n", json.to_string().as_bytes()].concat()
            }
            Self::Simple(message) => [b"\0simple-signing\n", message.as_slice()].concat(),
        }
    }
}

/// What a stored bundle begins with.
const BUNDLE: &[u8] = b"\0pullgate-bundle\n";

fn sigstore(body: &[u8]) -> Result<UntrustedSignature, ContainerError> {
    let document = json(body)?;
    let object = document.root().object()?.only(&["annotations", "mimeType", "payload"])?;
    Ok(UntrustedSignature::Sigstore(UntrustedAttachment {
        media_type: object.require("mimeType")?.string()?.to_owned(),
        payload: object.require("payload")?.bytes()?,
        annotations: annotations(&object)?,
    }))
}

/// The annotations of an object; null and none are the same.
fn annotations(object: &Object<'_>) -> Result<BTreeMap<String, String>, JsonError> {
    let mut annotations = BTreeMap::new();
    if let Some(node) = object.get("annotations").filter(|node| !node.is_null()) {
        for (key, value) in node.object()?.iter() {
            annotations.insert(key.to_owned(), value.string()?.to_owned());
        }
    }
    Ok(annotations)
}

/// Why bytes are not a stored signature.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// Text armour, where containers-signature(5) wants the binary message.
    #[error("an ASCII-armored signature, which is not allowed: store the binary OpenPGP message")]
    Armored,
    /// No bytes at all.
    #[error("empty")]
    Empty,
    /// The JSON of a sigstore signature is not as it must be.
    #[error("sigstore-json")]
    Json(#[from] JsonError),
    /// A NUL without the line that names the format.
    #[error("starts with a NUL, but no line names the format")]
    NoFormat,
    /// The repository of a bundle is none.
    #[error("the repository of the bundle")]
    Place(#[from] ReferenceError),
    /// A format that nobody knows.
    #[error("unknown format `{format}`")]
    UnknownFormat {
        /// Its name.
        format: String,
    },
    /// Neither OpenPGP nor a named format.
    #[error("starts with the byte {first:#04x}: neither an OpenPGP message nor a named format")]
    Unrecognised {
        /// The first byte.
        first: u8,
    },
}

#[cfg(test)]
mod tests {
    use super::{
        ContainerError, FoundIn, UntrustedAttachment, UntrustedBundle, UntrustedSignature,
    };
    use crate::reference::Reference;

    #[test]
    fn containers_are_recognised() {
        let simple = |body: &[u8]| Ok(UntrustedSignature::Simple(body.to_vec()));
        for (blob, expected) in [
            (&b"\xa3\x02"[..], simple(b"\xa3\x02")),
            (b"\xc8\x01", simple(b"\xc8\x01")),
            (b"\0simple-signing\nx", simple(b"x")),
            (b"", Err(ContainerError::Empty)),
            (b"\0simple-signing", Err(ContainerError::NoFormat)),
            (b"\0other\nx", Err(ContainerError::UnknownFormat { format: "other".to_owned() })),
            (b"-----BEGIN PGP MESSAGE-----", Err(ContainerError::Armored)),
            (b"<html>", Err(ContainerError::Unrecognised { first: b'<' })),
            (b"\x93", Err(ContainerError::Unrecognised { first: 0x93 })),
        ] {
            assert_eq!(UntrustedSignature::parse(blob), expected, "{blob:?}");
        }
    }

    #[test]
    fn what_is_stored_is_parsed_again() {
        let annotations = [("k\"".to_owned(), "v\n".to_owned())].into();
        for signature in [
            UntrustedSignature::Simple(vec![0x00, 0xff]),
            UntrustedSignature::Sigstore(UntrustedAttachment {
                media_type: "m".to_owned(),
                payload: vec![0x00, 0xff],
                annotations,
            }),
        ] {
            assert_eq!(UntrustedSignature::parse(&signature.stored()), Ok(signature));
        }
    }

    /// A store of signatures cannot say where a bundle was found.
    #[test]
    fn only_what_pullgate_stored_itself_is_restored_as_a_bundle() {
        let image = Reference::parse("registry.example/app:1").unwrap();
        let bundle = UntrustedSignature::Bundle(UntrustedBundle {
            text: b"{}\n".to_vec(),
            found_in: FoundIn::new(&image, &image),
        });
        let stored = bundle.stored();
        assert_eq!(stored, b"\0pullgate-bundle\nregistry.example/app\n{}\n");
        assert_eq!(UntrustedSignature::restore(&stored), Ok(bundle));
        let refused = UntrustedSignature::parse(&stored);
        assert!(matches!(refused, Err(ContainerError::UnknownFormat { .. })), "{refused:?}");
        let elsewhere = UntrustedSignature::restore(b"\0pullgate-bundle\n::\n{}");
        assert!(matches!(elsewhere, Err(ContainerError::Place(_))), "{elsewhere:?}");
        let simple = UntrustedSignature::Simple(b"\xa3".to_vec());
        assert_eq!(UntrustedSignature::restore(&simple.stored()), Ok(simple));
    }

    #[test]
    fn sigstore_json_is_strict() {
        let parse =
            |json: &str| UntrustedSignature::parse(format!("\0sigstore-json\n{json}").as_bytes());
        let good = r#"{"mimeType":"m","payload":"YQ==","annotations":{"k":"v"}}"#;
        let expected = UntrustedSignature::Sigstore(UntrustedAttachment {
            media_type: "m".to_owned(),
            payload: b"a".to_vec(),
            annotations: [("k".to_owned(), "v".to_owned())].into(),
        });
        assert_eq!(parse(good), Ok(expected));
        for bad in [
            "",
            "{}",
            r#"{"mimeType":"m","payload":"%"}"#,
            r#"{"mimeType":"m","mimeType":"n","payload":"YQ=="}"#,
            r#"{"mimeType":"m","payload":"YQ==","annotations":{"k":1}}"#,
            r#"{"mimeType":"m","payload":"YQ==","more":1}"#,
        ] {
            assert!(matches!(parse(bad), Err(ContainerError::Json(_))), "{bad}");
        }
    }
}
