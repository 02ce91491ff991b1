//! Images that no policy can have a signature for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use pullgate_policy::digest::Digest;

/// An empty archive.
const EMPTY: [u8; 1024] = [0; 1024];

/// A signature of [`Image::of_stranger`] by a key that was thrown away.
pub(super) const OF_STRANGER: &[u8] = include_bytes!("stranger.signature");

/// An image with one layer.
#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) manifest: Vec<u8>,
    pub(super) config: Vec<u8>,
    pub(super) layer: Vec<u8>,
}

impl Image {
    /// One that this node cannot have yet.
    pub(super) fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (count, id) = (COUNT.fetch_add(1, Ordering::Relaxed), std::process::id());
        let text = format!("pullgate canary {}-{id}-{count}", now.as_nanos());
        // What stands behind the end of an archive means nothing, and makes the layer one of its own.
        let layer = [EMPTY.as_slice(), text.as_bytes()].concat();
        Self::of(std::env::consts::ARCH, &text, layer)
    }

    /// Always the same bytes: the signature is made for them.
    pub(super) fn of_stranger() -> Self {
        Self::of("x86_64", "signed by a stranger", EMPTY.to_vec())
    }

    fn of(machine: &str, comment: &str, layer: Vec<u8>) -> Self {
        let architecture = match machine {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            other => other,
        };
        let diff_id = Digest::sha256(&layer);
        let config = format!(
            r#"{{"architecture":"{architecture}","os":"linux","comment":"{comment}","config":{{}},"#
        ) + &format!(r#""rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}}}}"#);
        let config = config.into_bytes();
        let descriptor = |kind: &str, bytes: &[u8]| {
            let (digest, size) = (Digest::sha256(bytes), bytes.len());
            format!(
                r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{digest}","size":{size}}}"#
            )
        };
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{},"layers":[{}]}}"#,
            descriptor("config.v1+json", &config),
            descriptor("layer.v1.tar", &layer)
        );
        Self { manifest: manifest.into_bytes(), config, layer }
    }

    /// The digest of the manifest.
    pub(super) fn digest(&self) -> Digest {
        Digest::sha256(&self.manifest)
    }
}

#[cfg(test)]
mod tests {
    use pullgate_policy::signature::UntrustedSignature;

    use super::{Image, OF_STRANGER};

    #[test]
    fn the_strangers_signature_is_one_of_this_very_image() {
        UntrustedSignature::parse(OF_STRANGER).unwrap();
        let text = String::from_utf8_lossy(OF_STRANGER);
        assert!(text.contains(&Image::of_stranger().digest().to_string()), "{text:?}");
    }

    #[test]
    fn no_two_canaries_share_anything() {
        let (one, other) = (Image::new(), Image::new());
        assert_ne!(one.layer, other.layer);
        assert_ne!(one.config, other.config);
        assert_ne!(one.digest(), other.digest());
    }
}
