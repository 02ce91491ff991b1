//! The content of the files that a requirement names.

use super::{Code, Rejection, TrustMaterial};
use crate::document::Source;

/// Each piece of a source, with its name for messages. One file that cannot be read denies, even if
/// another would do (policy-semantics.md 1.3).
pub(super) fn pieces<'a>(
    source: &'a Source,
    material: &'a TrustMaterial,
) -> Result<Vec<(String, &'a [u8])>, Rejection> {
    let unread = |path: &std::path::Path, why: &str| {
        let message = if why.is_empty() {
            format!("{} was not read", path.display())
        } else {
            why.to_owned()
        };
        Rejection::new(Code::KeyFileUnreadable, message)
    };
    match source {
        Source::Data(pieces) => {
            let name = "the data in policy.json";
            Ok(pieces.iter().map(|piece| (name.to_owned(), piece.as_slice())).collect())
        }
        Source::Paths(paths) => paths
            .iter()
            .map(|path| {
                let content = material.get(path).ok_or_else(|| unread(path, ""))?;
                let content = content.as_ref().map_err(|why| unread(path, why))?;
                Ok((path.display().to_string(), content.as_slice()))
            })
            .collect(),
    }
}
