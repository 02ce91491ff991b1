//! The image configuration, as far as pullgate reads it.

use crate::digest::Digest;
use crate::platform::Platform;
use crate::strict::json;

use super::ManifestError;

const KEYS: [&str; 6] = ["architecture", "config", "os", "os.version", "rootfs", "variant"];

const ROOTFS_KEYS: [&str; 2] = ["diff_ids", "type"];

/// What pullgate reads of an image configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageConfig {
    /// `os`, `architecture` and `variant`.
    pub platform: Platform,
    /// `rootfs.diff_ids`: the digests of the uncompressed layers, lowest first.
    pub diff_ids: Vec<Digest>,
}

impl ImageConfig {
    /// Parses an image configuration.
    ///
    /// # Errors
    /// [`ManifestError`] for a document that is not one or could be read as two.
    pub fn parse(body: &[u8]) -> Result<Self, ManifestError> {
        let document = json(body)?;
        let object = document.root().object()?.no_variants(&KEYS)?;
        let text = |key: &'static str| match object.get(key) {
            Some(node) if !node.is_null() => node.string(),
            Some(_) | None => Ok(""),
        };
        let platform = Platform::new(text("os")?, text("architecture")?, text("variant")?);
        let rootfs = object.require("rootfs")?.object()?.no_variants(&ROOTFS_KEYS)?;
        let diff_ids = rootfs.require("diff_ids")?;
        let mut digests = Vec::new();
        for node in diff_ids.list()? {
            let digest = node
                .string()?
                .parse()
                .map_err(|source| ManifestError::Digest { path: node.path().text(), source })?;
            digests.push(digest);
        }
        Ok(Self { platform, diff_ids: digests })
    }
}
