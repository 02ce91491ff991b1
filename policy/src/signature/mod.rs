//! Stored signatures: the container they come in, and how each format is checked.

pub mod anchor;
pub mod extension;
pub mod openpgp;
pub mod payload;
pub mod sigstore;
pub mod simple;

mod claim;

pub use claim::{Claim, SignatureFault, Signer};

use std::collections::BTreeMap;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;

use crate::strict::{JsonError, Object, excerpt, json};

/// A stored signature as fetched. Nothing in it has been checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UntrustedSignature {
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

    /// The signature in its container: what [`Self::parse`] reads.
    #[must_use]
    pub fn stored(&self) -> Vec<u8> {
        match self {
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
    use super::{ContainerError, UntrustedAttachment, UntrustedSignature};

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
