//! Every bound on input that comes from the network or from a file, with the source of its value.

/// Largest manifest or index, in bytes: `iolimits.MaxManifestBodySize` of containers/image.
pub const MANIFEST_BYTES: usize = 4 << 20;

/// Largest image configuration, in bytes: `iolimits.MaxConfigBodySize` of containers/image.
pub const CONFIG_BYTES: usize = 4 << 20;

/// Largest stored signature, in bytes: `iolimits.MaxSignatureBodySize` of containers/image.
pub const SIGNATURE_BYTES: usize = 4 << 20;

/// Most signatures of one image: containers/image reads `signature-1` to `signature-127`.
pub const SIGNATURES: usize = 127;

/// Largest signed payload after decompression, in bytes. containers/image has no bound and inflates
/// whatever it is given; a real payload is under 1 KiB.
pub const PAYLOAD_BYTES: usize = 1 << 20;

/// Largest policy.json or registries.d file, in bytes: far above any real file.
pub const CONFIGURATION_BYTES: usize = 4 << 20;

/// Largest exemption, in bytes: far above any list of scopes.
pub const EXEMPTION_BYTES: usize = 64 << 10;

/// Largest keyring file, in bytes: far above a distribution's complete keyring.
pub const KEYRING_BYTES: usize = 16 << 20;

/// Most layers of one image. overlayfs takes about 500 lower directories; Docker stops at 127.
pub const LAYERS: usize = 512;

/// Deepest nesting of a JSON or YAML document.
pub const DOCUMENT_DEPTH: usize = 64;

/// Most certificates or keys in one PEM text: far above a real chain, or a distribution's bundle.
pub const CERTIFICATES: usize = 512;

/// Most certificates that are attached to one signature as its chain: Fulcio's has two or three.
pub const CHAIN: usize = 8;

/// Most public keys that are tried on the sigstore signatures of one image, by one requirement: as many
/// as eight keys for each of [`ATTACHED`] signatures, about a tenth of a second. containers/image has no
/// bound.
pub const KEY_TRIALS: usize = 8 * ATTACHED;

/// Most bytes of all signatures that one store has of one image: pulls that run at the same time share
/// the node's memory. A real signature is under 8 KiB.
pub const SIGNATURES_BYTES: usize = 32 << 20;

/// Most layers of a sigstore attachment. containers/image has no bound; cosign adds one a signature.
pub const ATTACHED: usize = 256;

/// Most manifests that refer to one image and are looked at. An image has a few.
pub const REFERRERS: usize = 128;

/// Most pages of a registry's list of them.
pub const REFERRER_PAGES: usize = 8;

/// Most bytes of all bundles of one image together; one is under 16 KiB.
pub const BUNDLES_BYTES: usize = 16 << 20;

/// Most log entries, timestamps or certificates in one bundle: the bound of sigstore-go
/// (GHSA-cq38-jh5f-37mq).
pub const BUNDLE_PARTS: usize = 32;

/// Most subjects of one statement: the bound of sigstore-go.
pub const SUBJECTS: usize = 1024;

/// Longest proof that a log has an entry: a tree of 2^64 leaves.
pub const PROOF_HASHES: usize = 64;
