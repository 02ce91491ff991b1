//! `signedIdentity` and `baseLayerIdentity` objects.

use super::error::PolicyError;
use crate::identity::{IdentityError, Remap, SignedIdentity};
use crate::strict::{Node, Object};

/// The `signedIdentity` of a requirement; `matchRepoDigestOrExact` where there is none.
pub(super) fn optional_identity(object: &Object<'_>) -> Result<SignedIdentity, PolicyError> {
    let node = object.get("signedIdentity");
    node.map_or(Ok(SignedIdentity::MatchRepoDigestOrExact), parse_identity)
}

pub(super) fn parse_identity(node: Node<'_>) -> Result<SignedIdentity, PolicyError> {
    let object = node.object()?;
    let refuse = |source: IdentityError| PolicyError::Identity { path: node.path(), source };
    let plain = |identity| object.only(&["type"]).map(|_object| identity).map_err(Into::into);
    match object.require("type")?.string()? {
        "exactReference" => {
            let object = object.only(&["type", "dockerReference"])?;
            let text = object.require("dockerReference")?.string()?;
            SignedIdentity::exact_reference(text).map_err(refuse)
        }
        "exactRepository" => {
            let object = object.only(&["type", "dockerRepository"])?;
            let text = object.require("dockerRepository")?.string()?;
            SignedIdentity::exact_repository(text).map_err(refuse)
        }
        "matchExact" => plain(SignedIdentity::MatchExact),
        "matchRepoDigestOrExact" => plain(SignedIdentity::MatchRepoDigestOrExact),
        "matchRepository" => plain(SignedIdentity::MatchRepository),
        "remapIdentity" => {
            let object = object.only(&["type", "prefix", "signedPrefix"])?;
            let prefix = object.require("prefix")?.string()?;
            let signed_prefix = object.require("signedPrefix")?.string()?;
            Remap::parse(prefix, signed_prefix).map(SignedIdentity::RemapIdentity).map_err(refuse)
        }
        found => Err(PolicyError::unknown(
            object.require("type")?.path(),
            found,
            &[
                "exactReference",
                "exactRepository",
                "matchExact",
                "matchRepoDigestOrExact",
                "matchRepository",
                "remapIdentity",
            ],
        )),
    }
}
